//! What a run spent its time on, drawn from its log. It changes nothing.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use comfy_table::{CellAlignment, Table, presets};

use super::Project;
use crate::steps::{Forecast, Span, read_events, replay, spans};

/// Characters of the whole run.
const WIDTH: usize = 48;

/// The longest pieces of a step that are shown.
const LONGEST: usize = 3;

/// Logs of runs are called so, with the time of their start.
const PREFIX: &str = "events-";

/// Where the log of a run that starts now goes.
pub(super) fn new_log(project: &Project) -> PathBuf {
    let now = chrono::Utc::now().format("%Y%m%dT%H%M%SZ");
    project.runs().join(format!("{PREFIX}{now}-{}.jsonl", std::process::id()))
}

/// Prints the timeline of a log; of the newest one if none is named.
///
/// # Errors
/// When there is no log, or it cannot be understood.
pub fn timeline(project: &Project, log: Option<&Path>) -> Result<()> {
    let path = log.map_or_else(|| newest(project), |path| Ok(path.to_owned()))?;
    let events = read_events(&path)?;
    say!("{}\n{}", path.display(), draw(&spans(&events)));
    let forecasts = replay(&events);
    if !forecasts.is_empty() {
        say!("what was said of the time left\n{}", draw_forecasts(&forecasts));
    }
    Ok(())
}

/// So many forecasts are shown, evenly over the run.
const SHOWN: usize = 9;

/// What the run said of its end, at some moments, beside what was true.
fn draw_forecasts(forecasts: &[Forecast]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_header(["when", "step", "said", "was", "error"]);
    let end_s = forecasts.last().map_or(0.0, |forecast| forecast.at_s + forecast.was_s);
    let right = |text: String| comfy_table::Cell::new(text).set_alignment(CellAlignment::Right);
    for part in 0..SHOWN {
        let from_s = end_s * part as f64 / SHOWN as f64;
        let Some(forecast) = forecasts.iter().find(|forecast| forecast.at_s >= from_s) else { continue };
        table.add_row([
            right(format!("{:.1} s", forecast.at_s)),
            comfy_table::Cell::new(&forecast.step),
            right(format!("{:.0} s", forecast.said_s)),
            right(format!("{:.0} s", forecast.was_s)),
            right(format!("{:+.0} %", 100.0 * forecast.error())),
        ]);
    }
    table
}

/// The log of the run that began last.
pub(super) fn newest(project: &Project) -> Result<PathBuf> {
    let logs = std::fs::read_dir(project.runs()).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let is_log = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
    // The time is part of the name, in an order that text has too.
    logs.filter(is_log).max().context("there is no log of a run yet; `just all` or `just quick` writes one")
}

/// A bar for each step over the whole run, and below it what took longest in it.
fn draw(spans: &[Span]) -> Table {
    let end_s = spans.iter().map(|span| span.start_s + span.duration_s).fold(0.0, f64::max);
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY);
    table.set_header(["what", "took", "share", "when"]);
    let mut steps: Vec<&str> = Vec::new();
    for span in spans {
        if !steps.contains(&span.step.as_str()) {
            steps.push(&span.step);
        }
    }
    for step in steps {
        let own: Vec<&Span> = spans.iter().filter(|span| span.step == step).collect();
        let took_s: f64 = own.iter().map(|span| span.duration_s).sum();
        row(&mut table, step, took_s, end_s, &own);
        let mut longest = own.clone();
        longest.sort_by(|one, other| other.duration_s.total_cmp(&one.duration_s));
        for span in longest.into_iter().take(LONGEST) {
            row(&mut table, &format!("  {}", span.what), span.duration_s, end_s, &[span]);
        }
    }
    table
}

fn row(table: &mut Table, what: &str, took_s: f64, end_s: f64, spans: &[&Span]) {
    let right = |text: String| comfy_table::Cell::new(text).set_alignment(CellAlignment::Right);
    let share = if end_s > 0.0 { 100.0 * took_s / end_s } else { 0.0 };
    table.add_row([
        comfy_table::Cell::new(what),
        right(format!("{took_s:.1} s")),
        right(format!("{share:.0} %")),
        comfy_table::Cell::new(bar(spans, end_s)),
    ]);
}

/// The characters in which something of these spans happened.
fn bar(spans: &[&Span], end_s: f64) -> String {
    let at = |second: f64| (second / end_s * WIDTH as f64).clamp(0.0, WIDTH as f64);
    let is_busy = |place: usize| {
        let (left, right) = (place as f64, place as f64 + 1.0);
        spans.iter().any(|span| at(span.start_s) < right && at(span.start_s + span.duration_s) > left)
    };
    (0..WIDTH).map(|place| if is_busy(place) { '█' } else { '·' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeline_shows_steps_with_their_longest_pieces() {
        let span = |step: &str, what: &str, start_s, duration_s| Span {
            step: step.to_owned(),
            what: what.to_owned(),
            start_s,
            duration_s,
        };
        let spans = [
            span("schema", "preparing", 0.0, 4.0),
            span("schema", "prices of `posts`", 4.0, 8.0),
            span("cache", "preparing", 12.0, 1.0),
            span("cache", "block 1 of 3", 13.0, 10.0),
            span("cache", "block 2 of 3", 23.0, 12.0),
            span("cache", "block 3 of 3", 35.0, 13.0),
        ];
        let drawn = draw(&spans).to_string();
        let line = |what: &str| drawn.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{drawn}"));
        // The run takes as many seconds as a bar has characters.
        let bar = |from: usize, to: usize| "·".repeat(from) + &"█".repeat(to - from) + &"·".repeat(WIDTH - to);
        for (what, took, share, bar) in [
            (" schema ", "12.0 s", "25 %", bar(0, 12)),
            (" prices of `posts` ", "8.0 s", "17 %", bar(4, 12)),
            (" cache ", "36.0 s", "75 %", bar(12, 48)),
            (" block 3 of 3 ", "13.0 s", "27 %", bar(35, 48)),
        ] {
            let line = line(what);
            assert!(line.contains(took) && line.contains(share) && line.contains(&bar), "{what}: {line}");
        }
        let forecast = |at_s, said_s, was_s| Forecast { at_s, step: "cache".to_owned(), said_s, was_s };
        let said = draw_forecasts(&[forecast(0.0, 30.0, 40.0), forecast(20.0, 22.0, 20.0)]).to_string();
        assert!(said.contains("-25 %") && said.contains("+10 %") && said.contains("20.0 s"), "{said}");
        assert_eq!(drawn.matches("preparing").count(), 1, "only the longest pieces are shown:\n{drawn}");
    }
}
