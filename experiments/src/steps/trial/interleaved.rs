//! The arms of a block at the same time and yet one by one: all of them are up, and the load goes round them in short slices, in
//! balanced orders. What the machine goes through in ten seconds then meets all of them alike, which trials that follow each other do
//! not achieve. An arm whose turn it is not costs next to nothing, and is not counted.
//!
//! The idea is that of duet benchmarking (Bulej et al., ICPE 2020) and of interleaved trials (Abedi and Brecht, ICPE 2017), without
//! the first's contention between the arms.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    Arm, Detail, Load, Place, Tried, attempts,
    checks::{self, Doubts, latency_quantile_us, mean_latency_us},
    resources::{Readings, Sampling},
    results::settled_tenths,
    rows::SliceRow,
    site::Site,
    slices::{self, Slice, Slices},
    specify,
};
use crate::{
    load::{event::Event, result::TrialResult, spec::TrialSpec},
    probe::hiccup::Meter,
    steps::{Bench, bench::balanced_rounds},
};

/// The requests of the slice before have this part of the pause to end before the counters are read.
const TAIL_SHARE: f64 = 0.5;

/// More than this part of the readings may not end after their pause, or the slices are not told apart.
const MOST_LATE: f64 = 0.05;

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
    let names: Vec<&str> = arms.iter().map(|arm| arm.name).collect();
    let mut tried = Vec::new();
    for block in 1..=slices.blocks {
        let done = f64::from(block - 1) / f64::from(slices.blocks);
        let share = part.start + (part.end - part.start) * done;
        let what = format!("block {block} of {}: {} arms in slices", slices.blocks, arms.len());
        let order = balanced_rounds(bench.profile.seed, &format!("{purpose} {block}"), arms.len(), slices.rounds);
        let cut = slices::cut(&load.phases, &names, &order, slices.pause_s);
        let once = async |bench: &mut Bench<'_>, place| try_block(bench, arms, cut.clone(), load, place, detail).await;
        let place = Place { block, place: 0, attempt: 1 };
        tried.extend(attempts(bench, place, (share, &what), once).await?);
    }
    Ok(tried)
}

async fn try_block(
    bench: &mut Bench<'_>,
    arms: &[Arm],
    mut slices: Vec<Slice>,
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
    let hiccups = count_hiccups(bench);
    let mut sites = Vec::with_capacity(arms.len());
    for (number, arm) in arms.iter().enumerate() {
        let site = Site::open(bench, arm, load, (number, Sampling::Edges), hiccups.clone()).await;
        sites.push(site.with_context(|| format!("the arm `{}` failed in block {}", arm.name, place.block))?);
    }
    let targets = sites.iter().map(|site| site.target.clone()).collect();
    let phases = slices.iter().map(|slice| slice.planned.clone()).collect();
    let spec = specify(bench, load, place.block, targets, phases);
    let outcome = observe(bench, &mut sites, &spec, &slices).await;
    bench.blog.check().with_context(|| format!("block {} failed", place.block))?;
    let (mut seen, late) = outcome.with_context(|| format!("block {} failed", place.block))?;
    leave_out(&mut seen, &mut sites, &mut slices);
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

/// Watches the system's processor, where it has one of its own. Without that, what the host takes is known from the host alone, which the
/// reader is told.
fn count_hiccups(bench: &mut Bench<'_>) -> Option<Arc<Meter>> {
    let processor = bench.blog.placement.system_first()?;
    Meter::start(processor).map(Arc::new).inspect_err(|error| bench.warn(format!("{error:#}"))).ok()
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
            let pause = Duration::from_secs_f64(next.or(open).map_or(0.0, |slice| slice.planned.pause_s));
            let pause_ends = Instant::now() + pause;
            tokio::time::sleep(pause.mul_f64(TAIL_SHARE)).await;
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

/// Leaves out the rounds in which the host took too much: their requests were asked and answered, but are not measured.
fn leave_out(seen: &mut TrialResult, sites: &mut [Site], slices: &mut [Slice]) {
    let lost: Vec<f64> = {
        let mut costs: Vec<_> = sites.iter().map(|site| site.readings.costs()).collect();
        let measured = slices.iter().filter(|slice| slice.planned.measured);
        measured.map(|slice| costs[slice.planned.target].next().map_or(0.0, |cost| cost.lost_share())).collect()
    };
    slices::mark(slices, &lost);
    for (phase, slice) in seen.phases.iter_mut().zip(slices.iter()) {
        phase.measured &= !slice.left_out;
    }
    for (number, site) in sites.iter_mut().enumerate() {
        let own = slices.iter().filter(|slice| slice.planned.target == number && slice.planned.measured);
        site.readings.leave_out(&own.map(|slice| slice.left_out).collect::<Vec<_>>());
    }
}

/// What one arm had of a block.
struct Part {
    arm: Arm,
    seen: TrialResult,
    readings: Readings,
    doubts: Doubts,
    body_digest: String,
    settled_tenths: Option<u32>,
    /// Its measured slices, each with what the generator saw of it.
    slices: Vec<(Slice, TrialResult)>,
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
    let first = slices.iter().find(|slice| slice.planned.measured).map(|slice| slice.of.as_str()).unwrap_or_default();
    let sent = seen.part(|name| slices.iter().find(|slice| slice.planned.name == name).map(Slice::kept_as));
    for (number, site) in sites.into_iter().enumerate() {
        let own = |name: &str| slices.iter().find(|slice| slice.planned.target == number && slice.planned.name == name);
        let kept =
            slices.iter().filter(|slice| slice.planned.target == number && slice.planned.measured && !slice.left_out);
        let of_slice = |slice: &Slice| seen.part(|name| (name == slice.planned.name).then(|| slice.of.clone()));
        let kept = kept.map(|slice| (slice.clone(), of_slice(slice))).collect();
        let is_settling = |slice: &Slice| !slice.planned.measured || (slice.of == first && !slice.left_out);
        let settled_tenths = settled_tenths(seen, |phase| own(&phase.name).is_some_and(is_settling));
        let seen = seen.part(|name| own(name).map(Slice::kept_as));
        let (arm, body_digest) = (site.arm.clone(), site.body_digest.clone());
        let readings = site.close(bench).await.with_context(|| format!("the arm `{}` failed", arm.name))?;
        let doubts = checks::doubts(&seen, &sent, load, &readings);
        parts.push(Part { arm, seen, readings, doubts, body_digest, settled_tenths, slices: kept });
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
        let Part { arm, seen, readings, doubts, body_digest, settled_tenths, .. } = part;
        let tried = Tried::new(seen, (arm, place, detail), readings, doubts, body_digest, *settled_tenths);
        let costs = part.readings.costs();
        let rows = part.slices.iter().zip(costs).map(|((slice, seen), cost)| SliceRow {
            block: place.block,
            arm: part.arm.name.to_owned(),
            attempt: place.attempt,
            phase: slice.of.clone(),
            round: u32::try_from(slice.round).unwrap_or(u32::MAX),
            expected: seen.phases.iter().map(|phase| phase.expected_count).sum(),
            cpu_us: cost.cpu_us,
            p50_us: latency_quantile_us(seen, &slice.of, 0.5),
            mean_us: mean_latency_us(seen, &slice.of),
            added_us: cost.added_us,
            steal_share: cost.steal_share,
            hiccup_share: cost.hiccup_share,
        });
        Tried { slices: rows.collect(), ..tried }
    });
    tried.collect()
}
