//! What a post and a comment consist of.

use super::tags::TagNames;
use super::text::{is_visible, lines, number, unkeepable, unkeepable_message};
use super::{Problems, Reader, text_field};

/// The longest title, in characters, as in the schema.
pub const TITLE_CHARACTERS_MAX: usize = 200;

/// The longest post, in characters, as in the schema.
pub const POST_CHARACTERS_MAX: usize = 100_000;

/// The longest comment, in characters, as in the schema.
pub const COMMENT_CHARACTERS_MAX: usize = 2000;

text_field! {
    /// The title of a post: one line.
    Title
}

text_field! {
    /// The text of a post, in Markdown.
    PostContent
}

text_field! {
    /// The text of a comment: plain, with line breaks.
    CommentContent
}

impl Title {
    /// Reads a title.
    pub fn parse(text: &str) -> Result<Self, String> {
        let title = text.trim();
        if !is_visible(title) {
            return Err("Please give a title.".to_owned());
        }
        if title.contains(['\n', '\r']) {
            return Err("A title is a single line.".to_owned());
        }
        within("A title", title, TITLE_CHARACTERS_MAX)?;
        Ok(Self(title.to_owned()))
    }
}

impl PostContent {
    /// Reads the text of a post.
    pub fn parse(text: &str) -> Result<Self, String> {
        let content = lines(text);
        if !is_visible(&content) {
            return Err("Please write something.".to_owned());
        }
        within("A post", &content, POST_CHARACTERS_MAX)?;
        Ok(Self(content))
    }
}

impl CommentContent {
    /// Reads the text of a comment.
    pub fn parse(text: &str) -> Result<Self, String> {
        let content = lines(text);
        if !is_visible(&content) {
            return Err("Please write something.".to_owned());
        }
        within("A comment", &content, COMMENT_CHARACTERS_MAX)?;
        Ok(Self(content))
    }
}

fn within(what: &str, text: &str, characters_max: usize) -> Result<(), String> {
    let length = text.chars().count();
    if length > characters_max {
        let (characters_max, length) = (number(characters_max), number(length));
        return Err(format!("{what} has at most {characters_max} characters; this one has {length}."));
    }
    match unkeepable(text) {
        Some(character) => Err(unkeepable_message(what, character)),
        None => Ok(()),
    }
}

/// A post as somebody wrote it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PostInput {
    /// The field `title`.
    pub title: Title,
    /// The field `content`.
    pub content: PostContent,
    /// The field `tags`.
    pub tags: TagNames,
}

impl PostInput {
    /// Reads a form, whose tags are one line: `rust, query planner`.
    pub fn parse(title: &str, content: &str, tags: &str) -> Result<Self, Problems> {
        Self::build(title, content, TagNames::parse_line(tags))
    }

    /// Reads a JSON object, whose tags are a list.
    pub fn parse_with_list(title: &str, content: &str, tags: &[impl AsRef<str>]) -> Result<Self, Problems> {
        Self::build(title, content, TagNames::parse_list(tags.iter().map(AsRef::as_ref)))
    }

    fn build(title: &str, content: &str, tags: Result<TagNames, String>) -> Result<Self, Problems> {
        let mut reader = Reader::default();
        let title = reader.take("title", Title::parse(title));
        let content = reader.take("content", PostContent::parse(content));
        let tags = reader.take("tags", tags);
        match (title, content, tags) {
            (Some(title), Some(content), Some(tags)) => Ok(Self { title, content, tags }),
            _ => Err(reader.problems()),
        }
    }
}

/// A comment as somebody wrote it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommentInput {
    /// The field `content`.
    pub content: CommentContent,
}

impl CommentInput {
    /// Reads a form or a JSON object.
    pub fn parse(content: &str) -> Result<Self, Problems> {
        let content = CommentContent::parse(content).map_err(|message| Problems::one("content", message))?;
        Ok(Self { content })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_of_a_post_is_told_at_once() {
        let problems = PostInput::parse(" ", "a\0b", "c++").unwrap_err();
        let told: Vec<&str> = problems.iter().map(|problem| problem.field).collect();
        assert_eq!(told, ["title", "content", "tags"]);
        assert_eq!(problems.of("title"), Some("Please give a title."));
        assert!(problems.of("content").unwrap().contains("U+0000"));
    }

    #[test]
    fn lengths_count_characters_and_not_bytes() {
        assert!(Title::parse(&"漢".repeat(200)).is_ok());
        let problem = Title::parse(&"漢".repeat(201)).unwrap_err();
        assert_eq!(problem, "A title has at most 200 characters; this one has 201.");
        assert!(PostContent::parse(&"🦀".repeat(100_000)).is_ok());
        let problem = PostContent::parse(&"x".repeat(100_001)).unwrap_err();
        assert_eq!(problem, "A post has at most 100,000 characters; this one has 100,001.");
    }

    #[test]
    fn a_title_is_one_line_and_a_comment_may_have_many() {
        assert_eq!(Title::parse("a\nb").unwrap_err(), "A title is a single line.");
        assert_eq!(CommentContent::parse(" a\r\n\r\nb ").unwrap().as_str(), "a\n\nb");
    }
}
