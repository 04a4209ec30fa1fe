//! An account of the blog for the requests that need one, made as a visitor makes it: over HTTP, once per trial, before its clock
//! starts. Whoever is to have a session of their own logs in to it again.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use reqwest::{
    header::{CONTENT_TYPE, SET_COOKIE},
    redirect::Policy,
};

use crate::load::spec::{Endpoint, Expect, Method};

/// Hashing a password takes a while on purpose.
const LIMIT: Duration = Duration::from_secs(10);

/// How it is called. The database is in every trial as it was seeded, so that the name is free.
const USERNAME: &str = "reader-of-a-trial";

const PASSWORD: &str = "correct horse battery staple";

/// How a visitor of whom the blog knows nothing becomes one with a session, and with the cookie by which a balancer finds the server that
/// made it: by logging in. All of them share the account, and each gets a session of its own.
pub(in crate::steps) fn log_in() -> Endpoint {
    let form = [("username", USERNAME), ("password", PASSWORD)];
    Endpoint {
        method: Method::Post,
        form: form.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        expect: Expect { status: vec![303], contains: None },
        ..super::mix::get("log_in", 0, "/login", None)
    }
}

/// The headers that give the endpoints of `mix` that change something the right to do so, by their names.
pub(super) async fn headers(mix: &[Endpoint], base_url: &str) -> Result<BTreeMap<String, BTreeMap<String, String>>> {
    if !mix.iter().any(|endpoint| endpoint.name == super::mix::ADD_COMMENT) {
        return Ok(BTreeMap::new());
    }
    let token = sign_in(base_url).await.context("cannot sign in to the blog")?;
    let right = [("Authorization".to_owned(), format!("Bearer {token}"))].into();
    Ok([(super::mix::ADD_COMMENT.to_owned(), right)].into())
}

/// Registers a user, which begins a session, and gives the session's token: what the cookie carries can be sent as a header too.
async fn sign_in(base_url: &str) -> Result<String> {
    let password = PASSWORD.replace(' ', "+");
    let form = format!("username={USERNAME}&email=reader%40trial.example&password={password}");
    let client = crate::http::local().redirect(Policy::none()).timeout(LIMIT).build()?;
    let request = client.post(format!("{base_url}/register")).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let response = request.body(form).send().await.context("cannot post to `/register`")?;
    ensure!(response.status() == 303, "`/register` answers {}: {}", response.status(), response.text().await?);
    let cookies = response.headers().get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok());
    let token = cookies.filter_map(|cookie| cookie.strip_prefix("session=")?.split(';').next()).next();
    Ok(token.context("the answer of `/register` begins no session")?.to_owned())
}
