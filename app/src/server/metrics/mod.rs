//! What the server counts, and how it tells: one registry per server, so that two servers in one process do not mix. Everything that a
//! request writes to is prepared here, with labels that are known beforehand; nothing that a client sends becomes a label.

mod process;
mod requests;

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use self::requests::Requests;
use crate::server::address;
use crate::server::admission::Admission;

/// How [`Metrics::render`] is to be declared.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The counters that the rest of the app writes to. A clone of a handle is the same counter.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub(super) requests: Arc<Requests>,
    /// Who is in work.
    pub(super) admission: Arc<Admission>,
    /// Requests that were refused because too many were in work.
    pub(super) shed: Counter,
    /// Requests that took longer than they may.
    pub(super) timed_out: Counter,
    /// Requests whose body was too large or came too slowly.
    pub(super) bodies_refused: Counter,
    /// Requests whose client left before the answer.
    pub(super) abandoned: Counter,
    /// Handlers that panicked.
    pub(super) panics: Counter,
    /// Connections that were accepted.
    pub(super) connections: Counter,
    /// Connections that were closed because their client sent too slowly.
    pub(super) connections_too_slow: Counter,
    /// Logins with the right password.
    pub logins_accepted: Counter,
    /// Logins with a wrong name or password.
    pub logins_refused: Counter,
    /// Requests that were refused by a rate limit.
    pub(super) rate_limited: Counter,
}

/// One value of a family that is read when somebody asks.
#[derive(Debug)]
pub struct Sample {
    /// Names and values; the names must be the same for the whole family.
    pub labels: Vec<(&'static str, String)>,
    /// The value now.
    pub value: f64,
}

impl Sample {
    /// A value without labels.
    pub fn plain(value: f64) -> Self {
        Self { labels: Vec::new(), value }
    }
}

impl Metrics {
    /// Prepares everything; `name` is what this server is called, and `requests_max` how many requests may be in work.
    pub fn new(name: &str, requests_max: usize) -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            requests: Arc::new(Requests::new(address::templates())),
            admission: Arc::new(Admission::new(requests_max)),
            shed: Counter::default(),
            timed_out: Counter::default(),
            bodies_refused: Counter::default(),
            abandoned: Counter::default(),
            panics: Counter::default(),
            connections: Counter::default(),
            connections_too_slow: Counter::default(),
            logins_accepted: Counter::default(),
            logins_refused: Counter::default(),
            rate_limited: Counter::default(),
        };
        metrics.register(name);
        metrics
    }

    fn register(&mut self, name: &str) {
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION").to_owned()), ("name", name.to_owned())]);
        self.registry.register("app_build", "Which program this is, and what it is called", build);
        self.registry.register_collector(Box::new(Arc::clone(&self.requests)));
        for (name, help, counter) in [
            ("http_requests_shed", "Requests refused because too many were in work", &self.shed),
            ("http_requests_timed_out", "Requests that took longer than they may", &self.timed_out),
            ("http_bodies_refused", "Requests whose body was too large or too slow", &self.bodies_refused),
            ("http_requests_abandoned", "Requests whose client left before the answer", &self.abandoned),
            ("http_panics", "Handlers that panicked", &self.panics),
            ("http_connections", "Connections that were accepted", &self.connections),
            (
                "http_connections_too_slow",
                "Connections closed because the head came too slowly",
                &self.connections_too_slow,
            ),
            ("http_requests_rate_limited", "Requests refused by a rate limit", &self.rate_limited),
            ("logins_accepted", "Logins with the right password", &self.logins_accepted),
            ("logins_refused", "Logins with a wrong name or password", &self.logins_refused),
        ] {
            self.registry.register(name, help, counter.clone());
        }
        let admission = Arc::clone(&self.admission);
        self.gauge("http_requests_in_flight", "Requests that are in work", move || Some(admission.in_flight() as f64));
        self.gauge("process_resident_memory_bytes", "Memory that is resident", process::memory_bytes);
        self.gauge("process_open_fds", "Files and sockets that are open", process::open_files);
        self.counter("process_cpu_seconds", "Processor time of all threads", process::cpu_s);
    }

    /// Adds one value that is read when somebody asks. No value means that it cannot be known.
    pub fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) {
        self.sampled(name, help, MetricType::Gauge, move || read().map(Sample::plain).into_iter().collect());
    }

    /// Adds one value that only grows. Its name is given without `_total`.
    pub fn counter(
        &mut self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) {
        self.sampled(name, help, MetricType::Counter, move || read().map(Sample::plain).into_iter().collect());
    }

    /// Adds a family of values that are read when somebody asks. A counter's name is given without `_total`.
    pub fn sampled(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: MetricType,
        read: impl Fn() -> Vec<Sample> + Send + Sync + 'static,
    ) {
        self.registry.register_collector(Box::new(Sampled { name, help, kind, read: Box::new(read) }));
    }

    /// Everything as text, in the format of OpenMetrics, which Prometheus reads.
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(error) => {
                tracing::error!(%error, "the metrics cannot be written");
                String::new()
            }
        }
    }
}

/// A family of values that is read when somebody asks.
struct Sampled {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    read: Box<dyn Fn() -> Vec<Sample> + Send + Sync>,
}

impl fmt::Debug for Sampled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Sampled").field(&self.name).finish()
    }
}

impl Collector for Sampled {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let samples = (self.read)();
        if samples.is_empty() {
            return Ok(());
        }
        let mut family = encoder.encode_descriptor(self.name, self.help, None, self.kind)?;
        for Sample { labels, value } in samples {
            let counter = matches!(self.kind, MetricType::Counter);
            let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
            match (counter, labels.is_empty()) {
                (true, true) => family.encode_counter::<[(&str, &str); 0], _, f64>(&value, None)?,
                (false, true) => family.encode_gauge(&value)?,
                (true, false) => ConstCounter::new(value).encode(family.encode_family(&labels)?)?,
                (false, false) => ConstGauge::new(value).encode(family.encode_family(&labels)?)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_when_asked_and_unknown_ones_are_left_out() {
        let mut metrics = Metrics::new("app-7", 1);
        metrics.gauge("answer", "A value", || Some(42.0));
        metrics.gauge("unknown", "No value", || None);
        metrics.sampled("cache_lookups", "By outcome", MetricType::Counter, || {
            vec![Sample { labels: vec![("outcome", "hit".to_owned())], value: 3.0 }]
        });
        metrics.shed.inc();
        let text = metrics.render();
        for line in [
            "answer 42.0",
            r#"cache_lookups_total{outcome="hit"} 3.0"#,
            "http_requests_shed_total 1",
            r#"app_build_info{version="0.0.0",name="app-7"} 1"#,
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "no `{line}` in:\n{text}");
        }
        assert!(!text.contains("unknown"));
    }
}
