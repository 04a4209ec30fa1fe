//! Which values stand for the parameters of each query: chosen from the data, the same for the same data, each with its reason.

use anyhow::{Context, Result, ensure};
use app::{
    cursor::Cursor,
    db::{Parameter, QUERIES, Query, Role},
};
use chrono::{DateTime, Utc};
use sqlx::{PgPool, Row as _, types::Uuid};

use super::rows::ParameterRow;

/// Posts that a page of a list asks for: the app fetches one more than the twenty that it shows, to know whether there are more.
pub(super) const LIST_POSTS: i64 = 21;
/// Posts of the page on which the shapes are compared.
pub(super) const SHAPE_POSTS: i64 = 20;
/// Comments that the page of a post shows.
const LATEST_COMMENTS: i64 = 20;
/// Comments of each post that the shape `lateral` stops after.
pub(super) const COMMENTS_PER_POST: i64 = 3;

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// `bigint`.
    Integer(i64),
    /// `bigint[]`.
    Integers(Vec<i64>),
    /// `text`.
    Text(String),
    /// `text[]`.
    Texts(Vec<String>),
    /// `timestamptz`.
    Time(DateTime<Utc>),
    /// `uuid`.
    Uuid(Uuid),
}

/// A query with values for its parameters.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// The query.
    pub(super) query: &'static Query,
    /// Which values were chosen.
    pub(super) variant: Variant,
    /// One value per parameter, each with its reason.
    pub(super) values: Vec<(Value, &'static str)>,
}

/// Which values were chosen for a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// The ordinary ones: the first page, the post, author or tag in the middle.
    Main,
    /// The post, author or tag with the most of what is asked for.
    Popular,
    /// A page far down the list.
    Deep,
}

/// Who and what is in the data, as far as choosing values needs it.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// The number of posts.
    pub(super) posts: i64,
    ordinary_post: i64,
    popular_post: i64,
    ordinary_author: i64,
    popular_author: i64,
    ordinary_tag: (i64, String),
    popular_tag: i64,
    username: String,
    deep: Cursor,
    /// The posts of the first page, newest first.
    pub(super) first_page: Vec<i64>,
}

impl Variant {
    /// The word in the rows.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Popular => "popular",
            Self::Deep => "deep",
        }
    }
}

impl Case {
    /// The key of the case: the query's name and, unless it is the main one, the variant.
    pub(super) fn key(&self) -> String {
        match self.variant {
            Variant::Main => self.query.name.to_owned(),
            variant => format!("{}_{}", self.query.name, variant.word()),
        }
    }

    /// The values alone.
    pub(super) fn arguments(&self) -> Vec<Value> {
        self.values.iter().map(|(value, _)| value.clone()).collect()
    }

    /// Whether the query changes data.
    pub(super) fn writes(&self) -> bool {
        matches!(self.query.role, Role::Write(_))
    }

    /// The values as rows.
    pub(super) fn rows(&self) -> Vec<ParameterRow> {
        (1_u32..)
            .zip(self.query.parameters.iter().zip(&self.values))
            .map(|(position, (parameter, (value, reason)))| ParameterRow {
                case: self.key(),
                query: self.query.name.to_owned(),
                variant: self.variant.word().to_owned(),
                position,
                parameter: format!("{parameter:?}"),
                value: value.words(),
                reason: (*reason).to_owned(),
            })
            .collect()
    }
}

/// Every query of the app with its main values, followed by the variants that matter for it.
pub(super) fn cases(facts: &Facts) -> Vec<Case> {
    QUERIES
        .iter()
        .flat_map(|query| {
            variants(query).into_iter().map(move |variant| Case {
                query,
                variant,
                values: query.parameters.iter().map(|parameter| value(*parameter, query, variant, facts)).collect(),
            })
        })
        .collect()
}

/// The query `name` of the app.
pub(super) fn query(name: &str) -> Result<&'static Query> {
    QUERIES.iter().find(|query| query.name == name).with_context(|| format!("the app has no query `{name}`"))
}

/// A page of a list can be deep; a post, an author or a tag can be popular. Shapes are compared on the first page only.
fn variants(query: &Query) -> Vec<Variant> {
    let has = |parameter: Parameter| query.parameters.contains(&parameter);
    let mut variants = vec![Variant::Main];
    if query.shape().is_none() {
        let reads = matches!(query.role, Role::Read(_));
        if reads
            && (has(Parameter::TagId)
                || has(Parameter::PostId) && query.name != "find_post"
                || has(Parameter::AuthorId) && has(Parameter::Limit))
        {
            variants.push(Variant::Popular);
        }
        if has(Parameter::BeforeId) && !has(Parameter::AuthorId) {
            variants.push(Variant::Deep);
        }
    }
    variants
}

fn value(parameter: Parameter, query: &Query, variant: Variant, facts: &Facts) -> (Value, &'static str) {
    let popular = variant == Variant::Popular;
    let before = if variant == Variant::Deep { facts.deep } else { Cursor::START };
    let place =
        if variant == Variant::Deep { "after nine tenths of all posts, newest first" } else { "the first page" };
    match parameter {
        Parameter::PostId if popular => (Value::Integer(facts.popular_post), "the post with the most comments"),
        Parameter::PostId => {
            (Value::Integer(facts.ordinary_post), "in the middle of the posts that have comments, by their number")
        }
        Parameter::PostIds => (Value::Integers(facts.first_page.clone()), "the posts of the first page"),
        Parameter::AuthorId if popular => (Value::Integer(facts.popular_author), "the author with the most posts"),
        Parameter::AuthorId => {
            (Value::Integer(facts.ordinary_author), "in the middle of the authors, by number of posts")
        }
        Parameter::TagId if popular => (Value::Integer(facts.popular_tag), "the tag with the most posts"),
        Parameter::TagId => (Value::Integer(facts.ordinary_tag.0), "in the middle of the tags, by number of posts"),
        Parameter::TagName => {
            (Value::Text(facts.ordinary_tag.1.clone()), "in the middle of the tags, by number of posts")
        }
        Parameter::TagIds => {
            (Value::Integers(vec![facts.ordinary_tag.0, facts.popular_tag]), "an ordinary tag and a popular one")
        }
        Parameter::TagNames => (
            Value::Texts(vec![facts.ordinary_tag.1.clone(), "not-there-yet".to_owned()]),
            "a tag that exists, and a new one",
        ),
        Parameter::UserId => {
            (Value::Integer(facts.ordinary_author), "in the middle of the authors, by number of posts")
        }
        Parameter::UsernameOrEmail => {
            (Value::Text(facts.username.clone()), "in the middle of the authors, by number of posts")
        }
        Parameter::NewUsername => (Value::Text("nobody-yet".to_owned()), "a name that is free"),
        Parameter::NewEmail => (Value::Text("nobody@example.org".to_owned()), "an address that is free"),
        Parameter::PasswordHash => (Value::Text("!".to_owned()), "what nobody can log in with"),
        Parameter::Bio => (Value::Text("Writes about backends.".to_owned()), "a short text"),
        Parameter::Title => (Value::Text("A post that is rolled back".to_owned()), "a short title"),
        Parameter::PostContent => (Value::Text("It was here for a moment.".to_owned()), "a short text"),
        Parameter::Submission => (Value::Uuid(Uuid::from_u128(1)), "one that has not come before"),
        Parameter::CommentContent => (Value::Text("Thank you, that was worth reading.".to_owned()), "a short comment"),
        Parameter::BeforeCreatedAt => (Value::Time(before.created_at()), place),
        Parameter::BeforeId => (Value::Integer(before.id()), place),
        Parameter::Limit if query.shape().is_some() => (Value::Integer(SHAPE_POSTS), "a page of posts"),
        Parameter::Limit if query.parameters.contains(&Parameter::PostId) => {
            (Value::Integer(LATEST_COMMENTS), "the comments that the page of a post shows")
        }
        Parameter::Limit => (Value::Integer(LIST_POSTS), "a page and one more, to know whether there are more"),
        Parameter::CommentLimit => (Value::Integer(COMMENTS_PER_POST), "the latest few of each post"),
    }
}

impl Value {
    /// The value as text; a list is cut after its first members.
    fn words(&self) -> String {
        match self {
            Self::Integer(value) => value.to_string(),
            Self::Text(text) => text.clone(),
            Self::Texts(texts) => format!("{{{}}}", texts.join(", ")),
            Self::Uuid(uuid) => uuid.to_string(),
            Self::Time(time) => time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
            Self::Integers(values) => {
                let first: Vec<String> = values.iter().take(3).map(i64::to_string).collect();
                let rest = if values.len() > 3 { ", …" } else { "" };
                format!("{{{}{rest}}} ({} ids)", first.join(", "), values.len())
            }
        }
    }
}

impl Facts {
    /// Reads the facts from a seeded database.
    pub(super) async fn read(pool: &PgPool) -> Result<Self> {
        const POSTS: &str = include_str!("../../../queries/explain/posts_by_comments.sql");
        const AUTHORS: &str = include_str!("../../../queries/explain/authors_by_posts.sql");
        const TAGS: &str = include_str!("../../../queries/explain/tags_by_posts.sql");
        const DEEP: &str = include_str!("../../../queries/explain/deep_cursor.sql");
        let what = "cannot choose values for the queries; check that the blog was seeded";
        let posts = sqlx::query(POSTS).fetch_one(pool).await.context(what)?;
        let authors = sqlx::query(AUTHORS).fetch_one(pool).await.context(what)?;
        let tags = sqlx::query(TAGS).fetch_one(pool).await.context(what)?;
        let (created_at, id): (DateTime<Utc>, i64) = sqlx::query_as(DEEP).fetch_one(pool).await.context(what)?;
        let first_page = newest_posts(pool, SHAPE_POSTS).await?;
        ensure!(
            !first_page.is_empty(),
            "the seeded blog has no posts; give `data.posts` in `profiles.toml` a larger number"
        );
        Ok(Self {
            posts: posts.try_get("posts")?,
            ordinary_post: posts.try_get("ordinary_id")?,
            popular_post: posts.try_get("popular_id")?,
            ordinary_author: authors.try_get("ordinary_id")?,
            popular_author: authors.try_get("popular_id")?,
            ordinary_tag: (tags.try_get("ordinary_id")?, tags.try_get("ordinary_name")?),
            popular_tag: tags.try_get("popular_id")?,
            username: authors.try_get("ordinary_name")?,
            deep: Cursor::after(created_at, id),
            first_page,
        })
    }
}

/// The ids of the newest `count` posts.
pub(super) async fn newest_posts(pool: &PgPool, count: i64) -> Result<Vec<i64>> {
    let ids =
        sqlx::query_scalar(include_str!("../../../queries/explain/newest_posts.sql")).bind(count).fetch_all(pool).await;
    ids.context("cannot list the newest posts; check that the blog was seeded")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn facts() -> Facts {
        Facts {
            posts: 100,
            ordinary_post: 11,
            popular_post: 12,
            ordinary_author: 21,
            popular_author: 22,
            ordinary_tag: (31, "rust".to_owned()),
            popular_tag: 32,
            username: "ada".to_owned(),
            deep: Cursor::after(DateTime::UNIX_EPOCH, 41),
            first_page: (0..20).collect(),
        }
    }

    #[test]
    fn every_query_is_explained_and_every_parameter_has_a_value_of_its_type() {
        let cases = cases(&facts());
        for query in QUERIES {
            assert!(cases.iter().any(|case| case.query.name == query.name), "`{}` is not explained", query.name);
        }
        for case in &cases {
            assert_eq!(case.values.len(), case.query.parameters.len());
            for (parameter, (value, reason)) in case.query.parameters.iter().zip(&case.values) {
                let fits = match parameter {
                    Parameter::PostIds | Parameter::TagIds => matches!(value, Value::Integers(_)),
                    Parameter::TagNames => matches!(value, Value::Texts(_)),
                    Parameter::Submission => matches!(value, Value::Uuid(_)),
                    Parameter::TagName
                    | Parameter::UsernameOrEmail
                    | Parameter::NewUsername
                    | Parameter::NewEmail
                    | Parameter::PasswordHash
                    | Parameter::Bio
                    | Parameter::Title
                    | Parameter::PostContent
                    | Parameter::CommentContent => matches!(value, Value::Text(_)),
                    Parameter::BeforeCreatedAt => matches!(value, Value::Time(_)),
                    _ => matches!(value, Value::Integer(_)),
                };
                assert!(fits && !reason.is_empty(), "`{}`: {parameter:?} got {value:?}", case.key());
            }
        }
    }

    #[test]
    fn keys_are_unique_and_variants_differ_from_the_main_case() {
        let cases = cases(&facts());
        let keys: BTreeSet<String> = cases.iter().map(Case::key).collect();
        assert_eq!(keys.len(), cases.len());
        for case in cases.iter().filter(|case| case.variant != Variant::Main) {
            let main = cases.iter().find(|other| other.key() == case.query.name).unwrap();
            assert_ne!(main.arguments(), case.arguments(), "`{}` asks the same as the main case", case.key());
        }
    }

    #[test]
    fn the_variants_are_those_that_matter() {
        let keys: Vec<String> = cases(&facts()).iter().map(Case::key).collect();
        insta::assert_snapshot!(keys.join("\n"));
    }

    #[test]
    fn a_long_list_is_cut() {
        assert_eq!(Value::Integers((1..=20).collect()).words(), "{1, 2, 3, …} (20 ids)");
        assert_eq!(Value::Integers(vec![1, 2]).words(), "{1, 2} (2 ids)");
    }
}
