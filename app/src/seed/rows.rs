//! The rows of each table, as lines in the text format of COPY. Pure: a size and random numbers in, lines out.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, Zipf};

use super::{Size, text};

/// The day on which the data ends: 2026-01-01T00:00:00Z.
const END_US: i64 = 1_767_225_600_000_000;

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 24 * 60 * 60 * SECOND_US;

/// Posts are written over three years.
const POSTS_SPAN_US: i64 = 3 * 365 * DAY_US;

/// Half of the comments of a post come within about two days of it.
const COMMENT_DELAY_MEAN_US: f64 = 3.0 * DAY_US as f64;

/// How uneven the numbers of comments are. With a million comments on 100,000 posts, the first has some 20,000 and half have 3 or fewer.
const COMMENTS_EXPONENT: f64 = 0.8;

/// How uneven authors are.
const AUTHORS_EXPONENT: f64 = 0.6;

/// How uneven tags are: with 200 tags, the first is on a third of the posts and the last on few.
const TAGS_EXPONENT: f64 = 1.0;

/// A password hash that no password has: nobody can log in as a seeded user.
const UNUSABLE_PASSWORD_HASH: &str = "!";

/// Draws a number from 0 to `count - 1`, the small ones most often.
struct Ranks(Zipf<f64>);

impl Ranks {
    fn new(count: u32, exponent: f64) -> Self {
        let zipf = Zipf::new(f64::from(count.max(1)), exponent);
        // Only a negative exponent or fewer than one rank are refused.
        Self(zipf.unwrap_or_else(|error| panic!("a constant of this file is wrong: {error}")))
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> u32 {
        // Draws are whole numbers from 1 to the count, which is a `u32`.
        self.0.sample(rng) as u32 - 1
    }
}

/// The numbers from 1 to `count` in random order: which id has which rank.
fn shuffled_ids(count: u32, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let mut ids: Vec<u32> = (1..=count).collect();
    ids.shuffle(rng);
    ids
}

fn timestamp(time_us: i64) -> String {
    let time: DateTime<Utc> = DateTime::UNIX_EPOCH + Duration::microseconds(time_us);
    time.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string()
}

pub(super) fn users(size: &Size, mut rng: ChaCha8Rng) -> impl Iterator<Item = String> {
    // Everybody was there before the first post.
    let created_at = timestamp(END_US - POSTS_SPAN_US);
    (1..=size.users).map(move |id| {
        let username = text::username(id);
        let bio = text::bio(&mut rng);
        format!("{username}\t{username}@example.org\t{UNUSABLE_PASSWORD_HASH}\t{bio}\t{created_at}")
    })
}

pub(super) fn tags(size: &Size) -> impl Iterator<Item = String> {
    (1..=size.tags).map(text::tag_name)
}

/// When each post was written, in the order of the ids, which is the order of time.
pub(super) fn post_times_us(size: &Size, mut rng: ChaCha8Rng) -> Vec<i64> {
    let start_us = END_US - POSTS_SPAN_US;
    let mut times_us: Vec<i64> =
        (0..size.posts).map(|_| start_us + rng.random_range(0..POSTS_SPAN_US / SECOND_US) * SECOND_US).collect();
    times_us.sort_unstable();
    times_us
}

pub(super) fn posts(size: &Size, times_us: &[i64], mut rng: ChaCha8Rng) -> impl Iterator<Item = String> {
    let authors = shuffled_ids(size.users, &mut rng);
    let ranks = Ranks::new(size.users, AUTHORS_EXPONENT);
    times_us.iter().map(move |&time_us| {
        let author_id = authors[ranks.draw(&mut rng) as usize];
        let title = text::title(&mut rng);
        let content = text::post(&mut rng);
        format!("{author_id}\t{title}\t{content}\t{}", timestamp(time_us))
    })
}

/// One to four tags for each post, fewer if there are not as many.
pub(super) fn post_tags(size: &Size, mut rng: ChaCha8Rng) -> impl Iterator<Item = String> {
    let ranks = Ranks::new(size.tags, TAGS_EXPONENT);
    let tags = size.tags;
    (1..=size.posts).flat_map(move |post_id| {
        let wanted = rng.random_range(1..=4_u32).min(tags);
        let mut tag_ids = BTreeSet::new();
        while tag_ids.len() < wanted as usize {
            tag_ids.insert(ranks.draw(&mut rng) + 1);
        }
        tag_ids.into_iter().map(move |tag_id| format!("{post_id}\t{tag_id}"))
    })
}

/// Comments in the order of time, as they would have come: those of one post lie scattered over the table, which is what an index on
/// them has to cope with.
pub(super) fn comments(size: &Size, post_times_us: &[i64], mut rng: ChaCha8Rng) -> impl Iterator<Item = String> {
    let posts = shuffled_ids(size.posts, &mut rng);
    let ranks = Ranks::new(size.posts, COMMENTS_EXPONENT);
    let mut moments: Vec<(i64, u32)> = Vec::with_capacity(size.comments as usize);
    for _ in 0..size.comments {
        let post_id = posts[ranks.draw(&mut rng) as usize];
        let posted_us = post_times_us[post_id as usize - 1];
        let delay: f64 = Exp1.sample(&mut rng);
        let delay_us = (delay * COMMENT_DELAY_MEAN_US) as i64 + SECOND_US;
        moments.push((posted_us + delay_us, post_id));
    }
    moments.sort_unstable();
    let authors = shuffled_ids(size.users, &mut rng);
    let ranks = Ranks::new(size.users, AUTHORS_EXPONENT);
    moments.into_iter().map(move |(time_us, post_id)| {
        let author_id = authors[ranks.draw(&mut rng) as usize];
        let content = text::comment(&mut rng);
        format!("{post_id}\t{author_id}\t{content}\t{}", timestamp(time_us))
    })
}

#[cfg(test)]
mod tests {
    use super::super::stream;
    use super::*;

    const SIZE: Size = Size { users: 20, posts: 200, comments: 3000, tags: 3 };

    #[test]
    fn same_seed_same_rows_and_another_seed_others() {
        let rows = |seed| comments(&SIZE, &post_times_us(&SIZE, stream(seed, 2)), stream(seed, 5)).collect::<Vec<_>>();
        assert_eq!(rows(1), rows(1));
        assert_ne!(rows(1), rows(2));
    }

    #[test]
    fn posts_have_realistic_lengths() {
        let times_us = post_times_us(&SIZE, stream(1, 2));
        for row in posts(&SIZE, &times_us, stream(1, 3)) {
            let columns: Vec<&str> = row.split('\t').collect();
            assert_eq!(columns.len(), 4);
            assert!((600..=1500).contains(&columns[2].len()), "{} bytes", columns[2].len());
            assert!(columns[1].len() <= 120, "{}", columns[1]);
        }
    }

    #[test]
    fn few_posts_have_most_comments() {
        let times_us = post_times_us(&SIZE, stream(1, 2));
        let mut counts = vec![0_u32; SIZE.posts as usize + 1];
        for row in comments(&SIZE, &times_us, stream(1, 5)) {
            let post_id: usize = row.split('\t').next().unwrap().parse().unwrap();
            counts[post_id] += 1;
        }
        counts.sort_unstable_by(|one, other| other.cmp(one));
        let fifth: u32 = counts[..40].iter().sum();
        assert!(fifth > 3000 / 2, "the first fifth of the posts has {fifth} of 3000 comments");
    }

    #[test]
    fn a_post_never_has_a_tag_twice_nor_a_tag_that_is_not_there() {
        let rows: Vec<String> = post_tags(&SIZE, stream(1, 4)).collect();
        let unique: BTreeSet<&String> = rows.iter().collect();
        assert_eq!(rows.len(), unique.len());
        assert!(rows.iter().all(|row| ["1", "2", "3"].contains(&row.split('\t').nth(1).unwrap())));
    }
}
