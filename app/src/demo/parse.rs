//! Reads one file of the demonstration: a head between two lines of `---`, the text of the post, and its comments, each under a line
//! `=== AUTHOR TIME`. Lines of a paragraph are joined in comments, which are plain text.

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};

/// A post with its comments.
#[derive(Debug, PartialEq)]
pub(super) struct Document<'a> {
    pub(super) title: &'a str,
    pub(super) author: &'a str,
    pub(super) tags: Vec<String>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) content: String,
    pub(super) comments: Vec<Comment<'a>>,
}

/// A comment on it.
#[derive(Debug, PartialEq)]
pub(super) struct Comment<'a> {
    pub(super) author: &'a str,
    pub(super) created_at: DateTime<Utc>,
    pub(super) content: String,
}

impl<'a> Document<'a> {
    pub(super) fn parse(text: &'a str) -> anyhow::Result<Self> {
        let rest = text.strip_prefix("---\n").context("it does not begin with `---`")?;
        let (head, body) = rest.split_once("\n---\n").context("the head is not closed with `---`")?;
        let mut parts = body.split("\n=== ");
        let content = parts.next().unwrap_or_default().trim().to_owned();
        let created_at = field(head, "created")?;
        Ok(Self {
            title: field(head, "title")?,
            author: field(head, "author")?,
            tags: field(head, "tags")?.split(',').map(|tag| tag.trim().to_owned()).collect(),
            created_at: time(created_at)?,
            content,
            comments: parts.map(comment).collect::<anyhow::Result<_>>()?,
        })
    }
}

fn field<'a>(head: &'a str, name: &str) -> anyhow::Result<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    let (_, value) = fields.find(|(key, _)| *key == name).with_context(|| format!("the head has no `{name}`"))?;
    Ok(value.trim())
}

fn time(text: &str) -> anyhow::Result<DateTime<Utc>> {
    text.parse().with_context(|| format!("`{text}` is no time such as `2026-01-06T07:40:00Z`"))
}

fn comment(part: &str) -> anyhow::Result<Comment<'_>> {
    let (head, content) = part.split_once('\n').context("a comment has no text")?;
    let Some((author, created_at)) = head.split_once(' ') else {
        bail!("a comment begins with `=== {head}`, but it takes an author and a time");
    };
    let paragraphs: Vec<String> = content.trim().split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect();
    Ok(Comment { author, created_at: time(created_at.trim())?, content: paragraphs.join("\n\n") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read() {
        let text = "---\ntitle: A: b\nauthor: x\ntags: p, q\ncreated: 2026-01-06T07:40:00Z\n---\nText\n\n    code\n\
                    === y 2026-01-06T08:00:00Z\nTwo\nlines.\n\nTwo paragraphs.\n";
        let document = Document::parse(text).unwrap();
        assert_eq!((document.title, document.content.as_str()), ("A: b", "Text\n\n    code"));
        assert_eq!(document.tags, ["p", "q"]);
        assert_eq!(
            (document.comments[0].author, document.comments[0].content.as_str()),
            ("y", "Two lines.\n\nTwo paragraphs.")
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str| format!("{:#}", Document::parse(text).unwrap_err());
        assert_eq!(error(""), "it does not begin with `---`");
        assert_eq!(error("---\nauthor: x\n---\n"), "the head has no `created`");
        assert!(error("---\ntitle: t\nauthor: a\ntags: t\ncreated: today\n---\n").starts_with("`today` is no time"));
        assert!(
            error("---\ntitle: t\nauthor: a\ntags: t\ncreated: 2026-01-06T07:40:00Z\n---\n\n=== y\nx")
                .contains("takes an author")
        );
    }
}
