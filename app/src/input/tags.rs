//! The tags of a post. A tag is also an address (`/tags/query-planner`), so it has one spelling, to which what people type is brought.

use std::fmt;

/// The most tags of a post.
pub const TAGS_MAX: usize = 8;

/// The longest tag, in characters, as in the schema.
const TAG_CHARACTERS_MAX: usize = 40;

/// The names of the tags of a post: each in its one spelling, none twice, in the order in which they were given.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TagNames(Vec<String>);

impl TagNames {
    /// Reads one line of tags with commas between them.
    pub fn parse_line(line: &str) -> Result<Self, String> {
        Self::parse_list(line.split([',', ';', '\n']))
    }

    /// Reads a list. Empty names are no tags.
    pub fn parse_list<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut tags: Vec<String> = Vec::new();
        for name in names.into_iter().map(str::trim).filter(|name| !name.is_empty()) {
            let tag = spelling(name)?;
            if !tags.contains(&tag) {
                tags.push(tag);
            }
            // Checked here and not at the end, so that a line of a million tags ends at the ninth.
            if tags.len() > TAGS_MAX {
                return Err(format!("A post has at most {TAGS_MAX} tags."));
            }
        }
        Ok(Self(tags))
    }

    /// The names.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

/// `Query  planner` and `query_planner` are `query-planner`.
fn spelling(name: &str) -> Result<String, String> {
    let shown: String = name.chars().take(TAG_CHARACTERS_MAX).collect();
    if name.chars().count() > TAG_CHARACTERS_MAX {
        return Err(format!("A tag has at most {TAG_CHARACTERS_MAX} characters; “{shown}…” has more."));
    }
    let is_separator = |character: char| character.is_whitespace() || character == '_' || character == '-';
    let words: Vec<&str> = name.split(is_separator).filter(|word| !word.is_empty()).collect();
    let fits = |word: &&str| word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if words.is_empty() || !words.iter().all(fits) {
        return Err(format!(
            "A tag consists of the letters a to z, digits and hyphens, such as query-planner; “{shown}” does not."
        ));
    }
    Ok(words.join("-").to_ascii_lowercase())
}

/// The name of a tag of posts, in the one form that the schema accepts: lower case, digits and single hyphens, at most 40 of them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct TagName {
    bytes: [u8; 40],
    length: u8,
}

impl TagName {
    /// None if no tag can have this name, so that nothing needs to be asked or kept for it.
    pub fn new(name: &str) -> Option<Self> {
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        let mut bytes = [0; 40];
        bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        let length = u8::try_from(name.len()).ok()?;
        name.split('-').all(is_word).then_some(Self { bytes, length })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl fmt::Display for TagName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tags_have_one_spelling_and_come_once() {
        let tags = TagNames::parse_line(" Rust, query  planner ,,Query_Planner; b-tree").unwrap();
        assert_eq!(tags.as_slice(), ["rust", "query-planner", "b-tree"]);
        assert_eq!(TagNames::parse_line(" , ").unwrap().as_slice(), [] as [&str; 0]);
    }

    #[test]
    fn what_is_no_tag_is_named() {
        assert!(TagNames::parse_line("c++").unwrap_err().contains("“c++”"));
        assert!(TagNames::parse_line("-").unwrap_err().contains("“-”"));
        assert!(TagNames::parse_line(&"x".repeat(41)).unwrap_err().contains("at most 40"));
        assert_eq!(TagNames::parse_line("a,b,c,d,e,f,g,h,i").unwrap_err(), "A post has at most 8 tags.");
        assert_eq!(TagNames::parse_line("a,a,a,a,a,a,a,a,a,A").unwrap().as_slice(), ["a"]);
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_is_the_name(text in "\\PC{0,45}|[a-z0-9-]{0,45}") {
            if let Some(name) = TagName::new(&text) {
                prop_assert_eq!(name.as_str(), text);
            }
        }

        #[test]
        fn a_spelling_is_its_own_spelling(line in "[a-zA-Z0-9 _,é-]{0,60}") {
            if let Ok(tags) = TagNames::parse_line(&line) {
                prop_assert_eq!(TagNames::parse_line(&tags.as_slice().join(",")), Ok(tags));
            }
        }
    }

    #[test]
    fn names_are_those_of_the_schema() {
        for name in ["a", "0", "a-b", "query-planner", &"x".repeat(40)] {
            assert!(TagName::new(name).is_some(), "`{name}` was refused");
        }
        for name in ["", "-", "a-", "-a", "a--b", "A", "a b", "ä", "a\0", &"x".repeat(41)] {
            assert!(TagName::new(name).is_none(), "`{name}` was accepted");
        }
    }
}
