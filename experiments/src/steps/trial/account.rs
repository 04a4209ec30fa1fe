//! An account of the blog for the requests that need one, made as a visitor makes it: over HTTP, once per trial, before its clock
//! starts.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::load::spec::Endpoint;

/// Hashing a password takes a while on purpose.
const LIMIT: Duration = Duration::from_secs(10);

/// Gives every endpoint of `mix` that changes something the right to do so, if there is one.
pub(super) async fn authorise(mix: &mut [Endpoint], base_url: &str) -> Result<()> {
    if !mix.iter().any(|endpoint| endpoint.name == super::mix::ADD_COMMENT) {
        return Ok(());
    }
    let token = sign_in(base_url).await.context("cannot sign in to the blog")?;
    for endpoint in mix.iter_mut().filter(|endpoint| endpoint.name == super::mix::ADD_COMMENT) {
        endpoint.headers.insert("Authorization".to_owned(), format!("Bearer {token}"));
    }
    Ok(())
}

/// Registers a user and begins a session for it.
async fn sign_in(base_url: &str) -> Result<String> {
    // The database is a fresh copy in every trial, so that the name is free.
    let (username, password) = ("reader-of-a-trial", "correct horse battery staple");
    let user = json!({ "username": username, "email": "reader@trial.example", "password": password });
    post(base_url, "/api/users", &user).await?;
    let session = post(base_url, "/api/sessions", &json!({ "username": username, "password": password })).await?;
    let token = session.get("token").and_then(Value::as_str).context("the answer of `/api/sessions` has no `token`")?;
    Ok(token.to_owned())
}

async fn post(base_url: &str, path: &str, body: &Value) -> Result<Value> {
    let client = Client::builder().no_proxy().timeout(LIMIT).build()?;
    let request = client.post(format!("{base_url}{path}")).header(CONTENT_TYPE, "application/json");
    let response = request.body(body.to_string()).send().await.with_context(|| format!("cannot post to `{path}`"))?;
    let (status, text) = (response.status(), response.text().await?);
    ensure!(status.is_success(), "`{path}` answers {status}: {text}");
    serde_json::from_str(&text).with_context(|| format!("`{path}` answers something else than JSON: {text}"))
}
