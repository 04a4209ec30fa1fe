//! The demonstration: a dozen posts that somebody may want to read, by people who argue in the comments. It is what a visitor sees who
//! starts the blog to look at it; measurements use the rows of [`crate::seed`].
//!
//! The posts are Markdown files in `app/demo/posts`, compiled in. Times are fixed, so that the blog looks the same on every day, and later
//! than those of the seed, so that the posts stand above its rows. Running it again changes nothing.

mod parse;

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, PgPool};
use uuid::Uuid;

use parse::Document;

use crate::accounts::{Checked, Passwords};
use crate::config::{Config, Mode};
use crate::db;

/// Somebody who writes here. None of them exists.
struct Person {
    username: &'static str,
    bio: &'static str,
}

/// Four who write posts, and those who only answer.
const PEOPLE: &[Person] = &[
    Person {
        username: "mirela",
        bio: "Databases. Reads query plans before breakfast, and has opinions about the third column of your index.",
    },
    Person {
        username: "jonas",
        bio: "Caches, and the people who have to invalidate them. Used to believe in time-outs, now believes in generations.",
    },
    Person {
        username: "adaeze",
        bio: "Measures things. If there is a percentile in your report, she will ask how many observations lie beyond it.",
    },
    Person {
        username: "tomoko",
        bio: "Keeps servers up and strangers out. Prefers the boring solution, provided that somebody has tested how it fails.",
    },
    Person { username: "pavel", bio: "Runs nightly batch jobs that take until noon." },
    Person { username: "lucia", bio: "Full-stack, mostly the part of the stack that is on fire." },
    Person { username: "henrik", bio: "Retired from operations. Still gets up at three." },
    Person { username: "nadia", bio: "Learning all this by breaking a very small web shop." },
];

macro_rules! posts {
    ($($stem:literal),* $(,)?) => {
        &[$(($stem, include_str!(concat!("../../demo/posts/", $stem, ".md")))),*]
    };
}

/// Every post: the stem of its file, which names it for good, and what the file says.
const POSTS: &[(&str, &str)] = posts![
    "01-n-plus-one",
    "02-composite-index",
    "03-littles-law",
    "04-offset",
    "05-argon2",
    "06-three-levels",
    "07-stampede",
    "08-open-closed",
    "09-lateral",
    "10-utilisation",
    "11-sticky",
    "12-generations",
    "13-lease",
    "14-tail",
    "15-csrf",
    "16-coordinated-omission",
];

/// The name of the one account of the demonstration that somebody can log in to.
pub const LOGIN: &str = "demo";

/// Its password. It is no secret, so there is such an account in development mode only.
pub const PASSWORD: &str = "just looking around";

/// What was there to be done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Filled {
    /// Posts that were added.
    pub posts: u64,
    /// Comments that were added.
    pub comments: u64,
}

/// Adds the demonstration to a database with the schema, whatever else it holds, and says how much of it was not there yet. All of it is
/// one transaction.
pub async fn fill(pool: &PgPool) -> anyhow::Result<Filled> {
    let documents = parse_all()?;
    let mut connection = pool.acquire().await.context("cannot connect to the database")?;
    let mut transaction = connection.begin().await?;
    for person in PEOPLE {
        // The hash of nothing: nobody can log in as them.
        add_person(&mut transaction, person, "!").await?;
    }
    let mut filled = Filled::default();
    for (stem, document) in &documents {
        let (post_id, is_new) = add_post(&mut transaction, stem, document).await?;
        filled.posts += u64::from(is_new);
        for (place, comment) in document.comments.iter().enumerate() {
            let author_id = find_person(&mut transaction, comment.author).await?;
            let added = sqlx::query(include_str!("../../demo/queries/add_comment.sql"))
                .bind(post_id)
                .bind(author_id)
                .bind(&comment.content)
                .bind(comment.created_at)
                .bind(submission(&format!("{stem}/{place}")))
                .execute(&mut *transaction)
                .await
                .with_context(|| format!("cannot add a comment on the post `{stem}`"))?;
            filled.comments += added.rows_affected();
        }
    }
    transaction.commit().await?;
    Ok(filled)
}

/// Adds the account that somebody can log in to with [`LOGIN`] and [`PASSWORD`], or makes its password what it should be. In production
/// mode nothing happens, and the answer is `false`.
pub async fn add_login(pool: &PgPool, config: &Config) -> anyhow::Result<bool> {
    if config.mode != Mode::Development {
        return Ok(false);
    }
    let passwords = Passwords::from_config(config)?;
    let mut connection = pool.acquire().await.context("cannot connect to the database")?;
    let found: Option<(i64, String)> = sqlx::query_as(include_str!("../../demo/queries/find_user.sql"))
        .bind(LOGIN)
        .bind(email(LOGIN))
        .fetch_optional(&mut *connection)
        .await
        .context("cannot read the accounts; run `app migrate` first")?;
    match found {
        None => {
            let bio = "Here to try things out. Whoever reads this can log in as me.";
            let password_hash = passwords.hash_known(PASSWORD).await?;
            add_person(&mut connection, &Person { username: LOGIN, bio }, &password_hash).await?;
        }
        Some((user_id, stored)) => {
            // Somebody changed it, or the secret of the servers is another one now.
            let checked = passwords.check(PASSWORD, Some(&stored)).await?;
            if !matches!(checked, Checked::Right { .. }) {
                db::update_password_hash(&mut *connection, user_id, &passwords.hash_known(PASSWORD).await?).await?;
            }
        }
    }
    Ok(true)
}

fn parse_all() -> anyhow::Result<Vec<(&'static str, Document<'static>)>> {
    let parse = |(stem, text): &(&'static str, &'static str)| {
        let document = Document::parse(text).with_context(|| format!("`app/demo/posts/{stem}.md` is wrong"))?;
        Ok((*stem, document))
    };
    POSTS.iter().map(parse).collect()
}

/// When the accounts were made: before the first post.
fn joined() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_258_000, 0).unwrap_or_default()
}

fn email(username: &str) -> String {
    format!("{username}@blog.example")
}

async fn add_person(connection: &mut PgConnection, person: &Person, password_hash: &str) -> anyhow::Result<()> {
    sqlx::query(include_str!("../../demo/queries/add_user.sql"))
        .bind(person.username)
        .bind(email(person.username))
        .bind(password_hash)
        .bind(person.bio)
        .bind(joined())
        .execute(&mut *connection)
        .await
        .context("cannot add the authors; run `app migrate` first")?;
    // Nobody is made to say what they have not said.
    find_person(connection, person.username).await.map(|_| ())
}

async fn find_person(connection: &mut PgConnection, username: &str) -> anyhow::Result<i64> {
    let found: Option<(i64, String)> = sqlx::query_as(include_str!("../../demo/queries/find_user.sql"))
        .bind(username)
        .bind(email(username))
        .fetch_optional(connection)
        .await?;
    match found {
        Some((id, _)) => Ok(id),
        None => bail!("somebody else is called `{username}` in this database; use one without such a user"),
    }
}

async fn add_post(connection: &mut PgConnection, stem: &str, document: &Document<'_>) -> anyhow::Result<(i64, bool)> {
    let author_id = find_person(connection, document.author).await?;
    let added: Option<i64> = sqlx::query_scalar(include_str!("../../demo/queries/add_post.sql"))
        .bind(author_id)
        .bind(document.title)
        .bind(&document.content)
        .bind(document.created_at)
        .bind(submission(stem))
        .fetch_optional(&mut *connection)
        .await
        .with_context(|| format!("cannot add the post `{stem}`"))?;
    let Some(post_id) = added else {
        let post_id = sqlx::query_scalar(include_str!("../../queries/find_submitted_post.sql"))
            .bind(author_id)
            .bind(submission(stem))
            .fetch_one(connection)
            .await?;
        return Ok((post_id, false));
    };
    let tag_ids: Vec<i64> = sqlx::query_scalar(include_str!("../../queries/add_tags.sql"))
        .bind(&document.tags)
        .fetch_all(&mut *connection)
        .await?;
    sqlx::query(include_str!("../../queries/tag_post.sql")).bind(post_id).bind(tag_ids).execute(connection).await?;
    Ok((post_id, true))
}

/// The name of a submission, the same on every day and every machine.
fn submission(name: &str) -> Uuid {
    let digest = Sha256::digest(format!("demo/{name}"));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::markdown;

    #[test]
    fn every_file_is_in_the_list() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/posts");
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let files: BTreeSet<String> = names.collect();
        let listed: BTreeSet<String> = POSTS.iter().map(|(stem, _)| format!("{stem}.md")).collect();
        assert_eq!(files, listed);
    }

    /// What a reader may expect of each post.
    #[test]
    fn every_post_is_worth_reading() {
        let first_day: DateTime<Utc> = "2026-01-02T00:00:00Z".parse().unwrap();
        let last_day: DateTime<Utc> = "2026-11-22T00:00:00Z".parse().unwrap();
        let authors: BTreeSet<&str> = PEOPLE.iter().map(|person| person.username).collect();
        let mut before = first_day;
        for (stem, document) in parse_all().unwrap() {
            assert!(document.created_at > before, "`{stem}` is not later than the one before it");
            before = document.created_at;
            assert!(PEOPLE[..4].iter().any(|person| person.username == document.author), "`{stem}`");
            assert!((1..=4).contains(&document.tags.len()) && document.title.chars().count() <= 80, "`{stem}`");
            let words = document.content.split_whitespace().count();
            assert!((250..=650).contains(&words), "`{stem}` has {words} words");
            assert!(document.content.contains("```"), "`{stem}` shows no code");
            let html = markdown::render(&document.content);
            assert!(
                html.starts_with("<p>") && !html.contains("&lt;/"),
                "`{stem}` begins with no paragraph, or has HTML"
            );
            assert!((2..=8).contains(&document.comments.len()), "`{stem}` has {} comments", document.comments.len());
            let mut last = document.created_at;
            for comment in &document.comments {
                assert!(comment.created_at > last && comment.created_at < last_day, "`{stem}`: {}", comment.content);
                last = comment.created_at;
                assert!(authors.contains(comment.author), "`{stem}`: {}", comment.author);
                assert!(comment.content.chars().count() <= 2000, "`{stem}`");
            }
        }
    }

    #[test]
    fn names_of_submissions_stay() {
        assert_eq!(submission("01-n-plus-one"), submission("01-n-plus-one"));
        assert_ne!(submission("01-n-plus-one/0"), submission("01-n-plus-one/1"));
    }
}
