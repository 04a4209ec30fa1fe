//! How many requests there were and how long they took, by the template of their address. It is written to on every request, so it is
//! nothing but counters in an array: no lock, no look-up, no label is put together before somebody asks.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

/// The methods that are told apart. Whoever makes up others makes no new labels.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "other"];

/// The classes of status.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Where the buckets of the durations end, in microseconds. A cached page takes tens, an uncached one thousands, and the longest that
/// a request may take is ten million.
const BOUNDS_US: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000,
];

/// The counts of every route.
#[derive(Debug)]
pub(crate) struct Requests {
    routes: Vec<RouteCounts>,
}

#[derive(Debug)]
struct RouteCounts {
    template: &'static str,
    requests: [[AtomicU64; CLASSES.len()]; METHODS.len()],
    /// One bucket per bound, and one for everything above.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
}

impl Requests {
    pub(super) fn new(templates: impl IntoIterator<Item = &'static str>) -> Self {
        let counts = |template| RouteCounts {
            template,
            requests: Default::default(),
            buckets: Default::default(),
            sum_ns: AtomicU64::new(0),
        };
        Self { routes: templates.into_iter().map(counts).collect() }
    }

    /// Counts one request that was answered.
    pub(crate) fn observe(&self, route: usize, method: &Method, status: StatusCode, duration: Duration) {
        let Some(counts) = self.routes.get(route) else { return };
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        counts.requests[method_index(method)][class].fetch_add(1, Ordering::Relaxed);
        let duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.iter().position(|bound| duration_us <= *bound).unwrap_or(BOUNDS_US.len());
        counts.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        counts.sum_ns.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

fn method_index(method: &Method) -> usize {
    match *method {
        Method::GET => 0,
        Method::HEAD => 1,
        Method::POST => 2,
        Method::PUT => 3,
        Method::PATCH => 4,
        Method::DELETE => 5,
        _ => 6,
    }
}

impl Collector for Requests {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = encoder.encode_descriptor(
            "http_requests",
            "Requests that were answered, by route, method and class of status",
            None,
            MetricType::Counter,
        )?;
        for counts in &self.routes {
            for (method, classes) in METHODS.iter().zip(&counts.requests) {
                for (class, count) in CLASSES.iter().zip(classes) {
                    let count = count.load(Ordering::Relaxed);
                    // What never happened is left out: most routes know one method and two classes.
                    if count > 0 {
                        let labels = [("route", counts.template), ("method", method), ("status", class)];
                        ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
                    }
                }
            }
        }
        let mut family = encoder.encode_descriptor(
            "http_request_duration_seconds",
            "From the head of the request to the head of the response, by route",
            None,
            MetricType::Histogram,
        )?;
        for counts in &self.routes {
            let bounds = BOUNDS_US.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> =
                bounds.zip(counts.buckets.iter().map(|count| count.load(Ordering::Relaxed))).collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            if count > 0 {
                let sum = counts.sum_ns.load(Ordering::Relaxed) as f64 / 1e9;
                let labels = [("route", counts.template)];
                family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn requests_are_counted_under_bounded_labels() {
        let requests = Requests::new(["/", "other"]);
        requests.observe(0, &Method::GET, StatusCode::OK, Duration::from_micros(50));
        requests.observe(0, &Method::GET, StatusCode::NOT_MODIFIED, Duration::from_micros(51));
        requests.observe(1, &Method::from_bytes(b"BREW").unwrap(), StatusCode::IM_A_TEAPOT, Duration::from_secs(60));
        requests.observe(7, &Method::GET, StatusCode::OK, Duration::ZERO);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(requests));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            r#"http_requests_total{route="/",method="GET",status="2xx"} 1"#,
            r#"http_requests_total{route="/",method="GET",status="3xx"} 1"#,
            r#"http_requests_total{route="other",method="other",status="4xx"} 1"#,
            r#"http_request_duration_seconds_bucket{le="0.00005",route="/"} 1"#,
            r#"http_request_duration_seconds_bucket{le="0.0001",route="/"} 2"#,
            r#"http_request_duration_seconds_bucket{le="10.0",route="other"} 0"#,
            r#"http_request_duration_seconds_bucket{le="+Inf",route="other"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "no `{line}` in:\n{text}");
        }
        assert!(!text.contains(r#"method="POST""#));
    }
}
