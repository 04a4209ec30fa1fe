//! The step `capacity`: the highest rate that meets an objective, without caches and with all, and how throughput grows with users until
//! it grows no more.

mod charts;
mod law;
mod objective;
mod summary;

use anyhow::Result;

use super::{
    Bench, Figure, Measuring, Profile, Setup, Step,
    bench::blocks,
    find,
    profile::CapacityParameters,
    trial::{
        self, Arm, Detail, Load, Place, Tried,
        rows::{LatencyRow, ResourceRow, TrialRow},
    },
};
use crate::{
    aggregate::Frames,
    load::spec::{Endpoint, Phase},
    results::{Row, Table, summary::SummaryTable},
    stack::{Balancing, CacheLevels},
    stats::{Next, Search},
};
use objective::{ObjectiveRow, Outcome};

/// The step.
pub struct CapacityStep;

/// The arms of the search; the first is the baseline.
const ARMS: [Arm; 2] = [arm("off", CacheLevels::OFF), arm("all", CacheLevels::ALL)];

/// The arm of the closed loops: all caches, under a name that no trial of the search has.
const CLOSED: Arm = arm("closed", CacheLevels::ALL);

/// The measured phase of the search, and that of a closed loop.
const OFFERED: &str = "offered";
const LOOPED: &str = "looped";

/// Caches begin empty, so that a server needs more for its first requests than for its later ones: it gets them at this part of the
/// rate, and does not carry a queue of its warm-up into the measured window.
const WARM_UP_SHARE: f64 = 0.5;

/// So many steps are expected until a rate misses.
const EXPECTED_STEPS: u32 = 4;

const fn arm(name: &'static str, caches: CacheLevels) -> Arm {
    Arm { name, setup: Setup::new(caches, Balancing::RoundRobin, 2) }
}

impl Step for CapacityStep {
    fn name(&self) -> &'static str {
        "capacity"
    }

    fn title(&self) -> &'static str {
        "Capacity"
    }

    fn question(&self) -> &'static str {
        "Which rate does the blog carry within an objective, without caches and with all, and what stops it from carrying more?"
    }

    fn tables(&self) -> &'static [Table] {
        &[TrialRow::TABLE, LatencyRow::TABLE, ResourceRow::TABLE, ObjectiveRow::TABLE]
    }

    fn figure_names(&self) -> &'static [&'static str] {
        &["latency", "throughput"]
    }

    fn arms(&self) -> Vec<String> {
        ARMS.iter().chain([&CLOSED]).map(|arm| arm.name.to_owned()).collect()
    }

    fn own_parameters(&self, profile: &Profile) -> Result<Vec<(&'static str, serde_json::Value)>> {
        Ok(vec![
            ("attempts", serde_json::to_value(profile.attempts)?),
            ("capacity", serde_json::to_value(&profile.capacity)?),
        ])
    }

    fn planned_s(&self, profile: &Profile) -> f64 {
        let capacity = &profile.capacity;
        f64::from(expected_trials(capacity)) * ARMS.len() as f64 * searched_s(capacity) + closed_s(capacity)
    }

    fn measure<'a>(&'a self, bench: &'a mut Bench<'_>) -> Measuring<'a> {
        Box::pin(measure(bench))
    }

    fn summarise(&self, frames: &Frames) -> Result<Vec<SummaryTable>> {
        let mut tables = summary::summarise(frames, &ARMS.map(|arm| arm.name))?;
        tables.extend(law::summarise(frames)?);
        Ok(tables)
    }

    fn draw(&self, summaries: &[SummaryTable]) -> Result<Vec<Figure>> {
        let arms = ARMS.map(|arm| arm.name);
        let latency = charts::latency(find(summaries, "search")?, find(summaries, "objective")?, &arms);
        let throughput = charts::throughput(find(summaries, "users")?, find(summaries, "curve")?);
        Ok(vec![
            Figure { name: "latency".to_owned(), svg: latency },
            Figure { name: "throughput".to_owned(), svg: throughput },
        ])
    }
}

/// How many trials the search for one arm is expected to need; none where its limits make no sense, which the search itself says.
fn expected_trials(capacity: &CapacityParameters) -> u32 {
    Search::new(capacity.limits()).map_or(0, |search| search.expected_trials(EXPECTED_STEPS))
}

/// About how long one trial of the search takes.
fn searched_s(capacity: &CapacityParameters) -> f64 {
    capacity.warm_up_s + capacity.measured_s + trial::START_S
}

/// About how long all closed loops take.
fn closed_s(capacity: &CapacityParameters) -> f64 {
    let each_s = capacity.warm_up_s + capacity.closed_s + trial::START_S;
    capacity.closed_users.len() as f64 * f64::from(capacity.closed_repeats) * each_s
}

async fn measure(bench: &mut Bench<'_>) -> Result<()> {
    let capacity = bench.profile.capacity.clone();
    let mix = trial::mix(bench).await?;
    let middle = closed_s(&capacity) / CapacityStep.planned_s(bench.profile);
    let objective = ObjectiveRow::new(&capacity, bench.blog.placement.system_count());
    let mut tried = closed(bench, &capacity, &mix, middle).await?;
    tried.extend(search(bench, &capacity, &objective, &mix, middle).await?);
    trial::write(bench, &tried)?;
    bench.out.rows(&[objective])
}

/// Throughput without a rate: one trial for each number of users in each repeat, in random order. `end` is the part of the step at which
/// they are done.
async fn closed(
    bench: &mut Bench<'_>,
    capacity: &CapacityParameters,
    mix: &[Endpoint],
    end: f64,
) -> Result<Vec<Tried>> {
    let counts = &capacity.closed_users;
    let order = blocks(bench.profile.seed, "capacity users", counts.len(), capacity.closed_repeats).concat();
    let trials = order.len();
    let mut tried = Vec::new();
    // Every trial is a block of its own, so that none is taken for another of the same arm.
    for (block, users) in (1_u32..).zip(order.into_iter().map(|index| counts[index])) {
        let phases = vec![Phase::warm_up(capacity.warm_up_s, None), Phase::new(LOOPED, capacity.closed_s, None)];
        let load = Load::new(phases, mix.to_vec(), users);
        let what = format!("trial {block} of {trials} in a closed loop: {users} users");
        let share = end * f64::from(block - 1) / trials as f64;
        let place = Place { block, place: 0, attempt: 1 };
        tried.extend(trial::try_at(bench, &CLOSED, &load, place, Detail::Server, (share, &what)).await?);
    }
    Ok(tried)
}

/// Searches for both arms at the same time, one trial of each in turn, so that what the machine goes through meets both. `start` is the
/// part of the step at which it begins.
async fn search(
    bench: &mut Bench<'_>,
    capacity: &CapacityParameters,
    objective: &ObjectiveRow,
    mix: &[Endpoint],
    start: f64,
) -> Result<Vec<Tried>> {
    let limits = capacity.limits();
    let mut searches: Vec<Option<Search>> = ARMS.iter().map(|_| Search::new(limits)).collect();
    let mut tried = Vec::new();
    let mut done = 0_u32;
    for block in 1_u32.. {
        let before = done;
        let order = blocks(bench.profile.seed, &format!("capacity block {block}"), ARMS.len(), 1).concat();
        for (place, index) in (0_u32..).zip(order) {
            let left: u32 = searches.iter().flatten().map(|search| search.expected_trials(EXPECTED_STEPS)).sum();
            let Some(search) = &mut searches[index] else { continue };
            let Next::Try(rate_per_s) = search.next() else { continue };
            let (arm, place) = (&ARMS[index], Place { block, place, attempt: 1 });
            let load = offered(capacity, mix, rate_per_s);
            let what = format!("search {block} for `{}`: {rate_per_s:.0} requests a second", arm.name);
            let share = start + (1.0 - start) * f64::from(done) / f64::from(done + left);
            let mut found = trial::try_at(bench, arm, &load, place, Detail::Server, (share, &what)).await?;
            // At a rate that is too much everybody is late, which is no reason to warn of anything.
            found.iter_mut().for_each(|tried| tried.warnings.clear());
            done += 1;
            match found.last().map(|last| last.problem().map_or(Ok(last), Err)) {
                Some(Ok(last)) => search.record(rate_per_s, meets(last, objective)),
                // Without an answer at this rate the search cannot go on; what it knows by now stands.
                Some(Err(problem)) => {
                    bench.warn(format!(
                        "the search for `{}` ended at {rate_per_s:.0} requests a second: {problem}",
                        arm.name
                    ));
                    searches[index] = None;
                }
                None => searches[index] = None,
            }
            tried.extend(found);
        }
        if done == before {
            break;
        }
    }
    Ok(tried)
}

/// A rate, whatever comes of it: that it is too much is what is asked.
fn offered(capacity: &CapacityParameters, mix: &[Endpoint], rate_per_s: f64) -> Load {
    let phases = vec![
        Phase::warm_up(capacity.warm_up_s, Some(rate_per_s * WARM_UP_SHARE)),
        Phase::new(OFFERED, capacity.measured_s, Some(rate_per_s)),
    ];
    Load { may_fail: &[OFFERED], ..Load::new(phases, mix.to_vec(), capacity.users) }
}

fn meets(tried: &Tried, objective: &ObjectiveRow) -> bool {
    let phase = tried.trials.iter().find(|trial| trial.phase == OFFERED);
    phase.is_some_and(|trial| objective.missed(&Outcome::new(trial, &objective::merged(&tried.latencies))).is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_of_the_committed_profiles_is_short() {
        let text = include_str!("../../profiles.toml");
        let planned_s = |name: &str| CapacityStep.planned_s(&Profile::parse(text, name).unwrap());
        assert!((150.0..300.0).contains(&planned_s("full")), "{}", planned_s("full"));
        assert!((15.0..60.0).contains(&planned_s("quick")), "{}", planned_s("quick"));
    }
}
