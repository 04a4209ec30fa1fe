//! Trials one after the other, each with the whole system for itself: for what takes as long as it takes, such as a surge and what it
//! leaves behind. What the machine goes through from one trial to the next is part of what is seen.

use std::{ops::Range, time::Duration};

use anyhow::{Context, Result};

use super::{
    Arm, Detail, Load, Place, Tried, attempts, checks, freeze, resources::Sampling, results::settled_tenths,
    site::Site, specify,
};
use crate::{
    load::{event::Event, result::TrialResult, spec::TrialSpec},
    steps::Bench,
};

/// Tries every arm once in each block, in the order given, and once more where a trial must not be used. `part` is which part of the
/// step this is, such as `0.0..1.0` for all of it.
pub(in crate::steps) async fn run_in_turn(
    bench: &mut Bench<'_>,
    arms: &[Arm],
    order: &[Vec<usize>],
    load: &Load,
    detail: Detail,
    part: Range<f64>,
) -> Result<Vec<Tried>> {
    let trials = order.len() * arms.len();
    let mut tried = Vec::with_capacity(trials);
    let mut done = 0;
    for (block, places) in (1_u32..).zip(order) {
        for (place, &arm) in (0_u32..).zip(places) {
            let arm = &arms[arm];
            let what = format!("trial {} of {trials}: `{}` in block {block}", done + 1, arm.name);
            #[expect(clippy::cast_precision_loss, reason = "a few trials")]
            let share = part.start + (part.end - part.start) * done as f64 / trials as f64;
            let place = Place { block, place, attempt: 1 };
            tried.extend(try_at(bench, arm, load, place, detail, (share, &what)).await?);
            done += 1;
        }
    }
    Ok(tried)
}

/// Tries `arm` at one place; see [`attempts`].
pub(in crate::steps) async fn try_at(
    bench: &mut Bench<'_>,
    arm: &Arm,
    load: &Load,
    place: Place,
    detail: Detail,
    under_way: (f64, &str),
) -> Result<Vec<Tried>> {
    let once = async |bench: &mut Bench<'_>, place| Ok(vec![try_once(bench, arm, load, place, detail).await?]);
    attempts(bench, place, under_way, once).await
}

/// Tries `arm` once. What an interrupted run had finished is taken from its journal.
async fn try_once(bench: &mut Bench<'_>, arm: &Arm, load: &Load, place: Place, detail: Detail) -> Result<Tried> {
    let key = format!("{}.{}.{}", place.block, arm.name, place.attempt);
    if let Some(tried) = bench.kept::<Tried>(&key) {
        bench.measured(Duration::from_micros(tried.window_us));
        return Ok(tried);
    }
    let named = || format!("the arm `{}` failed in block {}", arm.name, place.block);
    let mut site = Site::open(bench, arm, load, (0, Sampling::EachSecond), None).await.with_context(named)?;
    let spec = specify(bench, load, place.block, vec![site.target.clone()], load.phases.clone());
    let outcome = observe(bench, &mut site, load, &spec).await;
    // A store that died is the cause of what the trial saw, so it is told first.
    bench.blog.check().with_context(named)?;
    let seen = outcome.with_context(named)?;
    let body_digest = site.body_digest.clone();
    let readings = site.close(bench).await.with_context(named)?;
    let doubts = checks::doubts(&seen, &seen, load, &readings);
    let first = seen.measured_phases().next().map(|phase| phase.name.clone()).unwrap_or_default();
    let settled = settled_tenths(&seen, |phase| !phase.measured || phase.name == first);
    let tried = Tried::new(&seen, (arm, place, detail), &readings, &doubts, &body_digest, settled);
    bench.measured(Duration::from_micros(tried.window_us));
    bench.keep(&key, &tried)?;
    Ok(tried)
}

/// Runs the load and reads what it costs: at the edges of each phase, and once a second in between.
async fn observe(bench: &Bench<'_>, site: &mut Site, load: &Load, spec: &TrialSpec) -> Result<TrialResult> {
    let frozen = freeze::Switch::new(load.freeze, site.pids());
    let readings = &mut site.readings;
    readings.begin().await?;
    let measured = |name: &str| spec.phases.iter().any(|phase| phase.measured && phase.name == name);
    let mut trouble = None;
    let outcome = bench
        .blog
        .runner()
        .run(spec, async |event| {
            let heard = match event {
                Event::Phase { name } if measured(&name) => readings.enter(name).await,
                Event::Measured => readings.leave().await,
                Event::Measuring { .. } => {
                    frozen.start();
                    Ok(())
                }
                Event::Phase { .. } => Ok(()),
            };
            trouble = trouble.take().or(heard.err());
        })
        .await;
    readings.frozen = frozen.end().await?;
    let outcome = outcome?;
    readings.end().await?;
    trouble.map_or(Ok(outcome.result), Err)
}
