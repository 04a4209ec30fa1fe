//! Policies: what is kept, on which level, for how long. A route that names no policy is not cached.

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

impl Level {
    /// Every level, in the order of their places in arrays.
    pub const ALL: [Self; 3] = [Self::View, Self::Fragment, Self::Value];

    /// The name of the level, in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Fragment => "fragment",
            Self::Value => "value",
        }
    }
}

/// How one kind of thing is kept.
#[derive(Debug)]
pub struct Policy {
    /// The level, and with it the switch.
    pub level: Level,
    /// How long an entry is fresh if nothing invalidates it.
    pub ttl: Duration,
    /// For how long after that it is still shown, while one server makes it anew. Never shown if it was invalidated.
    pub grace: Duration,
    /// How long it is remembered that there is no such thing.
    pub negative_ttl: Duration,
}

const fn policy(level: Level, ttl_s: u64, grace_s: u64) -> Policy {
    Policy {
        level,
        ttl: Duration::from_secs(ttl_s),
        grace: Duration::from_secs(grace_s),
        negative_ttl: Duration::from_secs(10),
    }
}

/// The lists of posts: all, of an author, of a tag. A new, changed or deleted post invalidates them; a new comment does not, so the
/// numbers of comments in them may be as old as the entry.
///
/// Whoever makes up cursors makes entries that nobody asks for again. They live as long as the others, and the memory limit of Redis
/// bounds them.
pub static LISTS: Policy = policy(Level::View, 60, 30);

/// The feeds of the newest posts: of all, of an author, of a tag. Invalidated like the lists.
pub static FEEDS: Policy = policy(Level::View, 60, 30);

/// The text of a post, rendered: what is on its page besides the comments. Like the two below, invalidated by whatever happens to the
/// post and by each of its comments.
pub static ARTICLE: Policy = policy(Level::Fragment, 300, 60);

/// The recent comments of a post, rendered.
pub static RECENT_COMMENTS: Policy = policy(Level::Fragment, 300, 60);

/// The number of comments of a post.
pub static COMMENT_COUNT: Policy = policy(Level::Value, 300, 60);

/// What the cache did for a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The entry was there and alive.
    Hit {
        /// For how many seconds it is still fresh; less than 0 if it was shown within its grace.
        ttl_s: i64,
    },
    /// The entry was not there, or dead, and has been made.
    Miss {
        /// Whether it could be kept.
        stored: bool,
        /// Whether somebody else had begun to make it.
        collapsed: bool,
    },
    /// The level is off, the route is not cached, or Redis did not answer.
    Bypass,
}
