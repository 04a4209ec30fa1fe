//! Reads a page of HTML as this project writes it: every element is closed, and text holds no `<`. Enough to ask what a reader and a
//! browser find in it; not a reader for any HTML.

use std::collections::BTreeSet;

/// An element that is open at some place, with its attributes as they are written.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    pub(crate) name: String,
    attributes: Vec<(String, String)>,
}

impl Element {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn has_class(&self, class: &str) -> bool {
        self.get("class").is_some_and(|classes| classes.split(' ').any(|own| own == class))
    }
}

/// What comes next: an element, or the text of the innermost one.
pub(crate) enum Piece<'t> {
    Element,
    Text(&'t str),
}

/// Elements that have no end.
const VOID: [&str; 5] = ["meta", "link", "br", "wbr", "!DOCTYPE"];

/// Goes through the page; `see` gets the open elements, the innermost last.
pub(crate) fn walk<'t>(page: &'t str, mut see: impl FnMut(&[Element], Piece<'t>)) {
    let mut open: Vec<Element> = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        if start > 0 {
            see(&open, Piece::Text(&rest[..start]));
        }
        let mut is_quoted = false;
        let length = rest[start..].bytes().position(|byte| {
            is_quoted ^= byte == b'"';
            byte == b'>' && !is_quoted
        });
        let end = start + length.expect("a tag ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            let closed = open.pop().expect("something is open");
            assert_eq!(closed.name, name, "`{name}` is closed, where `{}` is open", closed.name);
            continue;
        }
        open.push(element(tag));
        see(&open, Piece::Element);
        if tag.ends_with('/') || VOID.contains(&open[open.len() - 1].name.as_str()) {
            open.pop();
        } else if let name @ ("style" | "script") = open[open.len() - 1].name.clone().as_str() {
            let end = rest.find(&format!("</{name}>")).expect("a style or script ends");
            see(&open, Piece::Text(&rest[..end]));
            rest = &rest[end..];
        }
    }
    assert!(open.is_empty(), "these are not closed: {open:?}");
}

fn element(tag: &str) -> Element {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag.trim_end_matches('/'), ""));
    let mut attributes = Vec::new();
    while let Some((name, behind)) = rest.trim_start().split_once("=\"") {
        let (value, behind) = behind.split_once('"').expect("a value ends");
        // One without a value may stand before it.
        let name = name.rsplit(' ').next().unwrap_or(name);
        attributes.push((name.to_owned(), value.to_owned()));
        rest = behind;
    }
    Element { name: name.to_owned(), attributes }
}

/// What a browser would fetch to show the page, or would refuse because it stands inside of an element.
pub(crate) fn loaded(page: &str) -> Vec<String> {
    let mut loaded = Vec::new();
    walk(page, |open, piece| {
        let Some(element) = open.last() else { return };
        match piece {
            Piece::Element => {
                let is_loaded = |name: &str| match name {
                    "src" | "srcset" | "poster" | "data" | "action" | "background" | "xlink:href" | "style" => true,
                    "href" => element.name != "a",
                    name => name.starts_with("on"),
                };
                let found =
                    element.attributes.iter().filter(|(name, value)| is_loaded(name) && !value.starts_with("data:"));
                loaded.extend(found.map(|(name, value)| format!("{} {name}={value}", element.name)));
            }
            Piece::Text(text) if element.name == "style" || element.name == "script" => {
                let words = ["url(", "@import", "://", "import("];
                loaded.extend(words.iter().filter(|word| text.contains(**word)).map(|word| (*word).to_owned()));
            }
            Piece::Text(_) => {}
        }
    });
    loaded
}

/// Links to places within the page that are not there, and names that two places have.
pub(crate) fn broken_links(page: &str) -> Vec<String> {
    let (mut places, mut links, mut broken) = (BTreeSet::new(), Vec::new(), Vec::new());
    walk(page, |open, piece| {
        if let (Piece::Element, Some(element)) = (piece, open.last()) {
            if let Some(id) = element.get("id").filter(|id| !places.insert((*id).to_owned())) {
                broken.push(format!("two places are `{id}`"));
            }
            for name in ["href", "aria-labelledby"] {
                let target = element.get(name).filter(|target| name != "href" || target.starts_with('#'));
                links.extend(target.map(|target| target.trim_start_matches('#').to_owned()));
            }
        }
    });
    broken.extend(links.into_iter().filter(|link| !places.contains(link)));
    broken
}

/// Words with digits that neither name their cell nor are no results: code, names, facts, the numbers of headings and captions.
pub(crate) fn numbers_without_address(page: &str, allowed: &[&str]) -> Vec<String> {
    let mut blocks = vec![String::new()];
    walk(page, |open, piece| {
        let is_text = open.iter().any(|element| element.name == "main") && !open.iter().any(has_no_results);
        match piece {
            Piece::Element if is_block(&open[open.len() - 1].name) => blocks.push(String::new()),
            Piece::Text(text) if is_text => {
                let last = blocks.last_mut().expect("a block");
                last.push_str(if open.iter().any(is_addressed) { "\u{fffc}" } else { text });
            }
            _ => {}
        }
    });
    let plain = |block: String| {
        let phrases = allowed.iter().map(|phrase| phrase.replace('_', ""));
        phrases.fold(block, |block, phrase| block.replace(&phrase, " "))
    };
    let is_number = |word: &str| {
        let word = word.trim_start_matches(|letter: char| !letter.is_alphanumeric());
        word.starts_with(|letter: char| letter.is_ascii_digit())
    };
    let words = blocks.into_iter().map(plain).flat_map(|block| {
        block.split_whitespace().filter(|word| is_number(word)).map(str::to_owned).collect::<Vec<_>>()
    });
    words.collect()
}

/// Sentences in which a number is missing: its place is there, and a dash stands in it. In a table, a dash is an answer.
pub(crate) fn holes(page: &str) -> Vec<String> {
    let mut blocks = vec![(String::new(), false)];
    walk(page, |open, piece| {
        let is_text = !open.iter().any(|element| element.name == "table");
        match piece {
            Piece::Element if is_block(&open[open.len() - 1].name) => blocks.push((String::new(), false)),
            Piece::Text(text) if is_text => {
                let (words, has_hole) = blocks.last_mut().expect("a block");
                words.push_str(text);
                *has_hole |= text.trim() == "–" && open.iter().any(is_addressed);
            }
            _ => {}
        }
    });
    blocks.into_iter().filter(|(_, has_hole)| *has_hole).map(|(words, _)| words).collect()
}

fn is_block(name: &str) -> bool {
    ["p", "li", "figcaption", "aside", "div", "section", "td", "th", "h1", "h2", "h3", "h4", "pre", "figure"]
        .contains(&name)
}

/// Whether what stands in it comes from a cell.
fn is_addressed(element: &Element) -> bool {
    element.get("title").is_some_and(|title| title.starts_with("results/summary/"))
}

/// Where digits stand for something else: names and texts of cells (but not their numbers), what programs said, and counts of things.
fn has_no_results(element: &Element) -> bool {
    let is_text_cell =
        ["th", "td"].contains(&element.name.as_str()) && !(element.name == "td" && element.has_class("number"));
    let is_remark =
        element.name == "aside" && ["warning", "stale", "failed"].iter().any(|class| element.has_class(class));
    is_text_cell
        || is_remark
        || ["code", "pre", "svg", "nav", "dl"].contains(&element.name.as_str())
        || element.has_class("date")
        || (element.name == "span" && element.has_class("number"))
        || (element.name == "a"
            && !element.has_class("value")
            && element.get("href").is_some_and(|to| to.starts_with('#')))
}

#[test]
fn the_reader_of_pages_is_not_blind() {
    let page = "<main><p id=\"a\">p50 is <a class=\"value\" title=\"results/summary/x.csv, row 1\" href=\"#b\">5 ms</a>, not 7 or 95 %.</p>\
                <table><tr><td class=\"number\">8</td><td>9</td></tr></table><a href=\"#a\">Table 3</a><img src=\"x\"/><i id=\"a\" style=\"y\"></i></main>";
    assert_eq!(numbers_without_address(page, &["95 %"]), ["7", "8"]);
    assert_eq!(broken_links(page), ["two places are `a`", "b"]);
    assert_eq!(loaded(page), ["img src=x", "i style=y"]);
    let page = "<p>It is <a title=\"results/summary/x.csv\">–</a> of 3.</p><p>It is – so.</p>\
                <table><tr><td><a title=\"results/summary/x.csv\">–</a></td></tr></table>";
    assert_eq!(holes(page), ["It is – of 3."]);
    assert_eq!(loaded("<style>a { background: url(x) }</style>"), ["url("]);
}
