//! How far the run is and about how long it still takes: a row a step on a terminal, plain lines elsewhere. It measures nothing, and what
//! it says of the time to come is [`Estimate`]'s.

use std::{
    io::IsTerminal as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Estimate, Event, EventKind, EventLog};

/// How often the rows of a terminal are drawn anew.
const REDRAW: Duration = Duration::from_millis(500);

/// The progress of a run over all its steps.
pub struct Progress {
    started: Instant,
    estimate: Arc<Mutex<Estimate>>,
    step: String,
    log: EventLog,
    screen: Option<Screen>,
}

impl Progress {
    /// Progress of a run over these steps, each with the seconds it is expected to take; what the run does is also written into `log`.
    #[must_use]
    pub fn new(planned: &[(&str, f64)], log: EventLog) -> Self {
        let started = Instant::now();
        let estimate = Arc::default();
        let screen = std::io::stderr().is_terminal().then(|| Screen::new(planned, started, &estimate));
        let mut progress = Self { started, estimate, step: String::new(), log, screen };
        for (step, planned_s) in planned {
            let event = Event { planned_s: Some(*planned_s), ..progress.event(EventKind::Plan, "") };
            progress.note(Event { step: (*step).to_owned(), ..event });
        }
        progress
    }

    /// A step begins.
    pub fn begin(&mut self, step: &str) {
        step.clone_into(&mut self.step);
        self.note(self.event(EventKind::Begin, "preparing"));
        self.show("preparing");
    }

    /// The step has come to `share` of itself and does `what` now.
    pub fn say(&mut self, share: f64, what: &str) {
        let share = Some(share.clamp(0.0, 1.0));
        self.note(Event { share, ..self.event(EventKind::Piece, what) });
        self.show(what);
    }

    /// The step is measured.
    pub fn end(&mut self, outcome: &str) {
        self.over(outcome, Row::Measured(outcome.to_owned()));
    }

    /// The step failed.
    pub fn fail(&mut self, outcome: &str) {
        self.over(outcome, Row::Failed(outcome.to_owned()));
    }

    fn over(&mut self, outcome: &str, row: Row) {
        self.note(self.event(EventKind::End, outcome));
        match &self.screen {
            Some(screen) => screen.change(&self.step, |old| *old = row),
            None => remark!("{}: {outcome}", self.step),
        }
    }

    /// A line that stays on the screen.
    pub fn line(&self, text: &str) {
        match &self.screen {
            Some(screen) => {
                let _ = screen.rows.println(text);
            }
            None => remark!("{text}"),
        }
    }

    /// The run is over: the rows stay as they are.
    pub fn finish(&mut self) {
        self.screen = None;
    }

    fn event(&self, kind: EventKind, what: &str) -> Event {
        let at_s = (self.started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        Event { at_s, step: self.step.clone(), kind, what: what.to_owned(), share: None, planned_s: None }
    }

    fn note(&mut self, event: Event) {
        self.estimate.lock().unwrap_or_else(PoisonError::into_inner).observe(&event);
        self.log.write(&event);
    }

    fn show(&self, what: &str) {
        if let Some(screen) = &self.screen {
            return screen.say(&self.step, what);
        }
        let estimate = self.estimate.lock().unwrap_or_else(PoisonError::into_inner);
        let left_s = estimate.left_s(self.started.elapsed().as_secs_f64());
        remark!("{}: {what} · about {} left", self.step, words(left_s));
    }
}

/// What a row shows of its step.
#[derive(Debug, Clone, PartialEq)]
enum Row {
    Waiting,
    Running { what: String, pieces: u32, since: Instant },
    Measured(String),
    Failed(String),
}

/// The rows of a terminal: one for each step, and the whole run below them.
struct Screen {
    rows: MultiProgress,
    states: Arc<Mutex<Vec<(String, Row)>>>,
    is_over: Arc<AtomicBool>,
    painter: Option<JoinHandle<()>>,
}

impl Screen {
    fn new(planned: &[(&str, f64)], started: Instant, estimate: &Arc<Mutex<Estimate>>) -> Self {
        let rows = MultiProgress::new();
        let bar = |template: &str| {
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            rows.add(ProgressBar::new(1000).with_style(style))
        };
        let lines: Vec<ProgressBar> = planned.iter().map(|_| bar("{wide_msg}")).collect();
        let whole = bar("{bar:30.cyan/dim} {wide_msg}");
        let states: Arc<Mutex<Vec<(String, Row)>>> =
            Arc::new(Mutex::new(planned.iter().map(|(step, _)| ((*step).to_owned(), Row::Waiting)).collect()));
        let is_over = Arc::new(AtomicBool::new(false));
        let painter = {
            let (states, is_over, estimate) = (Arc::clone(&states), Arc::clone(&is_over), Arc::clone(estimate));
            thread::spawn(move || {
                loop {
                    let last = is_over.load(Ordering::Relaxed);
                    let at_s = started.elapsed().as_secs_f64();
                    let estimate = estimate.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    for ((step, row), line) in states.lock().unwrap_or_else(PoisonError::into_inner).iter().zip(&lines)
                    {
                        line.set_message(text_of(step, row, estimate.left_of_step_s(step, at_s)));
                    }
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 1,000")]
                    whole.set_position((1000.0 * estimate.share(at_s)) as u64);
                    whole.set_message(format!("about {} left", words(estimate.left_s(at_s))));
                    if last {
                        lines.iter().for_each(ProgressBar::abandon);
                        whole.finish_and_clear();
                        return;
                    }
                    thread::park_timeout(REDRAW);
                }
            })
        };
        Self { rows, states, is_over, painter: Some(painter) }
    }

    fn say(&self, step: &str, what: &str) {
        self.change(step, |row| {
            let (pieces, since) = match row {
                Row::Running { pieces, since, .. } => (*pieces + 1, *since),
                Row::Waiting | Row::Measured(_) | Row::Failed(_) => (0, Instant::now()),
            };
            *row = Row::Running { what: what.to_owned(), pieces, since };
        });
    }

    fn change(&self, step: &str, change: impl FnOnce(&mut Row)) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, row)) = states.iter_mut().find(|(name, _)| name == step) {
            change(row);
        }
        if let Some(painter) = &self.painter {
            painter.thread().unpark();
        }
    }
}

impl Drop for Screen {
    /// Draws the rows for the last time, so that they stay as they are.
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(painter) = self.painter.take() {
            painter.thread().unpark();
            let _ = painter.join();
        }
    }
}

/// One row: the step, its state, what it does, how fast, and how long it still takes.
fn text_of(step: &str, row: &Row, left_s: f64) -> String {
    match row {
        Row::Waiting => format!("· {step:<10} waits · about {}", words(left_s)),
        Row::Running { what, pieces, since } => {
            let minutes = since.elapsed().as_secs_f64() / 60.0;
            // The first piece has to be over before there is a rate.
            let rate = if *pieces > 1 {
                format!(" · {:.1} a minute", f64::from(*pieces - 1) / minutes)
            } else {
                String::new()
            };
            format!("▶ {step:<10} {what}{rate} · about {} left", words(left_s))
        }
        Row::Measured(outcome) => format!("✔ {step:<10} {outcome}"),
        Row::Failed(outcome) => format!("✘ {step:<10} {outcome}"),
    }
}

/// A duration as people say it.
pub(super) fn words(seconds: f64) -> String {
    if seconds < 90.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_as_people_say_them() {
        assert_eq!(words(5.2), "5 s");
        assert_eq!(words(89.0), "89 s");
        assert_eq!(words(100.0), "2 min");
    }

    #[test]
    fn a_row_says_the_state_of_its_step() {
        let since = Instant::now().checked_sub(Duration::from_secs(120)).unwrap();
        let running = |pieces| Row::Running { what: "block 3 of 8".to_owned(), pieces, since };
        assert_eq!(text_of("cache", &Row::Waiting, 300.0), "· cache      waits · about 5 min");
        assert_eq!(text_of("cache", &running(1), 60.0), "▶ cache      block 3 of 8 · about 60 s left");
        assert_eq!(text_of("cache", &running(3), 60.0), "▶ cache      block 3 of 8 · 1.0 a minute · about 60 s left");
        assert_eq!(text_of("cache", &Row::Measured("measured in 5 s".to_owned()), 0.0), "✔ cache      measured in 5 s");
    }

    #[test]
    fn everything_is_logged_as_it_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut progress = Progress::new(&[("cache", 60.0), ("surge", 30.0)], EventLog::create(&path).unwrap());
        progress.begin("cache");
        progress.say(0.5, "block 2 of 2");
        progress.end("measured");
        progress.finish();
        let events = super::super::read_events(&path).unwrap();
        let said: Vec<(EventKind, &str, Option<f64>, Option<f64>)> =
            events.iter().map(|event| (event.kind, event.step.as_str(), event.share, event.planned_s)).collect();
        assert_eq!(
            said,
            [
                (EventKind::Plan, "cache", None, Some(60.0)),
                (EventKind::Plan, "surge", None, Some(30.0)),
                (EventKind::Begin, "cache", None, None),
                (EventKind::Piece, "cache", Some(0.5), None),
                (EventKind::End, "cache", None, None),
            ]
        );
    }
}
