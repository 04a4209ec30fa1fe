//! Words: user names, titles, paragraphs and comments that read like a blog about backends. No word needs escaping in COPY; a new line
//! inside a text is written as `\n`, the way COPY reads it.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

const FIRST_NAMES: &[&str] = &[
    "ada",
    "alan",
    "barbara",
    "claude",
    "dana",
    "edsger",
    "emmy",
    "frances",
    "grace",
    "hedy",
    "ivan",
    "jean",
    "karen",
    "leslie",
    "margaret",
    "niklaus",
    "olga",
    "peter",
    "radia",
    "robin",
    "shafi",
    "tony",
    "ursula",
    "whitfield",
];

const LAST_NAMES: &[&str] = &[
    "allen",
    "bachman",
    "codd",
    "dijkstra",
    "erlang",
    "floyd",
    "gray",
    "hamilton",
    "hopper",
    "iverson",
    "jacobson",
    "kleinrock",
    "lamport",
    "liskov",
    "mohan",
    "noether",
    "perlman",
    "ritchie",
    "selinger",
    "turing",
    "wirth",
    "zuse",
];

const TAG_WORDS: &[&str] = &[
    "postgres",
    "redis",
    "rust",
    "caching",
    "indexes",
    "latency",
    "throughput",
    "nginx",
    "load-balancing",
    "sql",
    "http",
    "async",
    "benchmarks",
    "queues",
    "timeouts",
    "replication",
    "sharding",
    "observability",
    "tracing",
    "memory",
    "profiling",
    "schema-design",
    "migrations",
    "transactions",
    "testing",
    "deployment",
    "linux",
    "networking",
    "statistics",
    "capacity",
    "security",
    "sessions",
    "pagination",
    "planner",
    "vacuum",
    "write-ahead-log",
    "backups",
    "incidents",
    "reviews",
    "notes",
];

const TITLE_OPENINGS: &[&str] = &[
    "What we learned from",
    "A closer look at",
    "The hidden cost of",
    "Measuring",
    "In praise of",
    "Against",
    "Notes on",
    "Debugging",
    "Living with",
    "Five years of",
    "How not to think about",
    "A short history of",
    "When to avoid",
    "The quiet life of",
    "Rethinking",
];

const TOPICS: &[&str] = &[
    "the slow query log",
    "keyset pagination",
    "a cache that was never invalidated",
    "connection pools",
    "the composite index",
    "an index that nobody used",
    "tail latency",
    "the second replica",
    "retries without a budget",
    "a table of ten million rows",
    "sticky sessions",
    "the sixty-second cache",
    "prepared statements",
    "a Friday deployment",
    "the closed loop",
    "open-loop load",
    "cold starts",
    "the write-ahead log",
    "a counter that lied",
    "graceful shutdown",
    "health checks",
    "the noisy neighbour",
    "lateral joins",
    "the thundering herd",
    "statement time-outs",
    "a very long migration",
    "the p99 of a quiet service",
];

const OPENINGS: &[&str] = &[
    "In practice,",
    "On a busy day,",
    "After the first week,",
    "Seen from outside,",
    "Before anybody noticed,",
    "In our measurements,",
    "To nobody's surprise,",
    "Once the data outgrew memory,",
    "During the surge,",
    "On two cores,",
    "With the indexes in place,",
    "Without a time-out,",
    "When traffic doubled,",
    "As the graphs show,",
    "For most readers,",
    "In the worst case,",
];

const SUBJECTS: &[&str] = &[
    "the query planner",
    "a single slow request",
    "the connection pool",
    "an index on the wrong column",
    "the balancer",
    "the list page",
    "the busiest post",
    "a cache with no limit",
    "the second server",
    "every retry",
    "a missing statistic",
    "the operating system",
    "the nightly job",
    "a cold cache",
    "one forgotten lock",
    "the oldest transaction",
    "the load generator",
    "the median",
    "a well-chosen cursor",
    "the front page",
];

const VERBS: &[&str] = &[
    "hides",
    "explains",
    "moves",
    "doubles",
    "competes with",
    "waits for",
    "pays for",
    "depends on",
    "outlives",
    "shadows",
    "amplifies",
    "reveals",
    "postpones",
    "slows down",
    "protects",
    "replaces",
];

const OBJECTS: &[&str] = &[
    "the time that everybody else spends in the queue",
    "more work than the whole page it serves",
    "the difference between the mean and the tail",
    "the memory of the process next to it",
    "a sequential scan of the largest table",
    "a sort that no reader ever asked for",
    "the next request on the same connection",
    "the price of every insert",
    "a round trip that could have been saved",
    "the comments of posts that are no longer read",
    "what the dashboard calls normal",
    "a decision that was made years ago",
    "the promise that we made to our users",
    "a lock that is held for far too long",
    "the part of the plan that looked harmless",
    "the results of last month",
];

const TAILS: &[&str] = &[
    "",
    "",
    "",
    ", and the plan says so in plain words",
    ", which is why we measured it twice",
    ", although the average looks fine",
    ", and a second look confirmed it",
    ", so we wrote a test for it",
    ", as anybody who has been on call knows",
    ", until the buffers are warm again",
    ", whatever the configuration says",
    ", and the fix was a single line",
];

const REMARKS: &[&str] = &[
    "Thank you, this is the clearest account of it that I have read.",
    "We ran into exactly this last year.",
    "How large was the table when you measured?",
    "I am not convinced by the second paragraph.",
    "Did you try it with a warm cache?",
    "This matches what we see in production.",
    "Could you share the plan as well?",
    "The last figure deserves a post of its own.",
    "A time-out would have saved us, too.",
    "I would add that statistics were stale in our case.",
    "Nice, but how does it behave under load?",
    "Please write more of these.",
    "We went back to the simple version and never regretted it.",
    "What happens when Redis is away?",
    "The index made it worse for us, until we dropped the old one.",
    "I had to read it twice, and it was worth it.",
];

fn pick<'a>(words: &[&'a str], rng: &mut ChaCha8Rng) -> &'a str {
    words[rng.random_range(0..words.len())]
}

/// The name of the seeded user with this id, from 1. Each is different.
pub fn username(id: u32) -> String {
    let index = id.saturating_sub(1) as usize;
    let first = FIRST_NAMES[index % FIRST_NAMES.len()];
    let last = LAST_NAMES[index / FIRST_NAMES.len() % LAST_NAMES.len()];
    let round = index / (FIRST_NAMES.len() * LAST_NAMES.len());
    if round == 0 { format!("{first}-{last}") } else { format!("{first}-{last}-{}", round + 1) }
}

/// The name of the seeded tag with this id, from 1; the lower the id, the more posts have it. Each is different.
pub fn tag_name(id: u32) -> String {
    let index = id.saturating_sub(1) as usize;
    let word = TAG_WORDS[index % TAG_WORDS.len()];
    let round = index / TAG_WORDS.len();
    if round == 0 { word.to_owned() } else { format!("{word}-{}", round + 1) }
}

/// Half a sentence about somebody; sometimes nothing, as on any blog.
pub(super) fn bio(rng: &mut ChaCha8Rng) -> String {
    if rng.random_ratio(1, 5) {
        String::new()
    } else {
        format!("Writes about {} and {}.", pick(TOPICS, rng), pick(TOPICS, rng))
    }
}

/// A title.
pub(super) fn title(rng: &mut ChaCha8Rng) -> String {
    format!("{} {}", pick(TITLE_OPENINGS, rng), pick(TOPICS, rng))
}

/// A post: paragraphs of a few sentences, 600 to 1,500 bytes in all.
pub(super) fn post(rng: &mut ChaCha8Rng) -> String {
    let wanted_bytes = rng.random_range(620..1_250);
    let mut content = String::with_capacity(wanted_bytes + 256);
    let mut sentences = 0;
    while content.len() < wanted_bytes {
        if sentences > 0 {
            content.push_str(if sentences % 4 == 0 { "\\n\\n" } else { " " });
        }
        sentence(&mut content, rng);
        sentences += 1;
    }
    content
}

/// A comment: a remark or two, sometimes an argument.
pub(super) fn comment(rng: &mut ChaCha8Rng) -> String {
    let mut content = pick(REMARKS, rng).to_owned();
    if rng.random_ratio(1, 2) {
        content.push(' ');
        sentence(&mut content, rng);
    }
    if rng.random_ratio(1, 8) {
        content.push_str("\\n\\n");
        sentence(&mut content, rng);
    }
    content
}

fn sentence(content: &mut String, rng: &mut ChaCha8Rng) {
    let words = [
        pick(OPENINGS, rng),
        " ",
        pick(SUBJECTS, rng),
        " ",
        pick(VERBS, rng),
        " ",
        pick(OBJECTS, rng),
        pick(TAILS, rng),
        ".",
    ];
    content.extend(words);
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_fit_the_schema() {
        let names: HashSet<String> = (1..=20_000).map(username).collect();
        assert_eq!(names.len(), 20_000);
        assert!(names.iter().all(|name| name.len() <= 32));
        let tags: HashSet<String> = (1..=2_000).map(tag_name).collect();
        assert_eq!(tags.len(), 2_000);
        assert!(tags.iter().all(|tag| tag.len() <= 40));
    }
}
