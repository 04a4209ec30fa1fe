//! The counters that NGINX shows under `stub_status`. A reading is a request by itself; the difference leaves it out.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What an NGINX has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Connections that were accepted.
    pub accepted_count: u64,
    /// Connections that were served and not dropped for want of resources.
    pub handled_count: u64,
    /// Requests.
    pub request_count: u64,
}

impl Counters {
    /// What happened between two readings, without the later reading itself.
    #[must_use]
    pub fn difference(before: &Self, after: &Self) -> Self {
        let between = |before: u64, after: u64| after.saturating_sub(before).saturating_sub(1);
        Self {
            accepted_count: between(before.accepted_count, after.accepted_count),
            handled_count: between(before.handled_count, after.handled_count),
            request_count: between(before.request_count, after.request_count),
        }
    }

    /// Reads the text of `stub_status`.
    ///
    /// # Errors
    /// When it is another text.
    pub fn parse(text: &str) -> Result<Self> {
        let read = || {
            let line = text.lines().skip_while(|line| !line.contains("accepts handled requests")).nth(1)?;
            let mut numbers = line.split_whitespace().map(|word| word.parse().ok());
            Some(Self {
                accepted_count: numbers.next()??,
                handled_count: numbers.next()??,
                request_count: numbers.next()??,
            })
        };
        read().context("the answer is not that of `stub_status`")
    }
}

/// Reads one NGINX, on a new connection each time, so that the difference knows what to leave out.
#[derive(Clone, Debug)]
pub struct Status {
    client: reqwest::Client,
    url: String,
}

impl Status {
    /// A reader of the `stub_status` at an address.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(url: impl Into<String>) -> Result<Self> {
        let builder = crate::http::local().pool_max_idle_per_host(0).timeout(Duration::from_secs(5));
        Ok(Self { client: builder.build().context("could not make the HTTP client")?, url: url.into() })
    }

    /// Reads the counters.
    ///
    /// # Errors
    /// When NGINX does not answer, or with something else.
    pub async fn read(&self) -> Result<Counters> {
        let answer = self.client.get(&self.url).send().await.and_then(reqwest::Response::error_for_status);
        let text = answer
            .with_context(|| format!("could not read `{}`", self.url))?
            .text()
            .await
            .with_context(|| format!("could not read `{}`", self.url))?;
        Counters::parse(&text).with_context(|| format!("`{}` does not show NGINX's counters", self.url))
    }
}
