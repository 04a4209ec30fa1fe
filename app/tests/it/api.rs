//! The JSON API, from outside.
//!
//! - `reading`: what everybody may ask for, and being told what is wrong.
//! - `writing`: accounts, sessions, posts and comments.
//! - `document`: what is described is what is there.
//! - `fuzzing`: any input is refused or stored as it is.

mod document;
mod fuzzing;
mod reading;
mod writing;

use serde_json::{Value, json};

use crate::harness::{Page, TestApp};

/// The body of an answer.
fn json_of(page: &Page) -> Value {
    serde_json::from_str(&page.body).unwrap_or_else(|error| panic!("{error}: {} {}", page.status, page.body))
}

/// Whether an answer is a problem as it should be.
fn check_problem(page: &Page) {
    assert_eq!(page.header("content-type"), "application/problem+json", "{} {}", page.status, page.body);
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("location"), "");
    let problem = json_of(page);
    assert_eq!(problem["status"], page.status, "{}", page.body);
    assert_eq!(problem["type"], "about:blank");
    assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{}", page.body);
    assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{}", page.body);
    assert!(problem["errors"].is_array(), "{}", page.body);
    assert_eq!(page.status == 401, page.header("www-authenticate") == "Bearer");
}

/// A problem with this status that names this field.
fn check_wrong(page: &Page, status: u16, field: &str) {
    assert_eq!(page.status, status, "{field}: {}", page.body);
    check_problem(page);
    assert_eq!(json_of(page)["errors"][0]["field"], field, "{}", page.body);
}

/// A client with a token, or without one.
struct Client<'a> {
    app: &'a TestApp,
    token: Option<String>,
}

impl<'a> Client<'a> {
    /// Nobody in particular.
    fn anonymous(app: &'a TestApp) -> Self {
        Self { app, token: None }
    }

    /// Registers somebody and logs in.
    async fn registered(app: &'a TestApp, username: &str) -> Self {
        let mut client = Self::anonymous(app);
        let email = format!("{username}@example.org");
        let user = json!({ "username": username, "email": email, "password": "three words and more" });
        let page = client.send("POST", "/api/users", &user).await;
        assert_eq!(page.status, 201, "{}", page.body);
        let credentials = json!({ "username": username, "password": "three words and more" });
        let page = client.send("POST", "/api/sessions", &credentials).await;
        assert_eq!(page.status, 201, "{}", page.body);
        client.token = Some(json_of(&page)["token"].as_str().unwrap().to_owned());
        client
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Page {
        self.send_with(method, path, &[("content-type", "application/json")], body.to_string()).await
    }

    async fn get(&self, path: &str) -> Page {
        self.send_with("GET", path, &[], String::new()).await
    }

    async fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Page {
        let authorization = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let mut headers = headers.to_vec();
        headers.extend(authorization.as_deref().map(|authorization| ("authorization", authorization)));
        self.app.request(method, path, &headers, body).await
    }
}
