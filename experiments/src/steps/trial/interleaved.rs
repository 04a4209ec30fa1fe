//! The arms of a block at the same time and yet one by one: all of them are up, and the load goes round them in short slices, in an
//! order that is drawn anew for each round. What the machine goes through in ten seconds then meets all of them alike, which trials
//! that follow each other do not achieve. An arm whose turn it is not costs next to nothing, and is not counted.
//!
//! The idea is that of duet benchmarking (Bulej et al., ICPE 2020) and of interleaved trials (Abedi and Brecht, ICPE 2017), without
//! the first's contention between the arms.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    Arm, Detail, Load, Place, Tried, attempts,
    checks::{self, Doubts},
    resources::{Readings, Sampling},
    site::Site,
    specify,
};
use crate::{
    load::{
        event::Event,
        result::TrialResult,
        spec::{Phase, TrialSpec},
    },
    steps::{Bench, bench::blocks},
};

/// Before each slice nothing is due for so long: the requests of the one before end, and the counters are read.
const PAUSE_S: f64 = 0.15;

/// The requests of the slice before have so long to end before the counters are read.
const TAIL: Duration = Duration::from_millis(50);

/// More than this part of the readings may not end after their pause, or the slices are not told apart.
const MOST_LATE: f64 = 0.05;

/// Slices of a phase without a rate.
const CLOSED_ROUNDS: usize = 2;

/// How a block is cut.
#[derive(Debug, Clone, Copy)]
pub(in crate::steps) struct Slices {
    /// Blocks.
    pub(in crate::steps) blocks: u32,
    /// Slices of each measured phase with a rate, for each arm.
    pub(in crate::steps) rounds: u32,
}

/// A slice on the generator's clock.
#[derive(Debug, Clone, PartialEq)]
struct Slice {
    /// The phase that it is a part of.
    of: String,
    /// The phase as which the generator runs it; its target is the place of its arm.
    planned: Phase,
}

/// About how long it takes: `each_s` is what each arm gets in a block.
pub(in crate::steps) fn planned_s(arms: usize, slices: Slices, each_s: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few arms")]
    let arms = arms as f64;
    f64::from(slices.blocks) * arms * (super::START_S + each_s + f64::from(slices.rounds) * PAUSE_S)
}

/// Tries all arms in each block, side by side, and the whole block once more where one of them must not be used. `purpose` names the
/// draws of the order; `part` is which part of the step this is.
pub(in crate::steps) async fn run_interleaved(
    bench: &mut Bench<'_>,
    arms: &[Arm],
    (slices, purpose): (Slices, &str),
    load: &Load,
    detail: Detail,
    part: Range<f64>,
) -> Result<Vec<Tried>> {
    let mut tried = Vec::new();
    for block in 1..=slices.blocks {
        let done = f64::from(block - 1) / f64::from(slices.blocks);
        let share = part.start + (part.end - part.start) * done;
        let what = format!("block {block} of {}: {} arms in slices", slices.blocks, arms.len());
        let order = blocks(bench.profile.seed, &format!("{purpose} {block}"), arms.len(), slices.rounds);
        let once = async |bench: &mut Bench<'_>, place| try_block(bench, arms, &order, load, place, detail).await;
        let place = Place { block, place: 0, attempt: 1 };
        tried.extend(attempts(bench, place, (share, &what), once).await?);
    }
    Ok(tried)
}

async fn try_block(
    bench: &mut Bench<'_>,
    arms: &[Arm],
    order: &[Vec<usize>],
    load: &Load,
    place: Place,
    detail: Detail,
) -> Result<Vec<Tried>> {
    let names: Vec<&str> = arms.iter().map(|arm| arm.name).collect();
    let key = format!("{}.{}.{}", place.block, names.join("+"), place.attempt);
    if let Some(tried) = bench.kept::<Vec<Tried>>(&key) {
        bench.measured(tried.iter().map(|one| Duration::from_micros(one.window_us)).sum());
        return Ok(tried);
    }
    let mut sites = Vec::with_capacity(arms.len());
    for (number, arm) in arms.iter().enumerate() {
        let site = Site::open(bench, arm, load, (number, Sampling::Edges)).await;
        sites.push(site.with_context(|| format!("the arm `{}` failed in block {}", arm.name, place.block))?);
    }
    let slices = cut(&load.phases, &names, order);
    let targets = sites.iter().map(|site| site.target.clone()).collect();
    let phases = slices.iter().map(|slice| slice.planned.clone()).collect();
    let spec = specify(bench, load, place.block, targets, phases);
    let outcome = observe(bench, &mut sites, &spec, &slices).await;
    bench.blog.check().with_context(|| format!("block {} failed", place.block))?;
    let (seen, late) = outcome.with_context(|| format!("block {} failed", place.block))?;
    let mut parts = take_apart(bench, sites, &seen, &slices, load).await?;
    #[expect(clippy::cast_precision_loss, reason = "some dozen slices")]
    if f64::from(late) > MOST_LATE * slices.len() as f64 {
        let doubt = format!("{late} of {} readings between slices came late", slices.len());
        parts.iter_mut().for_each(|part| part.doubts.of_trial(doubt.clone()));
    }
    let tried = conclude(parts, &slices, place, detail);
    bench.measured(Duration::from_micros(seen.window_us));
    bench.keep(&key, &tried)?;
    Ok(tried)
}

/// The phases of the load as slices: the warm-up of each arm whole, in the order of the first round; then each measured phase in rounds.
/// Slices of one round and phase draw the same requests, whichever arm they are for.
fn cut(phases: &[Phase], arms: &[&str], order: &[Vec<usize>]) -> Vec<Slice> {
    let mut slices = Vec::new();
    let mut draws = 0;
    for phase in phases {
        // A closed loop has to fill its queues in each slice, so it gets few long ones.
        let rounds = match (phase.measured, phase.rate_per_s) {
            (false, _) => 1,
            (true, None) => CLOSED_ROUNDS.min(order.len()),
            (true, Some(_)) => order.len(),
        };
        let rounds = &order[..rounds];
        #[expect(clippy::cast_precision_loss, reason = "a few rounds")]
        let duration_s = phase.duration_s / rounds.len() as f64;
        for (round, places) in rounds.iter().enumerate() {
            for &arm in places {
                let name = format!("{} {} {}", phase.name, round + 1, arms[arm]);
                let pause_s = PAUSE_S;
                let planned = Phase { name, duration_s, target: arm, pause_s, draws: Some(draws), ..phase.clone() };
                slices.push(Slice { of: phase.name.clone(), planned });
            }
            draws += 1;
        }
    }
    slices
}

/// Runs the load, and reads each arm at the edges of its own slices. Also says how many readings ended after their pause.
async fn observe(
    bench: &Bench<'_>,
    sites: &mut [Site],
    spec: &TrialSpec,
    slices: &[Slice],
) -> Result<(TrialResult, u32)> {
    for site in sites.iter_mut() {
        site.readings.begin().await?;
    }
    let mut open: Option<&Slice> = None;
    let (mut trouble, mut late) = (None, 0);
    let outcome = bench
        .blog
        .runner()
        .run(spec, async |event| {
            let next = match event {
                Event::Phase { name } => slices.iter().find(|slice| slice.planned.name == name),
                Event::Measured => None,
                Event::Measuring { .. } => return,
            };
            let pause_ends = Instant::now() + Duration::from_secs_f64(PAUSE_S);
            tokio::time::sleep(TAIL).await;
            let mut heard = Ok(());
            if let Some(slice) = open.take() {
                heard = sites[slice.planned.target].readings.leave().await;
            }
            if let Some(slice) = next.filter(|slice| slice.planned.measured) {
                heard = heard.and(sites[slice.planned.target].readings.enter(slice.of.clone()).await);
                open = Some(slice);
                late += u32::from(Instant::now() > pause_ends);
            }
            trouble = trouble.take().or(heard.err());
        })
        .await?;
    for site in sites.iter_mut() {
        site.readings.end().await?;
    }
    trouble.map_or(Ok((outcome.result, late)), Err)
}

/// What one arm had of a block.
struct Part {
    arm: Arm,
    seen: TrialResult,
    readings: Readings,
    doubts: Doubts,
    body_digest: String,
}

/// Stops the sites, and tells apart what the generator saw of each.
async fn take_apart(
    bench: &mut Bench<'_>,
    sites: Vec<Site>,
    seen: &TrialResult,
    slices: &[Slice],
    load: &Load,
) -> Result<Vec<Part>> {
    let mut parts = Vec::with_capacity(sites.len());
    for (number, site) in sites.into_iter().enumerate() {
        let of_arm = |name: &str| {
            let own = slices.iter().find(|slice| slice.planned.target == number && slice.planned.name == name);
            own.map(|slice| slice.of.clone())
        };
        let seen = seen.part(of_arm);
        let (arm, body_digest) = (site.arm.clone(), site.body_digest.clone());
        let readings = site.close(bench).await.with_context(|| format!("the arm `{}` failed", arm.name))?;
        let doubts = checks::doubts(&seen, load, &readings);
        parts.push(Part { arm, seen, readings, doubts, body_digest });
    }
    Ok(parts)
}

/// Arms are compared within blocks, so that a block is used whole or not at all.
fn conclude(mut parts: Vec<Part>, slices: &[Slice], place: Place, detail: Detail) -> Vec<Tried> {
    let guilty = parts.iter().find_map(|part| Some((part.arm.name, part.doubts.first()?.to_owned())));
    if let Some((culprit, doubt)) = guilty {
        let doubt = format!("the arm `{culprit}` of the same block must not be used: {doubt}");
        let innocent = parts.iter_mut().filter(|part| !part.doubts.any());
        innocent.for_each(|part| part.doubts.of_trial(doubt.clone()));
    }
    let tried = parts.iter().enumerate().map(|(number, part)| {
        let first = slices.iter().position(|slice| slice.planned.target == number).unwrap_or(number);
        let place = Place { place: u32::try_from(first).unwrap_or(u32::MAX), ..place };
        Tried::new(&part.seen, (&part.arm, place, detail), &part.readings, &part.doubts, &part.body_digest)
    });
    tried.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_arm_gets_all_of_its_load_in_slices_that_ask_for_the_same() {
        let phases =
            [Phase::warm_up(1.0, Some(10.0)), Phase::new("steady", 4.0, Some(10.0)), Phase::new("peak", 1.0, None)];
        let order = [vec![1, 0], vec![0, 1]];
        let slices = cut(&phases, &["off", "on"], &order);
        let names: Vec<&str> = slices.iter().map(|slice| slice.planned.name.as_str()).collect();
        let steady = ["steady 1 on", "steady 1 off", "steady 2 off", "steady 2 on"];
        let peak = ["peak 1 on", "peak 1 off", "peak 2 off", "peak 2 on"];
        assert_eq!(names, [["warm_up 1 on", "warm_up 1 off"].as_slice(), &steady, &peak].concat());
        for arm in 0..2 {
            let own = |name: &str| {
                let own = slices.iter().filter(|slice| slice.planned.target == arm && slice.of == name);
                own.map(|slice| slice.planned.duration_s).sum::<f64>()
            };
            assert_eq!(["warm_up", "steady", "peak"].map(own), [1.0, 4.0, 1.0]);
        }
        let draws: Vec<Option<u32>> = slices.iter().map(|slice| slice.planned.draws).collect();
        assert_eq!(draws, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4].map(Some));
    }
}
