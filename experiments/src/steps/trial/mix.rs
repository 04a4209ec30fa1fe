//! What readers of a blog ask for. Ids and names come from the seeded data, so that every request finds something.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use app::db::Indexes;

use super::super::Bench;
use crate::load::spec::{Endpoint, Expect, Ids, Method};

/// The name of the endpoint that needs an account.
pub(super) const ADD_COMMENT: &str = "add_comment";

/// Mostly the list and popular posts, now and then an author, a tag, or a new comment.
pub(in crate::steps) async fn mix(bench: &mut Bench<'_>) -> Result<Vec<Endpoint>> {
    let data = bench.profile.data;
    let database = bench.blog.seeded(Indexes::With).await?;
    let pool = bench.blog.pool(&database).await?;
    let tags: Vec<String> = sqlx::query_scalar(include_str!("../../../queries/popular_tags.sql"))
        .fetch_all(&pool)
        .await
        .context("cannot read the popular tags")?;
    pool.close().await;
    let popular = |count: u32| Some(Ids::Zipf { count: u64::from(count), exponent: 1.0 });
    let comment = Endpoint {
        method: Method::Post,
        form: [("content".to_owned(), "Comment {n} of a trial, as long as comments usually are.".to_owned())].into(),
        expect: Expect { status: vec![303], contains: None },
        ..get(ADD_COMMENT, 2, "/posts/{id}/comments", popular(data.posts))
    };
    Ok(vec![
        get("list_posts", 50, "/", None),
        get("post", 40, "/posts/{id}", popular(data.posts)),
        get("author", 5, "/authors/{id}", popular(data.users)),
        get("tag", 3, "/tags/{id}", Some(Ids::List { values: tags })),
        comment,
    ])
}

pub(in crate::steps) fn get(name: &str, weight: u32, path: &str, ids: Option<Ids>) -> Endpoint {
    Endpoint {
        name: name.to_owned(),
        weight,
        method: Method::Get,
        path: path.to_owned(),
        ids,
        form: BTreeMap::new(),
        headers: BTreeMap::new(),
        expect: Expect::default(),
    }
}
