//! Fetches posts with their comments in each of the app's shapes: a page in both arms, and once every post of the blog at once.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use app::{
    cursor::Cursor,
    db::{
        Parameter, QUERIES, Query, Shape,
        shapes::{self, PostWithComments},
    },
};
use sqlx::{AssertSqlSafe, PgPool, Postgres, query::QueryScalar};

use super::{
    cases::{self, COMMENTS_PER_POST, Facts, SHAPE_POSTS, Value},
    measure::{self, ARMS},
    rows::ShapeRow,
};
use crate::steps::{Bench, bench::blocks};

/// One way to fetch, with all that it sends.
struct Way {
    shape: Shape,
    statements: Vec<(&'static Query, Vec<Value>)>,
    /// Length of the rows as PostgreSQL writes them as text.
    row_bytes: u64,
}

/// What a fetch brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fetched {
    posts: u64,
    comments: u64,
    /// Rows of a join: a post without comments has one too.
    joined: u64,
    /// Of the posts and the latest few comments of each, so that every shape can be compared with every other.
    digest: u64,
    took: Duration,
}

/// Measures the shapes: first a page, then all posts.
pub(super) async fn measure(bench: &mut Bench<'_>, pools: &[PgPool; 2], facts: &Facts) -> Result<Vec<ShapeRow>> {
    let ways = ways(&pools[1], SHAPE_POSTS, &facts.first_page, |_| true).await?;
    let order = blocks(bench.profile.seed, "explain.shapes", ways.len() * ARMS.len(), bench.profile.explain.repeats);
    let mut rows = Vec::new();
    for (block, turns) in (0_u32..).zip(order) {
        bench.progress.say(
            0.6 + 0.3 * f64::from(block) / f64::from(bench.profile.explain.repeats),
            "fetching posts with comments",
        );
        let key = format!("shapes.{block}");
        if block == 0 {
            compare(pools, &ways, SHAPE_POSTS).await?;
        }
        let done = bench.once(&key, fetch_block(pools, &ways, block, &turns)).await?;
        rows.extend(done);
    }
    bench.progress.say(0.9, "fetching all posts with all comments");
    let ids = cases::newest_posts(&pools[1], facts.posts).await?;
    // One query per post for every post of the blog would only prove again what the page shows.
    let all = self::ways(&pools[1], facts.posts, &ids, |shape| !shape.once_per_post).await?;
    rows.extend(bench.timed(fetch_all(&pools[1], &all, facts.posts)).await?);
    Ok(rows)
}

/// The shapes of the app with their statements for a page of `posts`.
async fn ways(pool: &PgPool, posts: i64, ids: &[i64], wanted: impl Fn(Shape) -> bool) -> Result<Vec<Way>> {
    let mut ways = Vec::new();
    for (query, shape) in shapes_of_the_app().filter(|(_, shape)| wanted(*shape)) {
        let mut statements = Vec::new();
        if let Some(first) = shape.preceded_by {
            let first = cases::query(first)?;
            statements.push((first, arguments(first, posts, ids)?));
        }
        let mut row_bytes = 0;
        if shape.once_per_post {
            for id in ids {
                statements.push((query, arguments(query, posts, &[*id])?));
            }
        } else {
            statements.push((query, arguments(query, posts, ids)?));
        }
        for (query, arguments) in &statements {
            row_bytes += length_of_rows(pool, query, arguments).await?;
        }
        ways.push(Way { shape, statements, row_bytes });
    }
    Ok(ways)
}

/// The shapes in the order of the app's list.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    shapes_of_the_app().map(|(_, shape)| shape.name)
}

/// Every shape with its query. A query that only precedes others fetches no comments and is no way of its own.
fn shapes_of_the_app() -> impl Iterator<Item = (&'static Query, Shape)> {
    let precedes = |name: &str| QUERIES.iter().filter_map(Query::shape).any(|shape| shape.preceded_by == Some(name));
    QUERIES.iter().filter(move |query| !precedes(query.name)).filter_map(|query| Some((query, query.shape()?)))
}

fn arguments(query: &Query, posts: i64, ids: &[i64]) -> Result<Vec<Value>> {
    let values = query.parameters.iter().map(|parameter| match parameter {
        Parameter::BeforeCreatedAt => Ok(Value::Time(Cursor::START.created_at())),
        Parameter::BeforeId => Ok(Value::Integer(Cursor::START.id())),
        Parameter::Limit => Ok(Value::Integer(posts)),
        Parameter::CommentLimit => Ok(Value::Integer(COMMENTS_PER_POST)),
        Parameter::PostIds => Ok(Value::Integers(ids.to_vec())),
        Parameter::PostId => ids.first().map(|id| Value::Integer(*id)).context("there is no post to fetch"),
        other => bail!("the shape `{}` has a parameter `{other:?}`; say in `shapes.rs` what it is", query.name),
    });
    values.collect()
}

async fn length_of_rows(pool: &PgPool, query: &Query, arguments: &[Value]) -> Result<u64> {
    let sql =
        format!("SELECT coalesce(sum(octet_length(fetched::text)), 0)::bigint FROM (\n{}\n) AS fetched", query.sql);
    // The text comes from the app's own list of queries.
    let mut length: QueryScalar<'_, Postgres, i64, _> = sqlx::query_scalar(AssertSqlSafe(sql));
    for argument in arguments {
        length = match argument.clone() {
            Value::Integer(value) => length.bind(value),
            Value::Integers(values) => length.bind(values),
            Value::Text(text) => length.bind(text),
            Value::Texts(texts) => length.bind(texts),
            Value::Time(time) => length.bind(time),
            Value::Uuid(uuid) => length.bind(uuid),
        };
    }
    let bytes = length.fetch_one(pool).await.with_context(|| format!("cannot size the rows of `{}`", query.name))?;
    u64::try_from(bytes).context("a length is not negative")
}

/// Fetches once in every shape and arm, which warms the buffers, and proves that all bring the same posts.
async fn compare(pools: &[PgPool; 2], ways: &[Way], posts: i64) -> Result<()> {
    let mut expected = None;
    for pool in pools {
        for way in ways {
            let found = fetch(pool, way.shape.name, posts).await?.digest;
            let first = *expected.get_or_insert(found);
            ensure!(
                found == first,
                "the shape `{}` fetches other posts than `{}`; correct its SQL",
                way.shape.name,
                ways[0].shape.name
            );
        }
    }
    Ok(())
}

async fn fetch_block(pools: &[PgPool; 2], ways: &[Way], block: u32, turns: &[usize]) -> Result<Vec<ShapeRow>> {
    let mut rows = Vec::new();
    for turn in turns {
        let (way, arm) = (&ways[turn / ARMS.len()], turn % ARMS.len());
        let fetched = fetch(&pools[arm], way.shape.name, SHAPE_POSTS).await?;
        rows.push(row(&pools[arm], way, ("page", ARMS[arm], block), fetched).await?);
    }
    Ok(rows)
}

async fn fetch_all(pool: &PgPool, ways: &[Way], posts: i64) -> Result<Vec<ShapeRow>> {
    let mut rows: Vec<ShapeRow> = Vec::new();
    let mut expected = None;
    for way in ways {
        let fetched = fetch(pool, way.shape.name, posts).await?;
        let first = *expected.get_or_insert(fetched.digest);
        ensure!(
            fetched.digest == first,
            "the shape `{}` fetches other posts than the first; correct its SQL",
            way.shape.name
        );
        rows.push(row(pool, way, ("all", ARMS[1], 0), fetched).await?);
    }
    Ok(rows)
}

/// The row of one fetch; its statements are explained right after it, on the same connection.
async fn row(pool: &PgPool, way: &Way, (scale, arm, block): (&str, &str, u32), fetched: Fetched) -> Result<ShapeRow> {
    let mut row = ShapeRow {
        shape: way.shape.name.to_owned(),
        scale: scale.to_owned(),
        arm: arm.to_owned(),
        block,
        statements: way.statements.len() as u64,
        posts: fetched.posts,
        comments: fetched.comments,
        rows: match way.shape.name {
            "json_agg" => fetched.posts,
            "join" | "lateral" => fetched.joined,
            _ => fetched.posts + fetched.comments,
        },
        row_bytes: way.row_bytes,
        fetch_us: u64::try_from(fetched.took.as_micros()).unwrap_or(u64::MAX),
        execution_us: 0,
        planning_us: 0,
        touched_blocks: 0,
        temp_blocks: 0,
    };
    let mut connection = pool.acquire().await.context("cannot use the connection to the seeded database")?;
    for (query, arguments) in &way.statements {
        let plan = match measure::explain(&mut connection, query, arguments).await? {
            Ok(plan) => plan,
            Err(reason) => bail!("cannot explain the shape `{}`: {reason}", way.shape.name),
        };
        row.execution_us += plan.execution_us();
        row.planning_us += plan.planning_us();
        row.touched_blocks += plan.root.buffers.touched();
        row.temp_blocks += plan.root.buffers.temp();
    }
    Ok(row)
}

/// Fetches as the app does, with the app's own function.
async fn fetch(pool: &PgPool, shape: &str, posts: i64) -> Result<Fetched> {
    let before = Cursor::START;
    let started = Instant::now();
    let fetched = match shape {
        "n_plus_one" => shapes::n_plus_one(pool, before, posts).await,
        "join" => shapes::join(pool, before, posts).await,
        "two_queries" => shapes::two_queries(pool, before, posts).await,
        "json_agg" => shapes::json_agg(pool, before, posts).await,
        "lateral" => shapes::lateral(pool, before, posts, COMMENTS_PER_POST).await,
        other => bail!("the app has a shape `{other}` that this step does not know; add it to `fetch` in `shapes.rs`"),
    };
    let took = started.elapsed();
    let fetched = fetched.with_context(|| format!("cannot fetch posts in the shape `{shape}`"))?;
    Ok(summed(&fetched, took))
}

fn summed(posts: &[PostWithComments], took: Duration) -> Fetched {
    let few = usize::try_from(COMMENTS_PER_POST).unwrap_or(usize::MAX);
    let mut digest = DefaultHasher::new();
    for post in posts {
        let latest: Vec<(i64, &str)> =
            post.comments.iter().take(few).map(|comment| (comment.id, comment.content.as_str())).collect();
        (post.id, &post.title, latest).hash(&mut digest);
    }
    let comments = |least: usize| posts.iter().map(|post| post.comments.len().max(least) as u64).sum();
    Fetched { posts: posts.len() as u64, comments: comments(0), joined: comments(1), digest: digest.finish(), took }
}

#[cfg(test)]
mod tests {
    use super::*;
    use app::db::shapes::CommentBody;
    use chrono::DateTime;

    #[test]
    fn the_shapes_of_the_app_are_the_five_that_are_known_here() {
        assert_eq!(names().collect::<Vec<_>>(), ["n_plus_one", "join", "two_queries", "json_agg", "lateral"]);
        for (query, _) in shapes_of_the_app() {
            assert_eq!(arguments(query, 20, &[7, 8]).unwrap().len(), query.parameters.len());
        }
    }

    fn post(id: i64, comments: i64) -> PostWithComments {
        let created_at = DateTime::UNIX_EPOCH;
        let comment = |id| CommentBody { id, content: format!("comment {id}"), created_at };
        PostWithComments { id, title: "title".to_owned(), created_at, comments: (0..comments).map(comment).collect() }
    }

    #[test]
    fn a_page_cut_after_the_latest_few_comments_counts_as_the_same_page() {
        let (whole, cut) = ([post(1, 9), post(2, 0)], [post(1, COMMENTS_PER_POST), post(2, 0)]);
        let (whole, cut) = (summed(&whole, Duration::ZERO), summed(&cut, Duration::ZERO));
        assert_eq!(whole.digest, cut.digest);
        assert_eq!((whole.comments, whole.joined, cut.comments, cut.joined), (9, 10, 3, 4));
        assert_ne!(whole.digest, summed(&[post(1, 9), post(3, 0)], Duration::ZERO).digest);
    }
}
