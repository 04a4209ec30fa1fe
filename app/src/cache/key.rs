//! Keys: made from typed values only, never from the text of an address, so that two different things cannot share one.

use crate::cursor::Cursor;

/// Changes when what is kept under a key changes its meaning, so that a new version never reads what an old one has kept.
const VERSION: &str = "v1";

/// What an entry is about.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Key {
    /// The page of the list of posts that begins at this cursor.
    PostList(Cursor),
    /// The fragment with the recent comments of a post.
    RecentComments(i64),
    /// The number of comments of a post.
    CommentCount(i64),
    /// The generation that everything about a post depends on.
    PostGeneration(i64),
}

impl Key {
    /// The key as Redis sees it. Each kind has its own word, and the values are numbers: no value can look like a separator.
    pub fn text(&self, prefix: &str) -> String {
        match self {
            Self::PostList(cursor) => format!("{prefix}:{VERSION}:post-list:{cursor}"),
            Self::RecentComments(post_id) => format!("{prefix}:{VERSION}:recent-comments:{post_id}"),
            Self::CommentCount(post_id) => format!("{prefix}:{VERSION}:comment-count:{post_id}"),
            Self::PostGeneration(post_id) => format!("{prefix}:{VERSION}:post-generation:{post_id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    fn any_key() -> impl Strategy<Value = Key> {
        // Few numbers, so that equal ones meet.
        let number = prop_oneof![-3..12_i64, any::<i64>()];
        let cursor = (0..12_i64, number.clone())
            .prop_map(|(time, id)| Cursor::after(DateTime::from_timestamp_micros(time).unwrap(), id));
        prop_oneof![
            cursor.prop_map(Key::PostList),
            number.clone().prop_map(Key::RecentComments),
            number.clone().prop_map(Key::CommentCount),
            number.prop_map(Key::PostGeneration),
        ]
    }

    proptest! {
        #[test]
        fn different_things_have_different_keys(one in any_key(), other in any_key()) {
            prop_assert_eq!(one == other, one.text("blog") == other.text("blog"));
        }
    }
}
