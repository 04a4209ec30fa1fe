//! Where a page of a list begins: after the post with this time and this id. It knows nothing of HTTP or SQL.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};

/// The last microsecond that a cursor may name, in the year 9999: well inside what both PostgreSQL and `chrono` can hold.
const MICROSECONDS_MAX: i64 = 253_402_300_799_999_999;

/// A position in a list of posts, newest first. The list goes on with the posts before it.
///
/// Its text is `MICROSECONDS.ID`, for example `1767225600000000.42`; it comes back exactly as PostgreSQL stores it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Cursor {
    created_at_us: i64,
    id: i64,
}

/// The text is not a cursor.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("“{0}” is not a position in a list; follow a link of the list instead of writing one")]
pub struct CursorError(String);

impl Cursor {
    /// Before every post: the first page.
    pub const START: Self = Self { created_at_us: MICROSECONDS_MAX, id: i64::MAX };

    /// The position just after a post.
    pub fn after(created_at: DateTime<Utc>, id: i64) -> Self {
        Self { created_at_us: created_at.timestamp_micros(), id }
    }

    /// The time of the post that this position comes after.
    pub fn created_at(self) -> DateTime<Utc> {
        // Every way of making a cursor keeps to times that `chrono` can hold.
        DateTime::from_timestamp_micros(self.created_at_us).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// The id of the post that this position comes after.
    pub fn id(self) -> i64 {
        self.id
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.created_at_us, self.id)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let error = || CursorError(text.chars().take(60).collect());
        let (created_at_us, id) = text.split_once('.').ok_or_else(error)?;
        let cursor =
            Self { created_at_us: created_at_us.parse().map_err(|_| error())?, id: id.parse().map_err(|_| error())? };
        // One text per position: `+5.01` would be the same position under another cache key.
        let canonical = cursor.to_string() == text;
        if canonical && (0..=MICROSECONDS_MAX).contains(&cursor.created_at_us) { Ok(cursor) } else { Err(error()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refuses_what_is_not_a_cursor() {
        for text in
            ["", ".", "1", "1.", ".1", "a.1", "1.a", "1.1.1", "+1.1", "01.1", "-1.1", "253402300800000000.1", "1.1 "]
        {
            assert!(text.parse::<Cursor>().is_err(), "`{text}` was taken for a cursor");
        }
    }

    #[test]
    fn start_is_a_cursor() {
        assert_eq!(Cursor::START.to_string().parse(), Ok(Cursor::START));
    }

    proptest! {
        #[test]
        fn survives_being_written_and_read(created_at_us in 0..=MICROSECONDS_MAX, id: i64) {
            let created_at = DateTime::from_timestamp_micros(created_at_us).unwrap();
            let cursor = Cursor::after(created_at, id);
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
            prop_assert_eq!(cursor.created_at(), created_at);
            prop_assert_eq!(cursor.id(), id);
        }

        #[test]
        fn any_text_is_refused_or_canonical(text in "\\PC{0,40}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }
}
