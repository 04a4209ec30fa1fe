//! Policies: what is kept, on which level, for how long. A route that names no policy is not cached.

use std::fmt;
use std::time::Duration;

/// The three levels, each with its own switch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// A whole page.
    View,
    /// A part of a page, rendered.
    Fragment,
    /// The result of a query.
    Value,
}

/// How one kind of thing is kept.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// The level, and with it the switch.
    pub level: Level,
    /// How long an entry lives if nothing invalidates it.
    pub lifetime: Duration,
}

/// `GET /`: the whole page for 60 seconds. Nothing invalidates it: a new comment shows in its counts within that time.
///
/// Whoever makes up cursors makes entries that nobody asks for again. They live as long as the others, and the memory limit of Redis
/// bounds them.
pub const POST_LIST: Policy = Policy { level: Level::View, lifetime: Duration::from_secs(60) };

/// `GET /posts/{id}`: the recent comments, rendered. Invalidated when a comment is added.
pub const RECENT_COMMENTS: Policy = Policy { level: Level::Fragment, lifetime: Duration::from_secs(300) };

/// `GET /posts/{id}`: the number of comments. Invalidated when a comment is added.
pub const COMMENT_COUNT: Policy = Policy { level: Level::Value, lifetime: Duration::from_secs(300) };

/// What the cache did for a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The entry was there and alive.
    Hit,
    /// The entry was not there, or dead, and has been made.
    Miss {
        /// Whether it could be kept.
        stored: bool,
    },
    /// The level is off, the route is not cached, or Redis did not answer.
    Bypass,
}

impl fmt::Display for Outcome {
    /// The parameters of a member of `Cache-Status` (RFC 9211).
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Hit => "hit",
            Self::Miss { stored: true } => "fwd=miss; stored",
            Self::Miss { stored: false } => "fwd=miss",
            Self::Bypass => "fwd=bypass",
        })
    }
}

/// The value of `Cache-Status`: one member per level that was asked. A page that is kept as a whole is `app`.
pub fn status_header(outcomes: &[(Level, Outcome)]) -> String {
    let members = outcomes.iter().map(|(level, outcome)| {
        let cache = match level {
            Level::View => "app",
            Level::Fragment => "app-fragment",
            Level::Value => "app-value",
        };
        format!("{cache}; {outcome}")
    });
    members.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lists_each_level() {
        assert_eq!(status_header(&[(Level::View, Outcome::Miss { stored: true })]), "app; fwd=miss; stored");
        assert_eq!(status_header(&[(Level::View, Outcome::Bypass)]), "app; fwd=bypass");
        assert_eq!(
            status_header(&[(Level::Fragment, Outcome::Hit), (Level::Value, Outcome::Miss { stored: false })]),
            "app-fragment; hit, app-value; fwd=miss"
        );
    }
}
