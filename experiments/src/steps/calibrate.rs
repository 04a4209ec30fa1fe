//! The step `calibrate`: the instrument before it measures anything. An arm against itself shows its noise, known effects show that it
//! finds what is there, a frozen server shows that its clock does not stop with the server's, and the generator shows how late it is.

mod charts;
mod frozen;
mod rows;
mod summary;

use std::{ops::Range, time::Duration};

use anyhow::{Context, Result};

use super::{
    Bench, Figure, Measuring, Profile, Setup, Step, find,
    profile::CalibrateParameters,
    trial::{
        self, Arm, Detail, Freeze, Load, Target, Tried,
        rows::{CounterRow, LatencyRow, ResourceRow, SliceRow, TrialRow},
    },
};
use crate::{
    aggregate::Frames,
    load::spec::{Arrivals, Endpoint, Ids, Phase},
    probe::cores,
    results::{Row, Table, summary::SummaryTable},
    stack::{Balancing, CacheLevels, LocalCache},
};
use rows::CoresRow;

/// The step.
pub struct CalibrateStep;

/// Two arms that are one and the same.
const ALIKE: [&str; 2] = ["first", "second"];

/// An arm as it is, one in which every request waits, and one in which every request spends processor time for nothing.
const BURDENED: [&str; 3] = ["plain", "delayed", "loaded"];

/// The server stands still: in an open loop, and in a closed one.
const FROZEN: [&str; 2] = ["open", "closed"];

/// The generator at a high rate, against a server that has nothing to do but answer.
const PACED: &str = "paced";

/// Of the arms that are alike, one request in so many misses the cache: ten times as many as the p99 leaves out.
const REQUESTS_PER_MISS: u32 = 10;

/// How often the processors are compared, and for how long each time.
const CORES_REPEATS: u32 = 5;
const CORES_WINDOW: Duration = Duration::from_millis(100);

impl Step for CalibrateStep {
    fn name(&self) -> &'static str {
        "calibrate"
    }

    fn title(&self) -> &'static str {
        "Calibration of the instrument"
    }

    fn question(&self) -> &'static str {
        "How small a difference can be seen here, are known effects found, and does waiting count when the server stands still?"
    }

    fn tables(&self) -> &'static [Table] {
        &[TrialRow::TABLE, LatencyRow::TABLE, ResourceRow::TABLE, CounterRow::TABLE, SliceRow::TABLE, CoresRow::TABLE]
    }

    fn figure_names(&self) -> &'static [&'static str] {
        &["freeze", "noise"]
    }

    fn arms(&self) -> Vec<String> {
        ALIKE.iter().chain(&BURDENED).chain(&FROZEN).chain([&PACED]).map(|arm| (*arm).to_owned()).collect()
    }

    fn own_parameters(&self, profile: &Profile) -> Result<Vec<(&'static str, serde_json::Value)>> {
        Ok(vec![
            ("attempts", serde_json::to_value(profile.attempts)?),
            ("calibrate", serde_json::to_value(profile.calibrate)?),
        ])
    }

    fn planned_s(&self, profile: &Profile) -> f64 {
        let calibrate = &profile.calibrate;
        durations_s(calibrate).iter().sum()
    }

    fn measure<'a>(&'a self, bench: &'a mut Bench<'_>) -> Measuring<'a> {
        Box::pin(measure(bench))
    }

    fn summarise(&self, frames: &Frames) -> Result<Vec<SummaryTable>> {
        summary::summarise(frames)
    }

    fn draw(&self, summaries: &[SummaryTable]) -> Result<Vec<Figure>> {
        Ok(vec![
            Figure { name: "freeze".to_owned(), svg: charts::freeze(find(summaries, "quantiles")?) },
            Figure { name: "noise".to_owned(), svg: charts::noise(find(summaries, "pairs")?) },
        ])
    }
}

/// About how long the arms that are alike take, those with a burden, the frozen trials and the paced ones.
fn durations_s(calibrate: &CalibrateParameters) -> [f64; 4] {
    let alike_s = trial::planned_s(ALIKE.len(), calibrate.slices(), calibrate.warm_up_s + calibrate.measured_s);
    let burdened_s =
        trial::planned_s(BURDENED.len(), calibrate.effect_slices(), calibrate.warm_up_s + calibrate.effect_s);
    let freeze_s = calibrate.warm_up_s + calibrate.freeze_window_s + trial::START_S;
    let paced_s = calibrate.warm_up_s + calibrate.measured_s + trial::START_S;
    let freezes = f64::from(calibrate.freezes);
    [alike_s, burdened_s, freezes * 2.0 * freeze_s, freezes * paced_s]
}

/// Which part of the step each of these is.
fn parts(calibrate: &CalibrateParameters) -> [Range<f64>; 4] {
    let durations_s = durations_s(calibrate);
    let all_s: f64 = durations_s.iter().sum();
    let mut end = 0.0;
    durations_s.map(|duration_s| {
        let start = end;
        end += duration_s / all_s;
        start..end
    })
}

async fn measure(bench: &mut Bench<'_>) -> Result<()> {
    let calibrate = bench.profile.calibrate;
    compare_processors(bench)?;
    let alike = Setup::new(CacheLevels::ALL, Balancing::RoundRobin, 1);
    let arms = ALIKE.map(|name| Arm { name, setup: alike });
    let [of_alike, of_burdened, of_frozen, of_paced] = parts(&calibrate);
    let slices = (calibrate.slices(), "calibrate");
    let load = compared(&calibrate, bench.profile.data.users);
    let mut tried = trial::run_interleaved(bench, &arms, slices, &load, Detail::Endpoint, of_alike).await?;
    let mut arms = BURDENED.map(|name| Arm { name, setup: alike });
    arms[1].setup.delay_us = calibrate.delay_us;
    arms[2].setup.cpu_us = calibrate.cpu_us;
    let slices = (calibrate.effect_slices(), "calibrate effects");
    let load = burdened(&calibrate);
    tried.extend(trial::run_interleaved(bench, &arms, slices, &load, Detail::Endpoint, of_burdened).await?);
    tried.extend(freeze(bench, &calibrate, of_frozen).await?);
    tried.extend(pace(bench, &calibrate, of_paced).await?);
    trial::write(bench, &tried)?;
    trial::write_slices(bench, &tried)
}

/// The list of posts from the cache, and one time in [`REQUESTS_PER_MISS`] the page of an author, which no cache has yet. Without these,
/// the slowest hundredth would be whoever came while the machine stood still for a moment, and the p99 a measure of the machine; with
/// them, it stands among requests that are slow because of what they ask for. All arms have as many of them, since slices of one round
/// ask for the same.
fn compared(calibrate: &CalibrateParameters, authors: u32) -> Load {
    let missed = trial::mix::get("author", 1, "/authors/{id}", Some(Ids::Uniform { count: u64::from(authors) }));
    Load {
        mix: vec![Endpoint { weight: REQUESTS_PER_MISS - 1, ..list() }, missed],
        statements_per_miss: &[("list_posts", 1), ("author", 2)],
        ..steady(calibrate)
    }
}

/// The list of posts alone. Whoever waits beside a miss waits in part for nothing, since it would have waited for the processor anyhow: of
/// a delay that is added then, less is found.
fn burdened(calibrate: &CalibrateParameters) -> Load {
    let phases = phases(calibrate.warm_up_s, "steady", calibrate.effect_s, Some(calibrate.rate_per_s));
    Load { phases, statements_per_miss: &[("list_posts", 1)], ..steady(calibrate) }
}

/// The list of posts from the cache and nothing else: every request does the same, so that what differs between two trials is noise; and
/// it costs little, so that there are many of them, and what is added to one is not lost in the rest. They come in equal gaps, so that
/// none meets another: where requests come in bunches, a server that is busy longer wakes up less often, and saves on one request a
/// part of what was added to the next.
fn steady(calibrate: &CalibrateParameters) -> Load {
    let phases = phases(calibrate.warm_up_s, "steady", calibrate.measured_s, Some(calibrate.rate_per_s));
    Load { arrivals: Arrivals::Constant, ..Load::new(phases, vec![list()], calibrate.users) }
}

fn phases(warm_up_s: f64, name: &str, duration_s: f64, rate_per_s: Option<f64>) -> Vec<Phase> {
    vec![Phase::warm_up(warm_up_s, rate_per_s), Phase::new(name, duration_s, rate_per_s)]
}

fn list() -> Endpoint {
    trial::mix::get("list_posts", 1, "/", None)
}

/// The same stall for a generator that goes by its schedule and for one that waits for answers.
async fn freeze(bench: &mut Bench<'_>, calibrate: &CalibrateParameters, part: Range<f64>) -> Result<Vec<Tried>> {
    let setup = Setup::new(CacheLevels::ALL, Balancing::RoundRobin, 1);
    let after_s = calibrate.freeze_window_s / 3.0;
    let mut tried = Vec::new();
    let middle = f64::midpoint(part.start, part.end);
    for (name, is_open) in FROZEN.into_iter().zip([true, false]) {
        let half = if is_open { part.start..middle } else { middle..part.end };
        let rate_per_s = is_open.then_some(calibrate.freeze_rate_per_s);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some hundred connections")]
        let waiting = (calibrate.freeze_rate_per_s * calibrate.freeze_s * 2.0).ceil() as u32;
        let load = Load {
            phases: phases(calibrate.warm_up_s, "frozen", calibrate.freeze_window_s, rate_per_s),
            // Whoever is due while the server stands still needs a connection of its own.
            users: if is_open { waiting.max(calibrate.users) } else { calibrate.freeze_users },
            freeze: Some(Freeze { after_s, for_s: calibrate.freeze_s }),
            ..steady(calibrate)
        };
        let order = vec![vec![0]; calibrate.freezes as usize];
        tried.extend(trial::run_in_turn(bench, &[Arm { name, setup }], &order, &load, Detail::Endpoint, half).await?);
    }
    Ok(tried)
}

/// How late the generator is where the server is not the reason: a page from the server's own memory, asked for without NGINX.
async fn pace(bench: &mut Bench<'_>, calibrate: &CalibrateParameters, part: Range<f64>) -> Result<Vec<Tried>> {
    let setup = Setup { local_cache: LocalCache::Fast, ..Setup::new(CacheLevels::ALL, Balancing::RoundRobin, 1) };
    let load = Load {
        phases: phases(calibrate.warm_up_s, "paced", calibrate.measured_s, Some(calibrate.lag_rate_per_s)),
        target: Target::FirstServer,
        ..steady(calibrate)
    };
    let order = vec![vec![0]; calibrate.freezes as usize];
    trial::run_in_turn(bench, &[Arm { name: PACED, setup }], &order, &load, Detail::Endpoint, part).await
}

/// Whether the processor of the generator is one of its own. On a machine with one there is nothing to compare.
fn compare_processors(bench: &mut Bench<'_>) -> Result<()> {
    let (system, generator) = (bench.blog.placement.system(), bench.blog.placement.generator());
    let Some((&first, &second)) = system.and_then(<[usize]>::first).zip(generator.first()) else {
        bench.warn("the generator shares its processors with the system, so that they were not compared");
        return bench.out.rows::<CoresRow>(&[]);
    };
    let mut rows = Vec::new();
    for repeat in 1..=CORES_REPEATS {
        let found = cores::measure(first, second, CORES_WINDOW).context("cannot compare the processors")?;
        rows.push(CoresRow {
            repeat,
            first_processor: first as u64,
            second_processor: second as u64,
            first_alone: found.first_alone_count,
            second_alone: found.second_alone_count,
            both: found.both_count,
        });
    }
    bench.measured(CORES_WINDOW * 3 * CORES_REPEATS);
    bench.out.rows(&rows)
}
