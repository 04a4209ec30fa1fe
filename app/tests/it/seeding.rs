//! The same seed, the same rows.

use app::seed::{self, Size};

use crate::harness::TestDatabase;
use app::db::{self, Indexes};

const SIZE: Size = Size { users: 40, posts: 300, comments: 2000, tags: 10 };

/// A sum over every byte of every row of every table, in the order in which the rows lie.
async fn checksum(database: &TestDatabase) -> String {
    sqlx::query_scalar(
        "SELECT md5(string_agg(part, '')) FROM (
            SELECT 1 AS place, md5(string_agg(users::text, '|' ORDER BY ctid)) AS part FROM users
            UNION ALL SELECT 2, md5(string_agg(posts::text, '|' ORDER BY ctid)) FROM posts
            UNION ALL SELECT 3, md5(string_agg(comments::text, '|' ORDER BY ctid)) FROM comments
            UNION ALL SELECT 4, md5(string_agg(tags::text, '|' ORDER BY ctid)) FROM tags
            UNION ALL SELECT 5, md5(string_agg(post_tags::text, '|' ORDER BY ctid)) FROM post_tags
            ORDER BY place
        ) AS parts",
    )
    .fetch_one(&database.pool)
    .await
    .unwrap()
}

/// The same numbers and seed give the same bytes, with and without indexes; another seed gives others. The value is written down, so
/// that a change of the generator is seen.
#[tokio::test]
async fn same_seed_same_bytes() {
    let mut checksums = Vec::new();
    for (indexes, rng_seed) in [(Indexes::With, 1), (Indexes::Without, 1), (Indexes::With, 2)] {
        let database = TestDatabase::empty().await;
        db::migrate(&database.pool, indexes).await.unwrap();
        seed::seed(&database.pool, &SIZE, rng_seed).await.unwrap();
        checksums.push(checksum(&database).await);
    }
    assert_eq!(checksums[0], checksums[1]);
    assert_ne!(checksums[0], checksums[2]);
    insta::assert_snapshot!(checksums[0], @"452249cd77590e7e6173654a22a90ecc");
}

/// Seeding takes indexes and foreign keys away and puts back exactly what was there.
#[tokio::test]
async fn the_schema_is_as_before() {
    for indexes in [Indexes::With, Indexes::Without] {
        let database = TestDatabase::empty().await;
        db::migrate(&database.pool, indexes).await.unwrap();
        let before = definitions(&database).await;
        seed::seed(&database.pool, &SIZE, 1).await.unwrap();
        assert_eq!(definitions(&database).await, before);
    }
}

async fn definitions(database: &TestDatabase) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
         UNION ALL
         SELECT conname || ' ' || conrelid::regclass || ' ' || convalidated || ' ' || pg_get_constraintdef(oid)
         FROM pg_constraint WHERE connamespace = 'public'::regnamespace
         ORDER BY 1",
    )
    .fetch_all(&database.pool)
    .await
    .unwrap()
}

/// The rows that were asked for are there; names are what the library says they are; nobody can log in as a seeded user.
#[tokio::test]
async fn what_was_asked_for() {
    let database = TestDatabase::migrated().await;
    seed::seed(&database.pool, &SIZE, 1).await.unwrap();
    let counts: (i64, i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM posts), (SELECT count(*) FROM comments), (SELECT count(*) FROM tags)",
    )
    .fetch_one(&database.pool)
    .await
    .unwrap();
    assert_eq!(counts, (40, 300, 2000, 10));
    let names: (String, String, i64) = sqlx::query_as(
        "SELECT (SELECT username FROM users WHERE id = 7), (SELECT name FROM tags WHERE id = 3),
                (SELECT count(*) FROM users WHERE password_hash <> '!')",
    )
    .fetch_one(&database.pool)
    .await
    .unwrap();
    assert_eq!(names, (seed::username(7), seed::tag_name(3), 0));
    // New rows continue where the seeded ones end.
    let next = "INSERT INTO posts (author_id, title, content) VALUES (1, 'x', 'x') RETURNING id";
    assert_eq!(sqlx::query_scalar::<_, i64>(next).fetch_one(&database.pool).await.unwrap(), 301);
}

/// A database with rows is left alone, and numbers that cannot be are refused.
#[tokio::test]
async fn what_is_refused() {
    let database = TestDatabase::tiny().await;
    let error = seed::seed(&database.pool, &SIZE, 1).await.unwrap_err();
    assert!(error.to_string().contains("already has rows"), "{error:#}");
    let empty = TestDatabase::migrated().await;
    for size in [Size { users: 0, ..SIZE }, Size { posts: 0, ..SIZE }] {
        assert!(seed::seed(&empty.pool, &size, 1).await.is_err());
    }
    seed::seed(&empty.pool, &Size { users: 0, posts: 0, comments: 0, tags: 0 }, 1).await.unwrap();
    seed::seed(&empty.pool, &Size { users: 1, posts: 1, comments: 1, tags: 0 }, 1).await.unwrap();
}
