//! The counters that a server of the app shows under `/metrics`, in the text format of OpenMetrics. It knows the format and no counter:
//! what they mean is their reader's business.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};

/// The counters of one server, by their names without `_total`; those of a family with labels are added up.
pub type Counters = BTreeMap<String, f64>;

/// What happened between two readings.
#[must_use]
pub fn difference(before: &Counters, after: &Counters) -> Counters {
    after.iter().map(|(name, value)| (name.clone(), value - before.get(name).copied().unwrap_or(0.0))).collect()
}

/// Reads one server.
#[derive(Clone, Debug)]
pub struct Metrics {
    client: reqwest::Client,
    url: String,
}

impl Metrics {
    /// A reader of the metrics at an address.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(url: impl Into<String>) -> Result<Self> {
        let builder = crate::http::local().timeout(Duration::from_secs(5));
        Ok(Self { client: builder.build().context("could not make the HTTP client")?, url: url.into() })
    }

    /// Reads the counters.
    ///
    /// # Errors
    /// When the server does not answer, or with something else.
    pub async fn read(&self) -> Result<Counters> {
        let named = || format!("could not read `{}`", self.url);
        let answer = self.client.get(&self.url).send().await.and_then(reqwest::Response::error_for_status);
        let text = answer.with_context(named)?.text().await.with_context(named)?;
        parse(&text).with_context(|| format!("`{}` does not show metrics", self.url))
    }
}

/// Reads the text. Gauges, histograms and comments are passed over.
///
/// # Errors
/// When there is no counter, or one without a number.
pub fn parse(text: &str) -> Result<Counters> {
    let mut counters = Counters::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap_or(line.len()));
        let Some(name) = name.strip_suffix("_total") else { continue };
        // A label's value may hold anything, a bracket as well; the number is behind the last one.
        let number = rest.rsplit_once('}').map_or(rest, |(_, number)| number);
        let value: f64 = number
            .split_whitespace()
            .next()
            .and_then(|number| number.parse().ok())
            .with_context(|| format!("`{line}` has no number"))?;
        *counters.entry(name.to_owned()).or_default() += value;
    }
    anyhow::ensure!(!counters.is_empty(), "there is no counter");
    Ok(counters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_added_up_and_gauges_passed_over() {
        let text = "# TYPE http_requests counter\n\
            http_requests_total{route=\"/\",status=\"2xx\"} 5\n\
            http_requests_total{route=\"/posts/{id}\",status=\"2xx\"} 7 1700000000\n\
            http_requests_in_flight 3\n\
            handicap_delay_seconds_total 0.25\n# EOF\n";
        let found = parse(text).unwrap();
        assert_eq!(found, [("http_requests".to_owned(), 12.0), ("handicap_delay_seconds".to_owned(), 0.25)].into());
        assert!(parse("<html>").is_err());
        assert!(parse("http_requests_total many\n").is_err());
    }

    #[test]
    fn a_counter_that_appears_later_began_at_nothing() {
        let before = [("a".to_owned(), 2.0)].into();
        let after = [("a".to_owned(), 5.0), ("b".to_owned(), 1.0)].into();
        assert_eq!(difference(&before, &after), [("a".to_owned(), 3.0), ("b".to_owned(), 1.0)].into());
    }
}
