//! How far the run is and about how long it still takes: a bar on a terminal, plain lines elsewhere. It measures nothing.

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::{EventKind, EventLog};

/// The progress of a run over all its steps.
pub struct Progress {
    started: Instant,
    planned_s: f64,
    done_s: f64,
    step: String,
    step_planned_s: f64,
    bar: Option<ProgressBar>,
    log: EventLog,
}

impl Progress {
    /// Progress of a run that is planned to take `planned_s`; what it does is also written into `log`.
    #[must_use]
    pub fn new(planned_s: f64, log: EventLog) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(1000);
            let style = ProgressStyle::with_template("{bar:30.cyan/dim} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style);
            bar
        });
        Self { started: Instant::now(), planned_s, done_s: 0.0, step: String::new(), step_planned_s: 0.0, bar, log }
    }

    /// A step begins that is planned to take `planned_s`.
    pub fn begin(&mut self, step: &str, planned_s: f64) {
        step.clone_into(&mut self.step);
        self.step_planned_s = planned_s;
        self.log.note(step, EventKind::Begin, "preparing");
        self.show(0.0, "preparing");
    }

    /// The step has come to `share` of itself and does `what` now.
    pub fn say(&mut self, share: f64, what: &str) {
        self.log.note(&self.step, EventKind::Piece, what);
        self.show(share, what);
    }

    fn show(&self, share: f64, what: &str) {
        let done_s = self.done_s + share.clamp(0.0, 1.0) * self.step_planned_s;
        let left = words(self.left(done_s));
        let text = format!("{}: {what} · about {left} left", self.step);
        match &self.bar {
            Some(bar) => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 1,000")]
                bar.set_position((1000.0 * done_s / self.planned_s.max(1.0)) as u64);
                bar.set_message(text);
            }
            None => eprintln!("{text}"),
        }
    }

    /// The step is over.
    pub fn end(&mut self, outcome: &str) {
        self.done_s += self.step_planned_s;
        self.step_planned_s = 0.0;
        self.log.note(&self.step, EventKind::End, outcome);
        self.line(&format!("{}: {outcome}", self.step));
    }

    /// A line that stays on the screen.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }

    /// The run is over.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// The plan, corrected by how it went so far once a fifth is done.
    fn left(&self, done_s: f64) -> Duration {
        let planned_left = (self.planned_s - done_s).max(0.0);
        let pace = if done_s > self.planned_s / 5.0 { self.started.elapsed().as_secs_f64() / done_s } else { 1.0 };
        Duration::from_secs_f64(planned_left * pace)
    }
}

/// A duration as people say it.
pub(super) fn words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 90 { format!("{seconds} s") } else { format!("{} min", (seconds + 30) / 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_as_people_say_them() {
        assert_eq!(words(Duration::from_secs(5)), "5 s");
        assert_eq!(words(Duration::from_secs(89)), "89 s");
        assert_eq!(words(Duration::from_secs(100)), "2 min");
    }
}
