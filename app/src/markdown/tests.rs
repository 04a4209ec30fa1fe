//! What authors may write, what they may not, and what it costs when they try.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::sanitizer::{self, ELEMENTS};
use super::{excerpt, render};

/// Markdown and HTML that try to run something, after the cheat sheets of OWASP and PortSwigger, and what Markdown adds to them.
const ATTACKS: &[&str] = &[
    "<script>alert(1)</script>",
    "<SCRIPT SRC=https://evil.example/xss.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<script/src=data:,alert(1)>",
    "<script\n>alert(1)</script\n>",
    "<script>\n\nalert(1)\n\n</script>",
    "<img src=x onerror=alert(1)>",
    "<img src=\"javascript:alert(1)\">",
    "<IMG \"\"\"><SCRIPT>alert(1)</SCRIPT>\"\\>",
    "<img src=x:alert(alt) onerror=eval(src) alt=0>",
    "<img src='x' onerror='&#97;lert(1)'>",
    "<img/src=`x`onerror=alert(1)>",
    "<image src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><script>alert&#40;1)</script>",
    "<svg><a xlink:href=\"javascript:alert(1)\"><text>x</text></a></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<svg><foreignObject><iframe src=javascript:alert(1)></foreignObject></svg>",
    "<svg></p><style><a id=\"</style><img src=1 onerror=alert(1)>\">",
    "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
    "<math href=\"javascript:alert(1)\">x</math>",
    "<math><mi//xlink:href=\"data:x,<script>alert(1)</script>\">",
    "<iframe src=\"javascript:alert(1)\"></iframe>",
    "<iframe srcdoc=\"<script>alert(1)</script>\"></iframe>",
    "<body onload=alert(1)>",
    "<body background=\"javascript:alert(1)\">",
    "<input autofocus onfocus=alert(1)>",
    "<select autofocus onfocus=alert(1)>",
    "<textarea autofocus onfocus=alert(1)></textarea>",
    "<textarea><img title=\"</textarea><img src=1 onerror=alert(1)>\"></textarea>",
    "<details open ontoggle=alert(1)>x</details>",
    "<video><source onerror=alert(1)></video>",
    "<audio src=x onerror=alert(1)>",
    "<marquee onstart=alert(1)>x</marquee>",
    "<object data=\"javascript:alert(1)\"></object>",
    "<embed src=\"data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==\">",
    "<applet code=x></applet>",
    "<link rel=stylesheet href=\"javascript:alert(1)\">",
    "<style>@import 'https://evil.example/x.css';</style>",
    "<style>body{background:url(\"javascript:alert(1)\")}</style>",
    "<div style=\"background-image:url(javascript:alert(1))\">x</div>",
    "<p style=\"width:expression(alert(1))\">x</p>",
    "<base href=\"javascript:alert(1);//\">",
    "<meta http-equiv=refresh content=\"0;url=javascript:alert(1)\">",
    "<form action=\"javascript:alert(1)\"><button>x</button></form>",
    "<button formaction=javascript:alert(1)>x</button>",
    "<isindex action=javascript:alert(1) type=image>",
    "<table background=\"javascript:alert(1)\"><tr><td>x",
    "<a href=\"javascript:alert(1)\">x</a>",
    "<a href=\"java\tscript:alert(1)\">x</a>",
    "<a href=\"&#106;avascript:alert(1)\">x</a>",
    "<a onmouseover=alert(1)>x</a>",
    "<a href=x onclick=\"alert(1)\">x</a>",
    "<p id=comments class=problem>x</p>",
    "<!--[if gte IE 4]><script>alert(1)</script><![endif]-->",
    "<!--><img src=x onerror=alert(1)>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml version=\"1.0\"?><script>alert(1)</script>",
    "<!DOCTYPE html><script>alert(1)</script>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\"></noscript>",
    "<template><script>alert(1)</script></template>",
    "<xmp><p title=\"</xmp><script>alert(1)</script>\"></xmp>",
    "<plaintext><script>alert(1)</script>",
    "<x onclick=alert(1) contenteditable>x</x>",
    "</p></article></main><script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java&#x09;script:alert(1))",
    "[x](&#x6A;avascript&colon;alert(1))",
    "[x](<java\tscript:alert(1)>)",
    "[x](<\u{1}javascript:alert(1)>)",
    "[x]( javascript:alert(1) \"y\")",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](file:///etc/passwd)",
    "[x](blob:https://evil.example/1)",
    "[x](https://evil.example \"\\\" onmouseover=\\\"alert(1)\")",
    "[x](https://evil.example/\"onmouseover=\"alert(1))",
    "[x][1]\n\n[1]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "<https://evil.example/\"onclick=alert(1)>",
    "![x](javascript:alert(1))",
    "![x](https://evil.example/pixel.gif \"y\")",
    "![x\"onerror=\"alert(1)](x)",
    "![<img src=x onerror=alert(1)>](x)",
    "[![x](data:image/svg+xml,<svg/onload=alert(1)>)](javascript:alert(1))",
    "```\" onclick=alert(1)\nx\n```",
    "```\"><script>alert(1)</script>\nx\n```",
    "```x class=problem\nx\n```",
    "`<script>alert(1)</script>`",
    "    <script>alert(1)</script>",
    "# <script>alert(1)</script>",
    "| a |\n|---|\n| <script>alert(1)</script> |",
    "> <script>alert(1)</script>",
    "*<script>alert(1)</script>*",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "\u{feff}<script>alert(1)</script>",
    "＜script＞alert(1)＜/script＞",
    "<script\u{0}>alert(1)</script>",
    "<a/href=\"j\ra\nv\ta script:alert(1)\">x</a>",
];

/// Whether every tag is one that the renderer makes, with the attributes that it makes, in the way that it writes them.
fn find_fault(html: &str) -> Option<String> {
    let mut rest = html;
    while let Some((_, tail)) = rest.split_once('<') {
        let fault = || Some(format!("`<{}`", tail.chars().take(60).collect::<String>()));
        if let Some(tail) = tail.strip_prefix('/') {
            let Some((name, after)) = tail.split_once('>') else { return fault() };
            if !ELEMENTS.contains(&name) {
                return fault();
            }
            rest = after;
            continue;
        }
        let name_end = tail.find([' ', '>']).unwrap_or(tail.len());
        let (name, mut attributes) = tail.split_at(name_end);
        if !ELEMENTS.contains(&name) {
            return fault();
        }
        while let Some(attribute) = attributes.strip_prefix(' ') {
            let Some((key, value)) = attribute.split_once("=\"") else { return fault() };
            let Some((value, after)) = value.split_once('"') else { return fault() };
            if !is_fine(name, key, value) {
                return fault();
            }
            attributes = after;
        }
        let Some(after) = attributes.strip_prefix('>') else { return fault() };
        rest = after;
    }
    None
}

fn is_fine(element: &str, attribute: &str, value: &str) -> bool {
    match (element, attribute) {
        ("a", "href") => leads_somewhere_harmless(value),
        ("a", "title") => true,
        ("a", "rel") => value == "nofollow noopener ugc",
        ("code", "class") => value.starts_with("language-"),
        ("td" | "th", "class") => matches!(value, "right" | "center"),
        ("ol", "start") => value.parse::<u64>().is_ok(),
        _ => false,
    }
}

/// Reads an address as a browser does: without controls and spaces around it, without tabs and line ends anywhere, in any case.
fn leads_somewhere_harmless(address: &str) -> bool {
    let trimmed = address.trim_matches(|character| character <= ' ');
    let seen = trimmed.replace(['\t', '\n', '\r'], "").to_lowercase();
    // A scheme begins with a letter; anything else before a colon is part of a path.
    let is_scheme = |text: &&str| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let scheme = seen.split_once(':').map(|(scheme, _)| scheme).filter(is_scheme);
    scheme.is_none_or(|scheme| matches!(scheme, "http" | "https" | "mailto"))
}

#[test]
fn no_attack_succeeds() {
    assert!(ATTACKS.len() >= 60);
    for attack in ATTACKS {
        for text in [(*attack).to_owned(), format!("Text {attack} text"), format!("- {attack}\n- x")] {
            let html = render(&text);
            assert_eq!(find_fault(&html), None, "{text}\nbecame\n{html}");
        }
        // The second line of defence holds without the first.
        let html = sanitizer::clean(attack);
        assert_eq!(find_fault(&html), None, "{attack}\nwas cleaned to\n{html}");
    }
}

/// The check above is worth something only if it would find something.
#[test]
fn the_check_finds_faults() {
    for html in [
        "<script>",
        "<p onclick=\"x\">",
        "<p class=\"problem\">",
        "<a href=\"javascript:x\">",
        "<a href=\"java\tscript:x\">",
        "<a href=\" \u{1}JavaScript:x\">",
        "<a href=\"x\" rel=\"opener\">",
        "<img src=\"x\">",
        "</main>",
        "<p",
    ] {
        assert!(find_fault(html).is_some(), "{html}");
    }
}

#[test]
fn html_is_shown_as_it_was_written() {
    assert_eq!(render("<script>alert(1)</script>"), "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n");
    assert_eq!(render("a <b>b</b> & c"), "<p>a &lt;b&gt;b&lt;/b&gt; &amp; c</p>\n");
}

#[test]
fn plain_text_is_paragraphs() {
    assert_eq!(render("One, two.\n\nThree."), "<p>One, two.</p>\n<p>Three.</p>\n");
    assert_eq!(render(""), "");
}

#[test]
fn images_become_links() {
    let rel = "rel=\"nofollow noopener ugc\"";
    assert_eq!(render("![A cat](/cat.png)"), format!("<p><a href=\"/cat.png\" {rel}>A cat</a></p>\n"));
    assert_eq!(render("![](/cat.png)"), format!("<p><a href=\"/cat.png\" {rel}>/cat.png</a></p>\n"));
    assert_eq!(render("[![A cat](/cat.png)](/cats)"), format!("<p><a href=\"/cats\" {rel}>A cat</a></p>\n"));
    assert_eq!(render("![A [cat](/x)](/cat.png)"), format!("<p><a href=\"/cat.png\" {rel}>A cat</a></p>\n"));
}

#[test]
fn a_rich_document() {
    let markdown = include_str!("rich.md");
    insta::assert_snapshot!("rich", render(markdown));
}

#[test]
fn excerpts() {
    assert_eq!(excerpt("Short *and* `sweet`.", 240), "Short and sweet.");
    assert_eq!(
        excerpt("# Title\n\nOne\ntwo.\n\n```sql\nSELECT 1\n```\n\n- three\n- four", 240),
        "One two. … three four"
    );
    assert_eq!(excerpt("| a |\n|---|\n| b |\n\nAfter [a link](https://example.org).", 240), "After a link.");
    assert_eq!(excerpt("One two, three", 13), "One two\u{a0}…");
    // The database has cut this in the middle of a word, of emphasis, of code and of a link.
    assert_eq!(excerpt("One two.\n\n| three | four |\n| ---", 30), "One two\u{a0}…");
    assert_eq!(excerpt("One **two thr", 13), "One two\u{a0}…");
    assert_eq!(excerpt("One `two thr", 12), "One two\u{a0}…");
    assert_eq!(excerpt("One [two](http://exa", 20), "One\u{a0}…");
    assert_eq!(excerpt("```\nSELECT 1\nFROM", 17), "…");
    assert_eq!(excerpt("", 10), "");
    assert_eq!(excerpt("<b>x</b>\n\n<script>\ny", 240), "<b>x</b> <script> y");
}

/// Inputs that make careless parsers slow, at the greatest length that a post may have.
#[test]
fn no_text_takes_long() {
    const LENGTH: usize = 100_000;
    let repeated = |part: &str| part.repeat(LENGTH / part.len());
    let table = format!("{}\n{}\n{}", "|a".repeat(300), "|-".repeat(300), "|\n".repeat(45_000));
    let texts = [
        ">", "> ", "- ", "1. ", "*", "**a ", "_a*", "`", "`a``", "[", "![", "[a](", "[a](b", "<", "<a ", "<!--", "&",
        "&amp;", "\\", "#", "~", "~~a~", "|", "a\n", "\n", "\t", "<script>", "](", "[^a]", "[a]: b\n", "```\n",
        "    a\n", "- a\n  ", "*a _b ",
    ];
    let texts = texts.iter().map(|part| repeated(part)).chain([table]);
    for text in texts {
        let started = Instant::now();
        let html = render(&text);
        excerpt(&text, 240);
        let taken = started.elapsed();
        let beginning: String = text.chars().take(20).collect();
        assert!(taken < Duration::from_secs(2), "{beginning:?} took {taken:?}");
        assert!(html.len() < 40 * LENGTH, "{beginning:?} became {} bytes", html.len());
    }
}

/// Pieces of which attacks and documents are made, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(ATTACKS).prop_map(str::to_owned),
        proptest::sample::select(
            &[
                "*",
                "**",
                "_",
                "`",
                "```",
                "~~",
                "[",
                "](",
                ")",
                "![",
                "<",
                ">",
                "</",
                "\"",
                "'",
                "=",
                "&",
                ";",
                "#",
                "# ",
                "> ",
                "- ",
                "1. ",
                "|",
                "|-|",
                "\n",
                "\n\n",
                "    ",
                "\t",
                "javascript:",
                "onclick=",
                "<a href=",
                "style=",
                "<!--",
                "-->",
                "\\",
                "https://example.org",
                "\u{0}",
                "\u{202e}",
                "é",
                "漢字",
                "🦀",
                "&#x3c;",
                "&lt;",
                "<p>",
                "<table>",
                "<svg>",
                "<math>",
                "<style>",
                "<textarea>",
                "<title>",
            ][..]
        )
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_text_is_harmless(markdown in pieces()) {
        let html = render(&markdown);
        prop_assert_eq!(find_fault(&html), None, "{}", html);
        prop_assert_eq!(sanitizer::clean(&html), html);
    }

    #[test]
    fn any_html_is_made_harmless(html in pieces()) {
        let cleaned = sanitizer::clean(&html);
        prop_assert_eq!(find_fault(&cleaned), None, "{}", cleaned);
        // Links inside links, which a parser would part, can be left by what stood between them and was taken out. So once more may
        // change something, but never for the worse. What our renderer makes has none: see above.
        prop_assert_eq!(find_fault(&sanitizer::clean(&cleaned)), None, "{}", cleaned);
    }

    #[test]
    fn an_excerpt_is_one_line_and_no_longer(markdown in pieces(), characters in 1_usize..300) {
        let excerpt = excerpt(&markdown, characters);
        prop_assert!(excerpt.chars().count() <= characters + 2);
        prop_assert!(!excerpt.contains('\n'));
    }
}
