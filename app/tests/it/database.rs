//! The schema, the indexes, the queries and their offline data.

use std::collections::BTreeMap;
use std::path::Path;

use app::cursor::Cursor;
use app::db::{self, Indexes, QUERIES, SECONDARY_INDEXES, shapes};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};

use crate::harness::TestDatabase;

async fn secondary_indexes(database: &TestDatabase) -> Vec<(String, String)> {
    let names: Vec<&str> = SECONDARY_INDEXES.iter().map(|index| index.name).collect();
    sqlx::query_as("SELECT indexname::text, tablename::text FROM pg_indexes WHERE indexname = ANY ($1) ORDER BY array_position($1, indexname::text)")
        .bind(names)
        .fetch_all(&database.pool)
        .await
        .unwrap()
}

/// Both kinds of database are proper, migrating twice changes nothing, and one kind can become the other.
#[tokio::test]
async fn with_and_without_indexes() {
    let database = TestDatabase::empty().await;
    let all: Vec<(String, String)> =
        SECONDARY_INDEXES.iter().map(|index| (index.name.to_owned(), index.table.to_owned())).collect();
    for (indexes, expected) in [
        (Indexes::Without, &[][..]),
        (Indexes::Without, &[]),
        (Indexes::With, &all),
        (Indexes::With, &all),
        (Indexes::Without, &all),
    ] {
        db::migrate(&database.pool, indexes).await.unwrap();
        assert_eq!(secondary_indexes(&database).await, expected, "{indexes:?}");
    }
}

#[tokio::test]
async fn each_index_can_be_created_and_dropped_alone() {
    let database = TestDatabase::empty().await;
    db::migrate(&database.pool, Indexes::Without).await.unwrap();
    for index in SECONDARY_INDEXES {
        index.create(&database.pool).await.unwrap();
        assert_eq!(secondary_indexes(&database).await, [(index.name.to_owned(), index.table.to_owned())]);
        index.drop(&database.pool).await.unwrap();
        assert!(secondary_indexes(&database).await.is_empty());
    }
}

/// No index begins another one of its table: what it finds, the longer one finds, too. One that makes something unique is there for that.
#[tokio::test]
async fn no_index_is_redundant() {
    let database = TestDatabase::migrated().await;
    let redundant = "
        WITH keys AS (
            SELECT indexrelid, indrelid, relam, indisunique, pg_get_expr(indpred, indrelid) AS predicate,
                array_to_string((indkey::int2[])[0:indnkeyatts - 1], ' ') || ' ' AS columns
            FROM pg_index JOIN pg_class ON oid = indexrelid
            WHERE relnamespace = 'public'::regnamespace AND indexprs IS NULL
        )
        SELECT short.indexrelid::regclass || ' begins ' || long.indexrelid::regclass
        FROM keys AS short JOIN keys AS long USING (indrelid, relam)
        WHERE short.indexrelid <> long.indexrelid AND NOT short.indisunique
            AND short.predicate IS NOT DISTINCT FROM long.predicate AND starts_with(long.columns, short.columns)";
    let find = async || sqlx::query_scalar::<_, String>(redundant).fetch_all(&database.pool).await.unwrap();
    assert_eq!(find().await, [] as [&str; 0]);
    // What Django would have made of a foreign key, beside the index that begins with it.
    database.execute("CREATE INDEX comments_post ON comments (post_id)").await;
    assert_eq!(find().await.len(), 1);
}

/// Two servers that start together both migrate, and both succeed.
#[tokio::test]
async fn migrating_at_the_same_time() {
    let database = TestDatabase::empty().await;
    let (one, other) =
        tokio::join!(db::migrate(&database.pool, Indexes::With), db::migrate(&database.pool, Indexes::With));
    one.unwrap();
    other.unwrap();
}

/// What the schema refuses, by the name of the constraint.
#[tokio::test]
async fn constraints() {
    let database = TestDatabase::tiny().await;
    let user = |name: &str, email: &str| {
        format!("INSERT INTO users (username, email, password_hash) VALUES ('{name}', '{email}', '!')")
    };
    let post = |title: &str, content: &str| {
        format!("INSERT INTO posts (author_id, title, content) VALUES (1, {title}, {content})")
    };
    for (statement, constraint) in [
        (user("ADA", "new@example.org"), "users_username_key"),
        (user("new", "Ada@Example.org"), "users_email_key"),
        (user("two words", "new@example.org"), "users_username_form"),
        (user("new", "nowhere"), "users_email_form"),
        (
            "INSERT INTO users (username, email, password_hash) VALUES ('new', 'n@e.org', '')".to_owned(),
            "users_password_hash_not_empty",
        ),
        (post("E' \\n'", "'x'"), "posts_title_length"),
        (post("repeat('x', 201)", "'x'"), "posts_title_length"),
        (post("'x'", "''"), "posts_content_length"),
        ("INSERT INTO comments (post_id, author_id, content) VALUES (1, 1, ' ')".to_owned(), "comments_content_length"),
        ("INSERT INTO comments (post_id, author_id, content) VALUES (99, 1, 'x')".to_owned(), "comments_post_fkey"),
        ("INSERT INTO tags (name) VALUES ('Notes')".to_owned(), "tags_name_form"),
        ("INSERT INTO tags (name) VALUES ('notes')".to_owned(), "tags_name_key"),
        ("INSERT INTO post_tags (post_id, tag_id) VALUES (1, 1)".to_owned(), "post_tags_pkey"),
        ("INSERT INTO post_tags (post_id, tag_id) VALUES (99, 1)".to_owned(), "post_tags_post_fkey"),
        ("DELETE FROM users WHERE id = 1".to_owned(), "posts_author_fkey"),
    ] {
        let refused = sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&database.pool).await;
        let error = refused.expect_err(&statement);
        assert_eq!(
            error.as_database_error().and_then(|error| error.constraint()),
            Some(constraint),
            "{statement}: {error}"
        );
    }
}

/// The time that `post_tags` copies is the post's own, whatever a statement says, and neither can change.
#[tokio::test]
async fn the_copied_time_is_always_true() {
    let database = TestDatabase::tiny().await;
    database.execute("INSERT INTO post_tags (post_id, tag_id, post_created_at) VALUES (3, 1, '1999-01-01')").await;
    database.execute("UPDATE post_tags SET post_created_at = '1999-01-01'").await;
    let wrong: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM post_tags JOIN posts ON posts.id = post_id WHERE created_at <> post_created_at",
    )
    .fetch_one(&database.pool)
    .await
    .unwrap();
    assert_eq!(wrong, 0);
    let changed = sqlx::raw_sql("UPDATE posts SET created_at = now()").execute(&database.pool).await;
    assert!(changed.unwrap_err().to_string().contains("cannot be changed"));
}

/// Deleting a post takes its comments and its tags with it; deleting a tag leaves the posts.
#[tokio::test]
async fn deleting() {
    let database = TestDatabase::tiny().await;
    database.execute("DELETE FROM tags WHERE name = 'notes'; DELETE FROM posts WHERE id = 1").await;
    let left: (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM posts), (SELECT count(*) FROM comments), (SELECT count(*) FROM post_tags)",
    )
    .fetch_one(&database.pool)
    .await
    .unwrap();
    assert_eq!(left, (2, 0, 0));
}

/// The four shapes that fetch all comments agree to the last byte, and `LATERAL` fetches the beginning of the same.
#[tokio::test]
async fn all_shapes_fetch_the_same() {
    let database = TestDatabase::migrated().await;
    let size = app::seed::Size { users: 10, posts: 60, comments: 500, tags: 5 };
    app::seed::seed(&database.pool, &size, 3).await.unwrap();
    database.execute("DELETE FROM comments WHERE post_id = 60").await;
    let first = shapes::n_plus_one(&database.pool, Cursor::START, 20).await.unwrap();
    let last = first.last().unwrap();
    for before in [Cursor::START, Cursor::after(last.created_at, last.id), Cursor::after(last.created_at, 0)] {
        let expected = shapes::n_plus_one(&database.pool, before, 20).await.unwrap();
        assert_eq!(expected.len(), 20);
        assert_eq!(shapes::join(&database.pool, before, 20).await.unwrap(), expected);
        assert_eq!(shapes::two_queries(&database.pool, before, 20).await.unwrap(), expected);
        assert_eq!(shapes::json_agg(&database.pool, before, 20).await.unwrap(), expected);
        let mut beginnings = expected.clone();
        beginnings.iter_mut().for_each(|post| post.comments.truncate(3));
        assert_eq!(shapes::lateral(&database.pool, before, 20, 3).await.unwrap(), beginnings);
    }
    assert!(first[0].comments.is_empty(), "a post without comments must be there, too");
}

/// `app/.sqlx` holds what today's schema says about today's queries: one file per query, none left over.
#[tokio::test]
async fn the_offline_data_are_current() {
    let remedy = "run `app/renew-query-data`";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let mut saved = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let data: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        saved.insert(data["query"].as_str().unwrap().to_owned(), data["describe"].clone());
    }
    let database = TestDatabase::migrated().await;
    for query in QUERIES {
        let described = database.pool.describe(query.sql.into_sql_str()).await.unwrap();
        let described = serde_json::to_value(&described).unwrap();
        assert_eq!(saved.remove(query.sql), Some(described), "`{}` is not what `.sqlx` says; {remedy}", query.name);
    }
    assert!(saved.is_empty(), "`.sqlx` has queries that are no longer there; {remedy}: {:?}", saved.keys());
}

/// With the indexes, every list is read from its index in its order: no plan of a page sorts posts or reads a whole table.
#[tokio::test]
async fn lists_are_read_in_order() {
    let database = TestDatabase::migrated().await;
    let size = app::seed::Size { users: 50, posts: 5000, comments: 20_000, tags: 20 };
    app::seed::seed(&database.pool, &size, 5).await.unwrap();
    for (name, arguments, index) in [
        ("list_posts", "'infinity', 0, 21", "posts_newest"),
        ("list_posts_by_author", "7, 'infinity', 0, 21", "posts_by_author"),
        ("list_posts_by_tag", "1, 'infinity', 0, 21", "post_tags_by_tag"),
        ("latest_comments", "7, 'infinity', 0, 20", "comments_by_post"),
        ("count_comments", "7", "comments_by_post"),
    ] {
        let query = QUERIES.iter().find(|query| query.name == name).unwrap();
        let mut connection = database.pool.acquire().await.unwrap();
        let prepare = format!("PREPARE {name} AS {}", query.sql);
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.unwrap();
        let explain = format!("EXPLAIN EXECUTE {name} ({arguments})");
        let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_all(&mut *connection).await.unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains(index), "`{name}` does not use `{index}`:\n{plan}");
        assert!(!plan.contains("Seq Scan on posts") && !plan.contains("Seq Scan on comments"), "`{name}`:\n{plan}");
    }
}

/// Connections that were used a moment ago are kept at hand, outside of the pool. Who waits for the pool must get them all the same, and
/// none may be lost.
#[tokio::test]
async fn transactions_get_the_connections_that_statements_have_left() {
    let database = TestDatabase::empty().await;
    let handle = db::Database::connect_lazily(&database.url, "app", 2, false).unwrap();
    let nap =
        || async { sqlx::query_scalar::<_, i32>("SELECT 1 FROM pg_sleep(0.05)").fetch_one(&handle).await.unwrap() };
    for _ in 0..20 {
        tokio::join!(nap(), nap());
        assert_eq!((handle.pool_state().open, handle.pool_state().idle), (2, 2), "both are at hand");
        let since = std::time::Instant::now();
        let (one, other) = tokio::join!(handle.begin(), handle.begin());
        one.unwrap().rollback().await.unwrap();
        other.unwrap().rollback().await.unwrap();
        assert!(since.elapsed() < std::time::Duration::from_secs(1), "they had to wait");
    }
    handle.close().await;
    assert_eq!(handle.pool_state().open, 0);
}

/// The same for statements and transactions that come at the same time, more of them than there are connections.
#[tokio::test]
async fn nobody_starves_while_statements_and_transactions_mix() {
    let database = TestDatabase::empty().await;
    let handle = db::Database::connect_lazily(&database.url, "app", 2, false).unwrap();
    let work = (0..200).map(|number| {
        let handle = handle.clone();
        tokio::spawn(async move {
            if number % 3 == 0 {
                let mut transaction = handle.begin().await.unwrap();
                sqlx::query("SELECT 1").execute(&mut *transaction).await.unwrap();
                transaction.commit().await.unwrap();
            } else {
                sqlx::query("SELECT 1").fetch_all(&handle).await.unwrap();
            }
        })
    });
    for done in work.collect::<Vec<_>>() {
        done.await.unwrap();
    }
    handle.close().await;
}
