//! Keys and tags: made from typed values only, never from the text of an address, so that two different things cannot share one.

use std::fmt;
use std::str::FromStr;

use crate::cursor::Cursor;
use crate::input::TagName;

/// What an entry is about. Everything that the entry depends on is in here: whoever makes it is given nothing else of a request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Key {
    /// The page of the list of posts that begins at this cursor.
    PostList(Cursor),
    /// The page of the posts of an author.
    AuthorPage(i64, Cursor),
    /// The page of the posts that carry a tag.
    TagPage(TagName, Cursor),
    /// The feed of the newest posts.
    Feed,
    /// The feed of the newest posts of an author.
    AuthorFeed(i64),
    /// The feed of the newest posts that carry a tag.
    TagFeed(TagName),
    /// The text of a post, rendered.
    Article(i64),
    /// The recent comments of a post, rendered.
    RecentComments(i64),
    /// The number of comments of a post.
    CommentCount(i64),
    /// The page of a post, put together from the three above. It is kept in memory only.
    PostPage(i64),
}

/// What is forgotten together. A bump of a tag makes every entry under it worthless.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Tag {
    /// Everything that shows the newest posts.
    PostList,
    /// Everything on the page of a post.
    Post(i64),
    /// The pages of an author.
    Author(i64),
    /// The pages of a tag of posts, by the tag's id.
    ///
    /// Readers ask for these pages by the tag's name, and writers know its id. So that neither has to look up the other, all of these
    /// share one mark: a new post makes the pages of every tag anew, as it does the front page.
    Tag(i64),
    /// Every page, fragment and value that was made from the database.
    All,
}

impl Key {
    /// The tag that an entry under this key depends on, besides [`Tag::All`]. It follows from the key, so that one round trip can ask
    /// for an entry and for the marks that it must have been made under.
    pub fn tag(&self) -> Tag {
        match *self {
            Self::PostList(_) | Self::Feed => Tag::PostList,
            Self::AuthorPage(author_id, _) | Self::AuthorFeed(author_id) => Tag::Author(author_id),
            Self::TagPage(..) | Self::TagFeed(_) => ANY_TAG,
            Self::Article(post_id)
            | Self::RecentComments(post_id)
            | Self::CommentCount(post_id)
            | Self::PostPage(post_id) => Tag::Post(post_id),
        }
    }
}

/// What stands for [`Tag::Tag`] of every id.
const ANY_TAG: Tag = Tag::Tag(0);

impl Tag {
    /// Each once, by the mark that it has or shares.
    pub(super) fn distinct(tags: impl Iterator<Item = Self>) -> Vec<Self> {
        let mut distinct = Vec::with_capacity(4);
        for tag in tags.map(Self::shared) {
            if !distinct.contains(&tag) {
                distinct.push(tag);
            }
        }
        distinct
    }

    /// The tag whose mark this one shares.
    pub(super) fn shared(self) -> Self {
        if matches!(self, Self::Tag(_)) { ANY_TAG } else { self }
    }
}

impl fmt::Display for Key {
    /// Each kind has its own word, and no value can look like a separator.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PostList(cursor) => write!(formatter, "post-list:{cursor}"),
            Self::AuthorPage(author_id, cursor) => write!(formatter, "author-page:{author_id}:{cursor}"),
            Self::TagPage(name, cursor) => write!(formatter, "tag-page:{name}:{cursor}"),
            Self::Feed => write!(formatter, "feed"),
            Self::AuthorFeed(author_id) => write!(formatter, "author-feed:{author_id}"),
            Self::TagFeed(name) => write!(formatter, "tag-feed:{name}"),
            Self::Article(post_id) => write!(formatter, "article:{post_id}"),
            Self::RecentComments(post_id) => write!(formatter, "recent-comments:{post_id}"),
            Self::CommentCount(post_id) => write!(formatter, "comment-count:{post_id}"),
            Self::PostPage(post_id) => write!(formatter, "post-page:{post_id}"),
        }
    }
}

impl fmt::Display for Tag {
    /// The same words as in the notifications of the database (see `migrations/`).
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PostList => write!(formatter, "post-list"),
            Self::Post(post_id) => write!(formatter, "post:{post_id}"),
            Self::Author(author_id) => write!(formatter, "author:{author_id}"),
            Self::Tag(tag_id) => write!(formatter, "tag:{tag_id}"),
            Self::All => write!(formatter, "all"),
        }
    }
}

impl FromStr for Tag {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.split_once(':') {
            None if text == "post-list" => Ok(Self::PostList),
            None if text == "all" => Ok(Self::All),
            Some(("post", id)) => id.parse().map(Self::Post).map_err(|_| ()),
            Some(("author", id)) => id.parse().map(Self::Author).map_err(|_| ()),
            Some(("tag", id)) => id.parse().map(Self::Tag).map_err(|_| ()),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    fn any_cursor() -> impl Strategy<Value = Cursor> {
        (0..12_i64, any_number())
            .prop_map(|(time, id)| Cursor::after(DateTime::from_timestamp_micros(time).unwrap(), id))
    }

    // Few numbers and names, so that equal ones meet.
    fn any_number() -> impl Strategy<Value = i64> {
        prop_oneof![-3..12_i64, any::<i64>()]
    }

    fn any_name() -> impl Strategy<Value = TagName> {
        prop_oneof!["[a-c0-2]{1,3}", "[a-z0-9]{1,5}(-[a-z0-9]{1,5}){0,5}"].prop_map(|name| TagName::new(&name).unwrap())
    }

    fn any_key() -> impl Strategy<Value = Key> {
        prop_oneof![
            any_cursor().prop_map(Key::PostList),
            (any_number(), any_cursor()).prop_map(|(id, cursor)| Key::AuthorPage(id, cursor)),
            (any_name(), any_cursor()).prop_map(|(name, cursor)| Key::TagPage(name, cursor)),
            Just(Key::Feed),
            any_number().prop_map(Key::AuthorFeed),
            any_name().prop_map(Key::TagFeed),
            any_number().prop_map(Key::Article),
            any_number().prop_map(Key::RecentComments),
            any_number().prop_map(Key::CommentCount),
            any_number().prop_map(Key::PostPage),
        ]
    }

    fn any_tag() -> impl Strategy<Value = Tag> {
        prop_oneof![
            Just(Tag::PostList),
            any_number().prop_map(Tag::Post),
            any_number().prop_map(Tag::Author),
            any_number().prop_map(Tag::Tag),
            Just(Tag::All),
        ]
    }

    proptest! {
        #[test]
        fn different_things_have_different_keys(one in any_key(), other in any_key()) {
            prop_assert_eq!(one == other, one.to_string() == other.to_string());
        }

        #[test]
        fn a_tag_survives_being_written_and_read(one in any_tag(), other in any_tag()) {
            prop_assert_eq!(one.to_string().parse(), Ok(one));
            prop_assert_eq!(one == other, one.to_string() == other.to_string());
        }
    }
}
