//! HTML: the templates, compiled in, and the responses that carry them. It knows nothing of the database or of HTTP requests.

use std::sync::LazyLock;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};

use crate::http::{self, Audience, Content};
use crate::routes::STYLE_ADDRESS;

/// The templates and their sources. The list is written out so that a file that is missing is an error of the compiler.
const TEMPLATES: &[(&str, &str)] = &[
    ("base.html", include_str!("../templates/base.html")),
    ("list.html", include_str!("../templates/list.html")),
    ("post.html", include_str!("../templates/post.html")),
    ("error.html", include_str!("../templates/error.html")),
    ("comments.html", include_str!("../templates/comments.html")),
    ("comment.html", include_str!("../templates/comment.html")),
    ("write.html", include_str!("../templates/write.html")),
    ("delete_post.html", include_str!("../templates/delete_post.html")),
    ("register.html", include_str!("../templates/register.html")),
    ("log_in.html", include_str!("../templates/log_in.html")),
    ("account.html", include_str!("../templates/account.html")),
    ("reading_list.html", include_str!("../templates/reading_list.html")),
    ("fragments/comments.html", include_str!("../templates/fragments/comments.html")),
    ("fragments/fields.html", include_str!("../templates/fragments/fields.html")),
    ("fragments/post_summary.html", include_str!("../templates/fragments/post_summary.html")),
    ("fragments/article.html", include_str!("../templates/fragments/article.html")),
    ("fragments/recent_comments.html", include_str!("../templates/fragments/recent_comments.html")),
];

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    // A misspelled name must fail in a test, not print nothing.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.unwrap_or_else(|error| panic!("the template syntax is wrong: {error:#}")));
    // The default decides by the end of the name, so that a template with another ending would not be escaped at all.
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    // Our own text: escaped, its slashes would be written as references.
    environment.add_global("style_address", Value::from_safe_string(STYLE_ADDRESS.clone()));
    for (name, source) in TEMPLATES {
        environment
            .add_template(name, source)
            .unwrap_or_else(|error| panic!("the template `{name}` is wrong: {error:#}"));
    }
    environment
});

/// Renders a template.
pub fn render(template: &str, context: Value) -> anyhow::Result<String> {
    let rendered = ENVIRONMENT.get_template(template).and_then(|template| template.render(context));
    rendered.map_err(|error| anyhow::anyhow!("cannot render `{template}`: {error:#}"))
}

/// A time as the pages show it, and as `<time datetime="…">` wants it.
pub fn time(time: DateTime<Utc>) -> Value {
    context! { machine => time.format("%Y-%m-%dT%H:%M:%SZ").to_string(), human => time.format("%-d %B %Y").to_string() }
}

/// A response with an HTML page.
pub fn html_response(status: StatusCode, body: Bytes) -> Response {
    (status, http::headers(Content::Html, Audience::OneReader), body).into_response()
}

/// The page of an error. It must always come, so it falls back to plain words.
///
/// `request_id` is what a reader can tell us, and what we can look for in the log.
pub fn error_page(status: StatusCode, message: &str, request_id: Option<&str>) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let page = render("error.html", context! { title, status => status.as_u16(), message, request_id });
    match page {
        Ok(page) => html_response(status, page.into()),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the error page failed");
            (status, message.to_owned()).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_template_is_in_the_list() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let mut files = Vec::new();
        for folder in ["", "fragments"] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    files.push(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        files.sort();
        let mut listed: Vec<&str> = TEMPLATES.iter().map(|(name, _)| *name).collect();
        listed.sort_unstable();
        assert_eq!(files, listed);
    }

    #[test]
    fn text_is_escaped() {
        let page = render(
            "error.html",
            context! { title => "t", status => 400, message => "<script>alert('1')</script>", request_id => () },
        )
        .unwrap();
        assert!(!page.contains("<script"));
        assert!(page.contains("&lt;script&gt;"));
    }

    #[test]
    fn a_missing_value_is_an_error() {
        let error = render("error.html", context! { title => "t" }).unwrap_err();
        assert!(error.to_string().contains("undefined"), "{error:#}");
    }
}
