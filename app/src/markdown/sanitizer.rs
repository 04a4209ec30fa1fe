//! Cleans HTML by a list of what is allowed: the second line of defence, which does not trust the first. It knows nothing of Markdown.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use ammonia::{Builder, UrlRelative};

/// The elements that the renderer makes. No other is kept.
pub(super) const ELEMENTS: &[&str] = &[
    "a",
    "blockquote",
    "br",
    "code",
    "del",
    "em",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "strong",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
];

/// The attributes that an element may have, apart from `rel` of a link, which is set here.
const ATTRIBUTES: &[(&str, &[&str])] =
    &[("a", &["href", "title"]), ("code", &["class"]), ("ol", &["start"]), ("td", &["class"]), ("th", &["class"])];

/// Where links may lead, apart from relative addresses.
const SCHEMES: &[&str] = &["http", "https", "mailto"];

/// Built once: it is a dozen hash tables.
static BUILDER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let attributes = ATTRIBUTES.iter().map(|(element, names)| (*element, names.iter().copied().collect()));
    let mut builder = Builder::empty();
    builder
        .tags(ELEMENTS.iter().copied().collect())
        .tag_attributes(attributes.collect::<HashMap<&str, HashSet<&str>>>())
        // `lang` and `title` of any element, by default.
        .generic_attributes(HashSet::new())
        .clean_content_tags(HashSet::from(["script", "style"]))
        .url_schemes(SCHEMES.iter().copied().collect())
        .url_relative(UrlRelative::PassThrough)
        .link_rel(Some("nofollow noopener ugc"))
        .attribute_filter(|element, attribute, value| {
            is_kept(element, attribute, value).then_some(Cow::Borrowed(value))
        });
    builder
});

/// Cleans a piece of HTML. What the renderer makes comes out the same however often it is cleaned.
pub(super) fn clean(html: &str) -> String {
    BUILDER.clean(html).to_string()
}

/// Classes are few, so that no author can borrow the looks of another part of the page.
fn is_kept(element: &str, attribute: &str, value: &str) -> bool {
    let is_language = |name: &str| {
        let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-_".contains(&byte);
        (1..=20).contains(&name.len()) && name.bytes().all(is_part)
    };
    match (element, attribute) {
        ("code", "class") => value.strip_prefix("language-").is_some_and(is_language),
        ("td" | "th", "class") => matches!(value, "right" | "center"),
        _ => true,
    }
}
