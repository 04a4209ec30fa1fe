//! One trial of the blog under load: fresh servers, a warm-up, measured phases, and what all of it cost. A step says what is offered;
//! this gear runs it, checks that it may be believed, tries it again where it may not, and turns what came back into rows.

mod account;
mod checks;
mod freeze;
mod in_turn;
mod interleaved;
pub(super) mod metrics;
pub(super) mod mix;
pub(super) mod overview;
mod resources;
mod results;
pub(super) mod rounds;
pub(super) mod rows;
mod site;
pub(crate) mod slices;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{Bench, blog::Setup};
use crate::load::{
    result::{TrialResult, phase_warnings},
    spec::{self, Arrivals, Cookies, Endpoint, Method, Phase, SPEC_VERSION, TrialSpec},
};
pub(super) use account::log_in;
pub(super) use freeze::Freeze;
pub(super) use in_turn::{run_in_turn, try_at};
pub(super) use interleaved::run_interleaved;
pub(super) use mix::mix;
use resources::Readings;
use rows::{CounterRow, LatencyRow, ResourceRow, SecondRow, SessionRow, SliceRow, TrialRow};
pub(super) use slices::{Slices, planned_s};

/// About how long it takes to copy the database for an arm, to start its servers and to stop them.
pub(super) const START_S: f64 = 1.0;

/// A configuration of the blog under a name.
#[derive(Debug, Clone)]
pub(super) struct Arm {
    pub(super) name: &'static str,
    pub(super) setup: Setup,
}

/// What is offered to an arm.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub(super) phases: Vec<Phase>,
    pub(super) mix: Vec<Endpoint>,
    pub(super) users: u32,
    pub(super) arrivals: Arrivals,
    pub(super) cookies: Cookies,
    pub(super) requests_per_session: Option<u32>,
    /// What a user without cookies asks for first.
    pub(super) session_start: Option<Endpoint>,
    /// Phases in which failing and being late is an answer to the question, not a fault of the trial.
    pub(super) may_fail: &'static [&'static str],
    /// Whom the generator asks.
    pub(super) target: Target,
    /// SQL statements of a request that no cache answers, by the name of its endpoint; empty where they are not checked.
    pub(super) statements_per_miss: &'static [(&'static str, u64)],
    /// Whether the servers stand still once in the measured window.
    pub(super) freeze: Option<Freeze>,
}

impl Load {
    /// Requests of `mix` through NGINX, from users that keep nothing, by a Poisson process where a phase has a rate.
    pub(super) fn new(phases: Vec<Phase>, mix: Vec<Endpoint>, users: u32) -> Self {
        Self {
            phases,
            mix,
            users,
            arrivals: Arrivals::Poisson,
            cookies: Cookies::None,
            requests_per_session: None,
            session_start: None,
            may_fail: &[],
            target: Target::Balancer,
            statements_per_miss: &[],
            freeze: None,
        }
    }

    /// What a miss of an endpoint costs in statements. One that is not listed is taken to make none, so that those it makes are noticed.
    fn statements_of(&self, endpoint: &str) -> u64 {
        self.statements_per_miss.iter().find(|(name, _)| *name == endpoint).map_or(0, |(_, statements)| *statements)
    }

    /// Whether it leaves the database as it was.
    fn only_reads(&self) -> bool {
        self.mix.iter().chain(&self.session_start).all(|endpoint| endpoint.method != Method::Post)
    }
}

/// Whom the generator asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// NGINX, as readers do.
    Balancer,
    /// The first app server, without NGINX.
    FirstServer,
}

/// Which histogram cells are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// By endpoint and cache status; seconds and servers are merged.
    Endpoint,
    /// By second and server; endpoints and cache status are merged.
    Second,
    /// By server; everything else is merged.
    Server,
}

/// All rows of one trial.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Tried {
    pub(super) trials: Vec<TrialRow>,
    pub(super) latencies: Vec<LatencyRow>,
    pub(super) resources: Vec<ResourceRow>,
    pub(super) counters: Vec<CounterRow>,
    pub(super) seconds: Vec<SecondRow>,
    pub(super) sessions: Vec<SessionRow>,
    /// Empty where the trial was measured whole.
    pub(super) slices: Vec<SliceRow>,
    /// Length of the measured window.
    pub(super) window_us: u64,
    pub(super) warnings: Vec<String>,
}

impl Tried {
    /// What a trial became.
    fn new(
        seen: &TrialResult,
        (arm, place, detail): (&Arm, Place, Detail),
        readings: &Readings,
        doubts: &checks::Doubts,
        body_digest: &str,
        settled_tenths: Option<u32>,
    ) -> Self {
        let warning = |text: &String| format!("block {}, {}: {text}", place.block, arm.name);
        Self {
            trials: results::trials(seen, arm.name, place, readings, doubts, body_digest, settled_tenths),
            latencies: results::latencies(seen, arm.name, place, detail),
            resources: readings.resources(arm.name, place),
            counters: readings.counters(arm.name, place),
            seconds: results::seconds(seen, arm.name, place),
            sessions: results::sessions(seen, arm.name, place),
            slices: Vec::new(),
            window_us: seen.window_us,
            // What there is to say of the generator the checks say, who know where all users may be waiting for an answer.
            warnings: phase_warnings(seen).iter().map(warning).collect(),
        }
    }

    /// Why it must not be used, if so.
    pub(super) fn problem(&self) -> Option<&str> {
        self.trials.iter().find_map(|trial| trial.error.as_deref())
    }
}

/// Where a trial stands in its step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) block: u32,
    pub(super) place: u32,
    /// Which try it is, from 1.
    pub(super) attempt: u32,
}

/// Tries, and once more where what was tried must not be used, as often as the profile allows; only the last of what it gives back may
/// be valid. The user is told which part of the step is done and what is under way.
async fn attempts(
    bench: &mut Bench<'_>,
    place: Place,
    (share, what): (f64, &str),
    mut once: impl AsyncFnMut(&mut Bench<'_>, Place) -> Result<Vec<Tried>>,
) -> Result<Vec<Tried>> {
    let mut tried = Vec::new();
    let mut again = String::new();
    for attempt in 1..=bench.profile.attempts {
        bench.progress.say(share, &format!("{what}{again}"));
        let found = once(bench, Place { attempt, ..place }).await?;
        let problem = found.iter().find_map(Tried::problem).map(str::to_owned);
        tried.extend(found);
        match problem {
            None => break,
            Some(problem) => again = format!(", again because {problem}"),
        }
    }
    Ok(tried)
}

/// The warnings of all trials; of those that say the same but for their numbers, the first, and how many there are.
fn grouped<'a>(warnings: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut kinds: Vec<(String, &String, usize)> = Vec::new();
    for warning in warnings {
        let (_, text) = warning.split_once(": ").unwrap_or(("", warning));
        let kind = text.replace(|letter: char| letter.is_ascii_digit(), "");
        match kinds.iter_mut().find(|(known, ..)| *known == kind) {
            Some((.., count)) => *count += 1,
            None => kinds.push((kind, warning, 1)),
        }
    }
    let worded = |(_, first, count): (String, &String, usize)| match count {
        1 => first.clone(),
        _ => format!("{first}; and so, with other numbers, in {} more", count - 1),
    };
    kinds.into_iter().map(worded).collect()
}

/// Writes the rows that every step with trials has.
pub(super) fn write(bench: &mut Bench<'_>, tried: &[Tried]) -> Result<()> {
    for warning in grouped(tried.iter().flat_map(|tried| &tried.warnings)) {
        bench.warn(warning);
    }
    bench.out.rows(&tried.iter().flat_map(|tried| tried.trials.clone()).collect::<Vec<_>>())?;
    bench.out.rows(&tried.iter().flat_map(|tried| tried.latencies.clone()).collect::<Vec<_>>())?;
    bench.out.rows(&tried.iter().flat_map(|tried| tried.resources.clone()).collect::<Vec<_>>())
}

/// Writes the rows that steps whose arms were tried side by side have besides.
pub(super) fn write_slices(bench: &mut Bench<'_>, tried: &[Tried]) -> Result<()> {
    bench.out.rows(&tried.iter().flat_map(|tried| tried.slices.clone()).collect::<Vec<_>>())?;
    bench.out.rows(&tried.iter().flat_map(|tried| tried.counters.clone()).collect::<Vec<_>>())
}

/// What the generator is told. Arms of one block get the same requests; blocks get others.
fn specify(bench: &Bench<'_>, load: &Load, block: u32, targets: Vec<spec::Target>, phases: Vec<Phase>) -> TrialSpec {
    TrialSpec {
        version: SPEC_VERSION,
        targets,
        seed: super::bench::seed_for(bench.profile.seed, &format!("requests of block {block}")),
        users: load.users,
        worker: spec::WorkerPart::default(),
        arrivals: load.arrivals,
        cookies: load.cookies,
        requests_per_session: load.requests_per_session,
        timeout_s: 10,
        drain_limit_s: 20,
        cpu_list: bench.blog.placement.generator().to_vec(),
        phases,
        mix: load.mix.clone(),
        session_start: load.session_start.clone(),
        output: bench.blog.folder.path().join("trial.json"),
    }
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn warnings_that_differ_in_their_numbers_are_one() {
        let warnings = [
            "block 1, single: the generator was late: 10 µs",
            "block 1, sticky: phase `a`: 3 of 9 requests got no answer",
            "block 2, sticky: the generator was late: 2000 µs",
        ]
        .map(str::to_owned);
        let expected = [
            "block 1, single: the generator was late: 10 µs; and so, with other numbers, in 1 more",
            "block 1, sticky: phase `a`: 3 of 9 requests got no answer",
        ];
        assert_eq!(grouped(warnings.iter()), expected);
        assert!(grouped([].iter()).is_empty());
    }
}
