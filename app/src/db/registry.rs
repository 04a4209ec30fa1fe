//! The list of every query of the app, in reading order. Others print and explain the queries from here; the functions that send
//! them compile in the same files.

/// A query: a file in `queries/`.
#[derive(Debug)]
pub struct Query {
    /// The stem of the file.
    pub name: &'static str,
    /// The file's content, exactly as it is sent to the database.
    pub sql: &'static str,
    /// What it is for, as half a sentence.
    pub purpose: &'static str,
    /// What `$1`, `$2`, … stand for.
    pub parameters: &'static [Parameter],
    /// Where it is used.
    pub role: Role,
}

/// What a parameter of a query means, and so which values are sensible for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Parameter {
    /// The id of a post (`bigint`).
    PostId,
    /// The ids of the posts of one page (`bigint[]`).
    PostIds,
    /// The id of a user who writes posts (`bigint`).
    AuthorId,
    /// The id of a tag (`bigint`).
    TagId,
    /// The name of a tag (`text`).
    TagName,
    /// The ids of the tags of one post (`bigint[]`).
    TagIds,
    /// The names of the tags of one post (`text[]`).
    TagNames,
    /// The id of a user who comments, or of any user (`bigint`).
    UserId,
    /// The name of a user who does not exist yet (`text`).
    NewUsername,
    /// The e-mail address of a user who does not exist yet (`text`).
    NewEmail,
    /// The name, or the e-mail address, of a user (`text`).
    UsernameOrEmail,
    /// The hash of a password (`text`).
    PasswordHash,
    /// What a user says about themselves (`text`).
    Bio,
    /// The text of a comment (`text`).
    CommentContent,
    /// The title of a post (`text`).
    Title,
    /// The text of a post (`text`).
    PostContent,
    /// The name of a submission, so that it is stored once (`uuid`).
    Submission,
    /// The time of the last post of the page before (`timestamptz`).
    BeforeCreatedAt,
    /// The id of the last post of the page before (`bigint`).
    BeforeId,
    /// How many posts, or comments, a page shows (`bigint`).
    Limit,
    /// How many comments of each post (`bigint`).
    CommentLimit,
}

/// Where a query is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// It reads for a page; the route is given.
    Read(&'static str),
    /// It changes data; the route is given. To explain it, roll it back.
    Write(&'static str),
    /// It is one of several ways to fetch the same thing.
    Shape(Shape),
}

/// One of several ways to fetch the same thing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shape {
    /// What is fetched: shapes of one group are put side by side.
    pub group: &'static str,
    /// The name of the shape, also the function in [`crate::db::shapes`].
    pub name: &'static str,
    /// The query that is sent before this one, if the shape needs one.
    pub preceded_by: Option<&'static str>,
    /// Whether the query is sent once for each post of the page, instead of once.
    pub once_per_post: bool,
}

impl Query {
    /// The group of shapes that the query belongs to.
    pub fn group(&self) -> Option<&'static str> {
        self.shape().map(|shape| shape.group)
    }

    /// The shape that the query is, or is the larger part of.
    pub fn shape(&self) -> Option<Shape> {
        match self.role {
            Role::Shape(shape) => Some(shape),
            Role::Read(_) | Role::Write(_) => None,
        }
    }
}

macro_rules! query {
    ($name:literal, $purpose:literal, [$($parameter:ident),*], $role:expr) => {
        Query {
            name: $name,
            sql: include_str!(concat!("../../queries/", $name, ".sql")),
            purpose: $purpose,
            parameters: &[$(Parameter::$parameter),*],
            role: $role,
        }
    };
}

const fn shape(name: &'static str, preceded_by: Option<&'static str>, once_per_post: bool) -> Role {
    Role::Shape(Shape { group: "posts_with_comments", name, preceded_by, once_per_post })
}

/// Every query of the app. The first of the shapes is `posts_page`, which only precedes others.
pub const QUERIES: &[Query] = &[
    query!("list_posts", "a page of all posts, newest first", [BeforeCreatedAt, BeforeId, Limit], Role::Read("GET /")),
    query!(
        "list_posts_by_author",
        "a page of the posts of one author",
        [AuthorId, BeforeCreatedAt, BeforeId, Limit],
        Role::Read("GET /authors/{id}")
    ),
    query!(
        "list_posts_by_tag",
        "a page of the posts of one tag",
        [TagId, BeforeCreatedAt, BeforeId, Limit],
        Role::Read("GET /tags/{name}")
    ),
    query!("find_post", "one post with its author and tags", [PostId], Role::Read("GET /posts/{id}")),
    query!(
        "latest_comments",
        "the most recent comments of a post",
        [PostId, BeforeCreatedAt, BeforeId, Limit],
        Role::Read("GET /posts/{id}")
    ),
    query!("count_comments", "the number of comments of a post", [PostId], Role::Read("GET /posts/{id}")),
    query!("find_author", "one author", [AuthorId], Role::Read("GET /authors/{id}")),
    query!("find_tag", "one tag by its name", [TagName], Role::Read("GET /tags/{name}")),
    query!("pick_posts", "the posts of a reading list", [PostIds], Role::Read("GET /reading-list")),
    query!("list_tags", "a page of the tags, by name", [TagName, Limit], Role::Read("GET /api/tags")),
    query!("popular_tags", "the tags that most posts carry", [Limit], Role::Read("GET /api/tags")),
    query!("find_account", "a user's own account", [UserId], Role::Read("GET /account")),
    query!("find_credentials", "what is needed to check a password", [UsernameOrEmail], Role::Read("POST /login")),
    query!(
        "add_comment",
        "adding a comment to a post",
        [PostId, UserId, CommentContent, Submission],
        Role::Write("POST /posts/{id}/comments")
    ),
    query!(
        "find_submitted_comment",
        "the comment that a submission has made",
        [UserId, Submission],
        Role::Read("POST /posts/{id}/comments")
    ),
    query!("add_post", "adding a post", [UserId, Title, PostContent, Submission], Role::Write("POST /write")),
    query!(
        "find_submitted_post",
        "the post that a submission has made",
        [UserId, Submission],
        Role::Read("POST /write")
    ),
    query!("add_tags", "making the tags of a post", [TagNames], Role::Write("POST /write")),
    query!("tag_post", "giving a post its tags", [PostId, TagIds], Role::Write("POST /write")),
    query!("tags_of_post", "the tags of a post", [PostId], Role::Read("POST /posts/{id}/edit")),
    query!(
        "update_post",
        "changing a post",
        [PostId, AuthorId, Title, PostContent],
        Role::Write("POST /posts/{id}/edit")
    ),
    query!("untag_post", "taking tags off a post", [PostId, TagIds], Role::Write("POST /posts/{id}/edit")),
    query!("delete_post", "deleting a post", [PostId, AuthorId], Role::Write("POST /posts/{id}/delete")),
    query!("add_user", "registering a user", [NewUsername, NewEmail, PasswordHash], Role::Write("POST /register")),
    query!("update_bio", "changing a user's bio", [UserId, Bio], Role::Write("POST /account")),
    query!(
        "update_password_hash",
        "renewing the hash of a password",
        [UserId, PasswordHash],
        Role::Write("POST /login")
    ),
    query!(
        "posts_page",
        "a page of posts alone, to which comments are fetched afterwards",
        [BeforeCreatedAt, BeforeId, Limit],
        shape("posts_only", None, false)
    ),
    query!(
        "comments_of_one_post",
        "N+1: the comments of one post, asked for once per post",
        [PostId],
        shape("n_plus_one", Some("posts_page"), true)
    ),
    query!(
        "posts_with_comments_join",
        "one JOIN: every row repeats its post",
        [BeforeCreatedAt, BeforeId, Limit],
        shape("join", None, false)
    ),
    query!(
        "comments_of_many_posts",
        "two queries: the comments of all posts of the page at once",
        [PostIds],
        shape("two_queries", Some("posts_page"), false)
    ),
    query!(
        "posts_with_comments_json",
        "json_agg: one row per post, its comments as JSON",
        [BeforeCreatedAt, BeforeId, Limit],
        shape("json_agg", None, false)
    ),
    query!(
        "posts_with_comments_lateral",
        "LATERAL: the latest few comments of each post",
        [BeforeCreatedAt, BeforeId, Limit, CommentLimit],
        shape("lateral", None, false)
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn stems(folder: &str) -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.is_file()).map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_file_is_in_the_list_and_the_list_is_in_the_folder() {
        let listed: Vec<&str> = QUERIES.iter().map(|query| query.name).collect();
        let names: BTreeSet<String> = listed.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(names.len(), listed.len(), "a query is in the list twice");
        assert_eq!(names, stems("queries"));
    }

    #[test]
    fn every_query_is_sent_by_the_app() {
        let sources = [
            include_str!("comments.rs"),
            include_str!("posts.rs"),
            include_str!("shapes.rs"),
            include_str!("users.rs"),
            include_str!("writing.rs"),
        ]
        .concat();
        for query in QUERIES {
            let file = format!("\"queries/{}.sql\"", query.name);
            assert!(sources.contains(&file), "no function sends {file}; remove the file or write the function");
        }
    }

    #[test]
    fn every_parameter_is_used_and_listed() {
        for query in QUERIES {
            let statement: String = query.sql.lines().filter(|line| !line.starts_with("--")).collect();
            for number in 1..=query.parameters.len() {
                assert!(
                    statement.contains(&format!("${number}")),
                    "`{}` lists more parameters than it uses",
                    query.name
                );
            }
            let next = format!("${}", query.parameters.len() + 1);
            assert!(!statement.contains(&next), "`{}` uses {next}, which the list does not name", query.name);
        }
    }

    #[test]
    fn every_query_says_what_it_is_for() {
        for query in QUERIES {
            assert!(query.sql.starts_with("-- "), "`queries/{}.sql` does not begin with a comment", query.name);
            assert!(!query.purpose.is_empty());
            if let Some(first) = query.shape().and_then(|shape| shape.preceded_by) {
                assert!(QUERIES.iter().any(|other| other.name == first), "`{first}` is not in the list");
            }
        }
    }

    #[test]
    fn every_index_file_is_in_the_list() {
        let listed: BTreeSet<&str> = crate::db::SECONDARY_INDEXES.iter().map(|index| index.name).collect();
        let files = stems("migrations/indexes");
        let names: BTreeSet<&str> =
            files.iter().filter_map(|stem| stem.split_once('_')).map(|(_, name)| name).collect();
        assert_eq!(listed, names);
    }
}
