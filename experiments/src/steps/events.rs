//! The log of a run: one line of JSON for each thing that it began, so that one can see afterwards what its time went into. It knows
//! neither the steps nor the screen.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Something began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When, from the start of the run.
    pub at_s: f64,
    /// The step that was under way.
    pub step: String,
    /// What it was.
    pub kind: EventKind,
    /// In words.
    pub what: String,
    /// The part of the step that is done, of a piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// How long the step is expected to take, of a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_s: Option<f64>,
}

/// What can begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Nothing yet: a step is due.
    Plan,
    /// A step.
    Begin,
    /// A piece of a step, such as a trial.
    Piece,
    /// What comes after a step, which is over.
    End,
}

/// Writes the log. A line that cannot be written is lost, and the run goes on: nothing depends on it.
#[derive(Debug)]
pub struct EventLog {
    file: File,
}

impl EventLog {
    /// Begins a log.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        let named = || format!("cannot write the log of the run `{}`; check that the disk has room", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(named)?;
        }
        Ok(Self { file: File::create(path).with_context(named)? })
    }

    pub(super) fn write(&mut self, event: &Event) {
        if let Ok(mut line) = serde_json::to_string(event) {
            line.push('\n');
            let _ = self.file.write_all(line.as_bytes());
        }
    }
}

/// Reads a log. A last line that was cut, as by `kill -9`, is left out.
///
/// # Errors
/// When the file cannot be read, or a line before the last is not an event; the line is named.
pub fn read_events(path: &Path) -> Result<Vec<Event>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let lines: Vec<&str> = text.lines().collect();
    let mut events = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        match serde_json::from_str(line) {
            Ok(event) => events.push(event),
            Err(_) if index + 1 == lines.len() && !text.ends_with('\n') => {}
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("`{}`, line {}, is not an event", path.display(), index + 1));
            }
        }
    }
    Ok(events)
}

/// What took time: from its event to the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The step.
    pub step: String,
    /// In words.
    pub what: String,
    /// When it began, from the start of the run.
    pub start_s: f64,
    /// How long it took.
    pub duration_s: f64,
}

/// The spans of a run, in order. What the last event began has no end, unless it is one.
#[must_use]
pub fn spans(events: &[Event]) -> Vec<Span> {
    let span = |pair: &[Event]| match pair {
        [event, next] if event.kind != EventKind::End => Some(Span {
            step: event.step.clone(),
            what: event.what.clone(),
            start_s: event.at_s,
            duration_s: next.at_s - event.at_s,
        }),
        _ => None,
    };
    let events: Vec<Event> = events.iter().filter(|event| event.kind != EventKind::Plan).cloned().collect();
    events.windows(2).filter_map(span).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at_s: f64, kind: EventKind, what: &str) -> Event {
        Event { at_s, step: "cache".to_owned(), kind, what: what.to_owned(), share: None, planned_s: None }
    }

    #[test]
    fn a_log_is_read_as_it_was_written_and_a_cut_line_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs/events.jsonl");
        let mut log = EventLog::create(&path).unwrap();
        for (kind, what) in
            [(EventKind::Begin, "preparing"), (EventKind::Piece, "block 1 of 8"), (EventKind::End, "measured")]
        {
            log.write(&event(0.5, kind, what));
        }
        let events = read_events(&path).unwrap();
        let kinds: Vec<EventKind> = events.iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [EventKind::Begin, EventKind::Piece, EventKind::End]);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 5]).unwrap();
        assert_eq!(read_events(&path).unwrap(), events[..2]);
        fs::write(&path, text.replace("piece", "peace")).unwrap();
        assert!(format!("{:#}", read_events(&path).unwrap_err()).contains("line 2, is not an event"));
    }

    #[test]
    fn a_span_lasts_until_the_next_event_and_nothing_follows_an_end() {
        let events = [
            event(0.0, EventKind::Plan, ""),
            event(0.0, EventKind::Begin, "preparing"),
            event(2.0, EventKind::Piece, "block 1"),
            event(12.0, EventKind::End, "measured"),
            event(13.0, EventKind::Begin, "preparing"),
        ];
        let found: Vec<(String, f64)> = spans(&events).into_iter().map(|span| (span.what, span.duration_s)).collect();
        assert_eq!(found, [("preparing".to_owned(), 2.0), ("block 1".to_owned(), 10.0)]);
    }
}
