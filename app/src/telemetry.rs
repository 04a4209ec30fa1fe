//! The log: one JSON object per line on stderr. A line that is written during a request carries its id, without anybody passing it on
//! and without a span: a span costs each request more than a cached page does, and most requests write nothing.

use std::fmt::{self, Write};

use anyhow::Context;
use chrono::{SecondsFormat, Utc};
use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::server::RequestId;

tokio::task_local! {
    /// The id of the request that the current task works on. The edge sets it; the log, the database and the error pages read it.
    pub static REQUEST_ID: RequestId;
}

/// The id of the request that the current task works on, if it works on one.
pub fn request_id() -> Option<RequestId> {
    REQUEST_ID.try_get().ok()
}

/// Lets work keep the id of the present request when it is spawned as a task of its own: `tokio::spawn(in_this_request(work))`.
pub fn in_this_request<F: Future>(work: F) -> impl Future<Output = F::Output> {
    // Read now: when the work is polled for the first time, it is already somewhere else.
    let id = request_id();
    async move {
        match id {
            Some(id) => REQUEST_ID.scope(id, work).await,
            None => work.await,
        }
    }
}

/// Starts writing the log. Call once.
pub fn start(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::builder().parse(filter).with_context(|| format!("`{filter}` is not a log filter"))?;
    tracing_subscriber::fmt()
        .event_format(JsonLines)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init()
        .map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))?;
    // The usual hook writes plain text, which whoever reads the log line by line could not read.
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let message = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref().copied());
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        tracing::error!(place, "panic: {}", message.unwrap_or("no message"));
    }));
    Ok(())
}

/// One event, one line, one flat object.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Line::default();
        line.put("timestamp", &Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true));
        line.put("level", metadata.level().as_str());
        event.record(&mut line);
        // An event about a request that is over names it itself.
        if !line.names_request {
            let _ = REQUEST_ID.try_with(|id| line.put("request_id", id.as_str()));
        }
        line.put("target", metadata.target());
        writeln!(writer, "{{{}}}", line.text)
    }
}

/// The members of an object, so far.
#[derive(Default)]
struct Line {
    text: String,
    names_request: bool,
}

impl Line {
    fn put<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        // Writing JSON into a string fails for maps with odd keys only, and a member that failed must not break the line.
        let (Ok(name), Ok(value)) = (serde_json::to_string(name), serde_json::to_string(value)) else { return };
        let comma = if self.text.is_empty() { "" } else { "," };
        let _ = write!(self.text, "{comma}{name}:{value}");
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.names_request |= field.name() == "request_id";
        self.put(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), &value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.put(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::Value;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log(write: impl FnOnce()) -> Vec<Value> {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt().event_format(JsonLines).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, write);
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_an_object_with_every_field() {
        let lines =
            log(|| tracing::warn!(number = 7, share = 0.5, is = true, text = "a \"b\"\n", "what {}", "happened"));
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        assert_eq!(line["message"], "what happened");
        assert_eq!((&line["number"], &line["share"], &line["is"]), (&7.into(), &0.5.into(), &true.into()));
        assert_eq!(line["text"], "a \"b\"\n");
        assert_eq!((&line["level"], &line["target"]), (&"WARN".into(), &"app::telemetry::tests".into()));
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
        assert!(line.get("request_id").is_none());
    }

    #[test]
    fn a_line_carries_the_request_that_it_was_written_in() {
        let (own, other) = (RequestId::next(), RequestId::next());
        let lines = log(|| {
            REQUEST_ID.sync_scope(own.clone(), || {
                tracing::info!("inside");
                tracing::info!(request_id = other.as_str(), "about another");
            });
        });
        assert_eq!(lines[0]["request_id"], own.as_str());
        assert_eq!(lines[1]["request_id"], other.as_str());
    }

    #[tokio::test]
    async fn spawned_work_keeps_its_request() {
        let id = RequestId::next();
        let (with, without) = REQUEST_ID
            .scope(id.clone(), async {
                let with = tokio::spawn(in_this_request(async { request_id() }));
                let without = tokio::spawn(async { request_id() });
                (with.await.unwrap(), without.await.unwrap())
            })
            .await;
        assert_eq!((with, without), (Some(id), None));
    }
}
