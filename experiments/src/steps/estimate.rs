//! How long a run still takes: the plan, corrected by what was seen. It is pure: it knows no clock and no screen, so that a log says
//! afterwards how good it was.

use super::{Event, EventKind};

/// The plan counts like so great a part of the run that went as planned, so that a first short step does not turn everything over.
const TRUST: f64 = 0.1;

/// The same for the plan of a step that is under way.
const TRUST_OF_STEP: f64 = 0.01;

/// What took less than this part of its plan was not measured: an interrupted run had it already.
const KEPT: f64 = 0.1;

/// What is known of one step.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    step: String,
    planned_s: f64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Waiting,
    Running(Run),
    Over,
}

/// A step under way.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Run {
    /// The part of the step that was done at the last event, and when that was.
    share: f64,
    at_s: f64,
    /// Whether the first piece has begun; what comes before it prepares, and has another pace.
    has_piece: bool,
    /// The parts of the step that were measured while somebody looked, and what they took.
    seen_share: f64,
    seen_s: f64,
}

/// The estimate of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Estimate {
    steps: Vec<Known>,
    /// What was planned of all that is behind, and what it took.
    planned_s: f64,
    took_s: f64,
}

impl Estimate {
    /// Takes note of an event of the run.
    pub fn observe(&mut self, event: &Event) {
        match event.kind {
            EventKind::Plan => self.steps.push(Known {
                step: event.step.clone(),
                planned_s: event.planned_s.unwrap_or(0.0),
                state: State::Waiting,
            }),
            EventKind::Begin => {
                if let Some(known) = self.known(&event.step) {
                    let run = Run { share: 0.0, at_s: event.at_s, has_piece: false, seen_share: 0.0, seen_s: 0.0 };
                    known.state = State::Running(run);
                }
            }
            EventKind::Piece => self.go_on(event, event.share.unwrap_or(0.0)),
            EventKind::End => {
                self.go_on(event, 1.0);
                if let Some(known) = self.known(&event.step) {
                    known.state = State::Over;
                }
            }
        }
    }

    /// How long the run still takes, `at_s` seconds after its start.
    #[must_use]
    pub fn left_s(&self, at_s: f64) -> f64 {
        self.steps.iter().map(|known| self.left_of(known, at_s)).sum()
    }

    /// How long the step still takes; nothing for one that is over.
    #[must_use]
    pub fn left_of_step_s(&self, step: &str, at_s: f64) -> f64 {
        self.steps.iter().find(|known| known.step == step).map_or(0.0, |known| self.left_of(known, at_s))
    }

    /// The part of the whole run that is behind, from 0 to 1.
    #[must_use]
    pub fn share(&self, at_s: f64) -> f64 {
        let left_s = self.left_s(at_s);
        if at_s + left_s > 0.0 { at_s / (at_s + left_s) } else { 0.0 }
    }

    fn known(&mut self, step: &str) -> Option<&mut Known> {
        self.steps.iter_mut().find(|known| known.step == step)
    }

    /// A step has come to `share` of itself.
    fn go_on(&mut self, event: &Event, share: f64) {
        let Some(known) = self.known(&event.step) else { return };
        let planned_s = known.planned_s;
        let State::Running(run) = &mut known.state else { return };
        let (part, took_s) = ((share - run.share).max(0.0), event.at_s - run.at_s);
        let was_measured = part > 0.0 && took_s >= KEPT * planned_s * part;
        if was_measured && run.has_piece {
            run.seen_share += part;
            run.seen_s += took_s;
        }
        // What is tried again is in no part of the step, and yet it takes time; what prepares is done once.
        let counts = was_measured || (part <= 0.0 && run.has_piece);
        (run.share, run.at_s, run.has_piece) = (run.share.max(share), event.at_s, true);
        if counts {
            self.planned_s += planned_s * part;
            self.took_s += took_s;
        }
    }

    /// How much longer than planned things take in this run.
    fn pace(&self) -> f64 {
        let trust_s = TRUST * self.steps.iter().map(|known| known.planned_s).sum::<f64>();
        if self.planned_s + trust_s > 0.0 { (self.took_s + trust_s) / (self.planned_s + trust_s) } else { 1.0 }
    }

    fn left_of(&self, known: &Known, at_s: f64) -> f64 {
        match known.state {
            State::Over => 0.0,
            State::Waiting => known.planned_s * self.pace(),
            State::Running(run) => {
                // Its own pace, as soon as it has one; until then that of the run.
                let of_plan_s = TRUST_OF_STEP * known.planned_s * self.pace();
                let whole_s = (run.seen_s + of_plan_s) / (run.seen_share + TRUST_OF_STEP);
                let since_s = (at_s - run.at_s).max(0.0);
                ((1.0 - run.share).max(0.0) * whole_s - since_s).max(0.0)
            }
        }
    }
}

/// What a run said of its end at one moment, and what was true.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// When, from the start of the run.
    pub at_s: f64,
    /// The step that was under way.
    pub step: String,
    /// How long it was said to take from then.
    pub said_s: f64,
    /// How long it took from then.
    pub was_s: f64,
}

impl Forecast {
    /// By how much it was wrong, as a part of what was left: 0.1 for a tenth too long.
    #[must_use]
    pub fn error(&self) -> f64 {
        if self.was_s > 0.0 { self.said_s / self.was_s - 1.0 } else { 0.0 }
    }
}

/// What a finished run said of its end at each of its events, from its log.
#[must_use]
pub fn replay(events: &[Event]) -> Vec<Forecast> {
    let end_s = events.last().map_or(0.0, |event| event.at_s);
    let mut estimate = Estimate::default();
    let mut forecasts = Vec::new();
    for event in events {
        estimate.observe(event);
        if matches!(event.kind, EventKind::Begin | EventKind::Piece) {
            forecasts.push(Forecast {
                at_s: event.at_s,
                step: event.step.clone(),
                said_s: estimate.left_s(event.at_s),
                was_s: end_s - event.at_s,
            });
        }
    }
    forecasts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(at_s: f64, step: &str, kind: EventKind, share: Option<f64>, planned_s: Option<f64>) -> Event {
        Event { at_s, step: step.to_owned(), kind, what: String::new(), share, planned_s }
    }

    /// The log of a run whose steps have these plans and numbers of pieces, and take `pace` times as long; the first has `kept` pieces
    /// from an interrupted run.
    fn log(steps: &[(f64, u32)], pace: f64, kept: u32) -> Vec<Event> {
        let name = |index: usize| format!("step-{index}");
        let mut events: Vec<Event> = (0..steps.len())
            .map(|index| event(0.0, &name(index), EventKind::Plan, None, Some(steps[index].0)))
            .collect();
        let mut at_s = 0.0;
        for (index, (planned_s, pieces)) in steps.iter().enumerate() {
            events.push(event(at_s, &name(index), EventKind::Begin, None, None));
            for piece in 0..*pieces {
                let share = f64::from(piece) / f64::from(*pieces);
                events.push(event(at_s, &name(index), EventKind::Piece, Some(share), None));
                at_s += if index == 0 && piece < kept { 0.001 } else { pace * planned_s / f64::from(*pieces) };
            }
            events.push(event(at_s, &name(index), EventKind::End, None, None));
        }
        events
    }

    proptest! {
        #[test]
        fn at_a_constant_pace_a_step_is_right_after_its_first_block(
            planned_s in 30.0..400.0_f64,
            pieces in 4..24_u32,
            pace in 0.5..2.0_f64,
        ) {
            let forecasts = replay(&log(&[(planned_s, pieces)], pace, 0));
            for forecast in forecasts.iter().filter(|forecast| forecast.at_s > 0.0) {
                prop_assert!(forecast.error().abs() <= 0.2, "{forecast:?}");
            }
        }

        #[test]
        fn at_a_constant_pace_a_run_is_right_once_half_of_it_is_behind(
            steps in prop::collection::vec((30.0..400.0_f64, 6..24_u32), 1..6),
            pace in 0.6..1.7_f64,
        ) {
            let forecasts = replay(&log(&steps, pace, 0));
            let whole_s = forecasts[0].was_s;
            for forecast in forecasts.iter().filter(|forecast| forecast.at_s >= whole_s / 2.0) {
                prop_assert!(forecast.error().abs() <= 0.2, "{forecast:?}");
            }
        }

        #[test]
        fn it_is_never_negative_and_ends_at_nothing(
            steps in prop::collection::vec((1.0..400.0_f64, 1..9_u32), 1..5),
            pace in 0.01..20.0_f64,
        ) {
            let events = log(&steps, pace, 0);
            let mut estimate = Estimate::default();
            for event in &events {
                estimate.observe(event);
                for later_s in [0.0, 1.0, 1e6] {
                    prop_assert!(estimate.left_s(event.at_s + later_s) >= 0.0);
                    prop_assert!((0.0..=1.0).contains(&estimate.share(event.at_s + later_s)));
                }
            }
            prop_assert_eq!(estimate.left_s(events.last().unwrap().at_s), 0.0);
        }
    }

    #[test]
    fn what_an_interrupted_run_had_does_not_make_the_rest_seem_fast() {
        let events = log(&[(100.0, 10)], 1.0, 6);
        let after = replay(&events).into_iter().find(|forecast| forecast.was_s <= 40.0 + 1e-6).unwrap();
        assert!(after.error().abs() < 0.05, "{after:?}");
    }

    #[test]
    fn time_that_passes_within_a_piece_counts() {
        let mut estimate = Estimate::default();
        estimate.observe(&event(0.0, "cache", EventKind::Plan, None, Some(100.0)));
        estimate.observe(&event(0.0, "cache", EventKind::Begin, None, None));
        assert!((estimate.left_s(0.0) - 100.0).abs() < 1e-9);
        assert!((estimate.left_s(10.0) - 90.0).abs() < 1e-9);
        assert_eq!(estimate.left_of_step_s("other", 0.0), 0.0);
    }
}
