//! `profiles.toml`: how much each step measures. Parsing is strict, because a misspelled key would silently change what runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{
    blog::Placing,
    trial::{Slices, slices::PAUSE_S},
};
use crate::stats::{Limits, Search};

/// The parameters of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Seed of data, order of trials and requests.
    pub seed: u64,
    /// The smallest relative change that matters, in per cent.
    pub smallest_effect_percent: f64,
    /// How often a trial is tried at most before its place in the block stays empty.
    pub attempts: u32,
    /// Whether the generator gets a processor of its own.
    #[serde(default)]
    pub placement: Placing,
    /// Size of the blog.
    pub data: DataParameters,
    /// Parameters of the step `calibrate`.
    pub calibrate: CalibrateParameters,
    /// Parameters of the step `schema`.
    pub schema: SchemaParameters,
    /// Parameters of the step `explain`.
    pub explain: ExplainParameters,
    /// Parameters of the step `cache`.
    pub cache: CacheParameters,
    /// Parameters of the step `surge`.
    pub surge: SurgeParameters,
    /// Parameters of the step `capacity`.
    pub capacity: CapacityParameters,
}

/// Rows of the seeded blog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataParameters {
    /// Users.
    pub users: u32,
    /// Posts.
    pub posts: u32,
    /// Comments, Zipf-distributed over the posts.
    pub comments: u32,
    /// Tags, Zipf-distributed over the posts.
    pub tags: u32,
}

impl DataParameters {
    /// The same as the specimen's size.
    #[must_use]
    pub fn size(&self) -> app::seed::Size {
        let Self { users, posts, comments, tags } = *self;
        app::seed::Size { users, posts, comments, tags }
    }
}

/// How the instrument is checked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrateParameters {
    /// Blocks; in each every arm is tried once.
    pub blocks: u32,
    /// Slices into which the measured time of an arm is cut; between two of its own every other arm has one.
    pub rounds: u32,
    /// Seconds before each slice in which nothing is due. The shorter they are, the nearer are slices that are compared, and the less
    /// does the machine change between them.
    pub pause_s: f64,
    /// Unmeasured seconds at the start of a trial.
    pub warm_up_s: f64,
    /// Measured seconds of a trial.
    pub measured_s: f64,
    /// Offered rate, the same for every arm.
    pub rate_per_s: f64,
    /// Connections that share the schedule.
    pub users: u32,
    /// The same as `blocks` for the arms that show a known effect, which is larger than the noise.
    pub effect_blocks: u32,
    /// The same as `rounds` for them.
    pub effect_rounds: u32,
    /// Measured seconds of one of them in a block.
    pub effect_s: f64,
    /// The delay of the arm that has one.
    pub delay_us: u32,
    /// The processor time of the arm that wastes some.
    pub cpu_us: u32,
    /// Trials with a frozen server, in an open and in a closed loop each.
    pub freezes: u32,
    /// Measured seconds of such a trial.
    pub freeze_window_s: f64,
    /// For how long the server is frozen.
    pub freeze_s: f64,
    /// Offered rate while the server is frozen.
    pub freeze_rate_per_s: f64,
    /// Users of the closed loop while the server is frozen.
    pub freeze_users: u32,
    /// Offered rate of the trials that measure how late the generator is.
    pub lag_rate_per_s: f64,
}

impl CalibrateParameters {
    /// How its blocks are cut.
    pub(super) fn slices(&self) -> Slices {
        Slices { blocks: self.blocks, rounds: self.rounds, pause_s: self.pause_s }
    }

    /// How those with a known effect are cut.
    pub(super) fn effect_slices(&self) -> Slices {
        Slices { blocks: self.effect_blocks, rounds: self.effect_rounds, pause_s: self.pause_s }
    }

    fn validate(&self) -> Result<()> {
        ensure!(
            self.freeze_s > 0.0 && self.freeze_s <= self.freeze_window_s / 4.0,
            "`calibrate.freeze_s = {}`: a server is frozen for at most a quarter of the window",
            self.freeze_s
        );
        for (key, value) in [("calibrate.delay_us", self.delay_us), ("calibrate.cpu_us", self.cpu_us)] {
            ensure!(value <= 1_000_000, "`{key} = {value}`: the app bears at most 1,000,000 µs");
        }
        ensure!(
            (0.02..=1.0).contains(&self.pause_s),
            "`calibrate.pause_s = {}`: between slices there are 0.02 to 1 seconds, in which requests end and counters are read",
            self.pause_s
        );
        Ok(())
    }
}

/// How the price of an index is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaParameters {
    /// Batches per index and table.
    pub repeats: u32,
    /// Posts that one batch inserts.
    pub posts_per_batch: u32,
    /// Comments that one batch inserts.
    pub comments_per_batch: u32,
}

/// How often a query is executed under `EXPLAIN`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainParameters {
    /// Executions per query and arm, at least, after one that only warms the buffers.
    pub repeats: u32,
    /// Executions at most, where they are short.
    pub most_repeats: u32,
    /// A query whose executions have taken so long has had enough of them, once it has had the least number.
    pub enough_s: f64,
}

/// How the cache levels are compared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheParameters {
    /// Blocks; in each every arm is tried once.
    pub blocks: u32,
    /// Slices into which the time at the offered rate of an arm is cut; between two of its own every other arm has one.
    pub rounds: u32,
    /// Unmeasured seconds at the start of a trial.
    pub warm_up_s: f64,
    /// Measured seconds at the offered rate.
    pub measured_s: f64,
    /// Measured seconds without a rate, for the peak.
    pub peak_s: f64,
    /// Offered rate, the same for every arm.
    pub rate_per_s: f64,
    /// Connections that share the schedule.
    pub users: u32,
    /// Users of the closed loop of the peak.
    pub peak_users: u32,
}

impl CacheParameters {
    /// How its blocks are cut.
    pub(super) fn slices(&self) -> Slices {
        Slices { blocks: self.blocks, rounds: self.rounds, pause_s: PAUSE_S }
    }
}

/// How the surge is made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SurgeParameters {
    /// Blocks; in each every arm is tried once.
    pub blocks: u32,
    /// Unmeasured seconds at the start of a trial.
    pub warm_up_s: f64,
    /// Measured seconds before the surge.
    pub baseline_s: f64,
    /// Seconds of the surge.
    pub surge_s: f64,
    /// Measured seconds after the surge.
    pub recovery_s: f64,
    /// Offered rate before and after the surge.
    pub rate_per_s: f64,
    /// How many times that rate the surge offers.
    pub surge_factor: f64,
    /// Connections that share the schedule.
    pub users: u32,
    /// What limited servers are offered.
    pub nodes: NodeParameters,
}

/// How one limited server is compared with two.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeParameters {
    /// Blocks; in each one and two servers are tried.
    pub blocks: u32,
    /// How much of one processor each server may use.
    pub limit_share: f64,
    /// Unmeasured seconds at the start of a trial, at a rate that a limited server bears.
    pub warm_up_s: f64,
    /// Seconds of the overload.
    pub overload_s: f64,
    /// Offered rate, which one server cannot bear.
    pub rate_per_s: f64,
}

/// How the capacity is searched for, and how throughput is followed over users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapacityParameters {
    /// The rate to begin with.
    pub start_rate_per_s: f64,
    /// The lowest rate worth trying.
    pub lowest_rate_per_s: f64,
    /// The highest rate worth trying.
    pub highest_rate_per_s: f64,
    /// The factor of the first steps.
    pub step_ratio: f64,
    /// The ratio of a rate that misses and one that meets at which they are close enough.
    pub bracket_ratio: f64,
    /// How many trials these two get.
    pub repeats: u32,
    /// The objective: so long may the 99th percentile of load time be at most.
    pub largest_p99_us: f64,
    /// The objective: less than this part of the requests may be without the expected answer.
    pub largest_error_share: f64,
    /// The objective: at least this part of what is due must be answered by the end of the window.
    pub smallest_achieved_share: f64,
    /// Unmeasured seconds at the start of a trial.
    pub warm_up_s: f64,
    /// Measured seconds of a trial with a rate.
    pub measured_s: f64,
    /// Connections that share the schedule.
    pub users: u32,
    /// Users of the closed loops, each number a trial; a fit needs four different ones.
    pub closed_users: Vec<u32>,
    /// How many trials each number of users gets.
    pub closed_repeats: u32,
    /// Measured seconds of a closed loop.
    pub closed_s: f64,
}

impl CapacityParameters {
    /// How to search.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            start: self.start_rate_per_s,
            lowest: self.lowest_rate_per_s,
            highest: self.highest_rate_per_s,
            step: self.step_ratio,
            bracket: self.bracket_ratio,
            repeats: self.repeats,
        }
    }

    fn validate(&self) -> Result<()> {
        ensure!(
            Search::new(self.limits()).is_some(),
            "`capacity`: the search needs a start between its lowest and its highest rate, ratios above 1 and a repeat"
        );
        let shares = [self.largest_error_share, self.smallest_achieved_share];
        ensure!(
            self.largest_p99_us > 0.0 && shares.iter().all(|share| (0.0..=1.0).contains(share)),
            "`capacity`: the objective is a time above 0 and shares from 0 to 1"
        );
        let counts: BTreeSet<u32> = self.closed_users.iter().copied().collect();
        ensure!(
            counts.len() >= 4 && counts.iter().all(|count| (1..=10_000).contains(count)),
            "`capacity.closed_users`: give at least four different numbers from 1 to 10,000"
        );
        Ok(())
    }
}

impl Profile {
    /// Reads the profile `name` from `path`.
    ///
    /// # Errors
    /// When the file or the profile is missing, a key is unknown or missing, or a value is absurd; the key is named.
    pub fn read(path: &Path, name: &str) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read `{}`; restore it from the repository", path.display()))?;
        Self::parse(&text, name).with_context(|| format!("`{}` is not usable", path.display()))
    }

    /// Parses the profile `name` out of the text of a `profiles.toml`.
    ///
    /// # Errors
    /// As [`Profile::read`].
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        let usage = |text: String| anyhow::Error::new(Usage(text));
        let profiles: BTreeMap<String, Self> =
            toml::from_str(text).map_err(|error| usage(format!("correct the key or the value shown: {error}")))?;
        let Some(profile) = profiles.get(name) else { return Err(usage(unknown("profile", name, profiles.keys()))) };
        profile.validate().map_err(|error| usage(format!("the profile `{name}` is absurd: {error:#}")))?;
        Ok(profile.clone())
    }

    fn validate(&self) -> Result<()> {
        let (cache, surge, calibrate, capacity) = (&self.cache, &self.surge, &self.calibrate, &self.capacity);
        calibrate.validate()?;
        capacity.validate()?;
        for (key, value) in [
            ("calibrate.warm_up_s", calibrate.warm_up_s),
            ("calibrate.measured_s", calibrate.measured_s),
            ("calibrate.effect_s", calibrate.effect_s),
            ("calibrate.freeze_window_s", calibrate.freeze_window_s),
            ("cache.warm_up_s", cache.warm_up_s),
            ("cache.measured_s", cache.measured_s),
            ("cache.peak_s", cache.peak_s),
            ("surge.warm_up_s", surge.warm_up_s),
            ("surge.baseline_s", surge.baseline_s),
            ("surge.surge_s", surge.surge_s),
            ("surge.recovery_s", surge.recovery_s),
            ("capacity.warm_up_s", capacity.warm_up_s),
            ("capacity.measured_s", capacity.measured_s),
            ("capacity.closed_s", capacity.closed_s),
            ("surge.nodes.warm_up_s", surge.nodes.warm_up_s),
            ("surge.nodes.overload_s", surge.nodes.overload_s),
        ] {
            ensure!((1.0..=3600.0).contains(&value), "`{key} = {value}`: a duration lies between 1 and 3,600 seconds");
        }
        for (key, value) in [
            ("calibrate.rate_per_s", calibrate.rate_per_s),
            ("calibrate.freeze_rate_per_s", calibrate.freeze_rate_per_s),
            ("calibrate.lag_rate_per_s", calibrate.lag_rate_per_s),
            ("cache.rate_per_s", cache.rate_per_s),
            ("surge.rate_per_s", surge.rate_per_s),
            ("capacity.lowest_rate_per_s", capacity.lowest_rate_per_s),
            ("capacity.highest_rate_per_s", capacity.highest_rate_per_s),
            ("surge.nodes.rate_per_s", surge.nodes.rate_per_s),
        ] {
            ensure!(
                (1.0..=100_000.0).contains(&value),
                "`{key} = {value}`: a rate lies between 1 and 100,000 per second"
            );
        }
        for (key, value) in [
            ("data.users", self.data.users),
            ("data.tags", self.data.tags),
            ("schema.repeats", self.schema.repeats),
            ("schema.posts_per_batch", self.schema.posts_per_batch),
            ("schema.comments_per_batch", self.schema.comments_per_batch),
            ("attempts", self.attempts),
            ("explain.repeats", self.explain.repeats),
            ("calibrate.blocks", calibrate.blocks),
            ("calibrate.rounds", calibrate.rounds),
            ("calibrate.effect_blocks", calibrate.effect_blocks),
            ("calibrate.effect_rounds", calibrate.effect_rounds),
            ("calibrate.users", calibrate.users),
            ("calibrate.delay_us", calibrate.delay_us),
            ("calibrate.cpu_us", calibrate.cpu_us),
            ("calibrate.freezes", calibrate.freezes),
            ("calibrate.freeze_users", calibrate.freeze_users),
            ("cache.blocks", cache.blocks),
            ("cache.rounds", cache.rounds),
            ("cache.users", cache.users),
            ("cache.peak_users", cache.peak_users),
            ("surge.blocks", surge.blocks),
            ("surge.users", surge.users),
            ("capacity.users", capacity.users),
            ("capacity.closed_repeats", capacity.closed_repeats),
            ("surge.nodes.blocks", surge.nodes.blocks),
        ] {
            ensure!((1..=10_000_000).contains(&value), "`{key} = {value}`: give a number from 1 to 10,000,000");
        }
        for (key, value) in [("data.posts", self.data.posts), ("data.comments", self.data.comments)] {
            ensure!((100..=100_000_000).contains(&value), "`{key} = {value}`: give a number from 100 to 100,000,000");
        }
        ensure!(
            surge.surge_factor > 1.0,
            "`surge.surge_factor = {}`: a surge is more than once the baseline",
            surge.surge_factor
        );
        ensure!(
            (0.1..=1.0).contains(&surge.nodes.limit_share),
            "`surge.nodes.limit_share = {}`: a limited server may use between 0.1 and 1 of a processor",
            surge.nodes.limit_share
        );
        let explain = &self.explain;
        ensure!(
            explain.most_repeats >= explain.repeats && explain.enough_s >= 0.0 && explain.enough_s <= 3600.0,
            "`explain.most_repeats = {}`, `explain.enough_s = {}`: as many as `repeats` or more, and 0 to 3,600 seconds",
            explain.most_repeats,
            explain.enough_s
        );
        let effect = self.smallest_effect_percent;
        ensure!(
            effect > 0.0 && effect < 100.0,
            "`smallest_effect_percent = {effect}`: give a number between 0 and 100"
        );
        Ok(())
    }
}

/// The user asked for something that cannot be done as asked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The words for a name that is not in a list: the valid ones, and the nearest.
pub fn unknown<'a>(kind: &str, name: &str, valid: impl Iterator<Item = &'a String> + Clone) -> String {
    let nearest = valid
        .clone()
        .map(|candidate| (strsim::damerau_levenshtein(candidate, name), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(2))
        .map_or_else(String::new, |(_, candidate)| format!("; did you mean `{candidate}`?"));
    let list: Vec<String> = valid.map(|candidate| format!("`{candidate}`")).collect();
    format!("there is no {kind} `{name}`: use one of {}{nearest}", list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::trial::slices::LEAD_S;

    const PROFILES: &str = include_str!("../../profiles.toml");

    fn error(text: &str, name: &str) -> String {
        format!("{:#}", Profile::parse(text, name).unwrap_err())
    }

    #[test]
    fn the_committed_profiles_are_usable() {
        let quick = Profile::parse(PROFILES, "quick").unwrap();
        let full = Profile::parse(PROFILES, "full").unwrap();
        // The most metrics that an arm is compared by.
        let smallest = crate::stats::smallest_blocks_of_family(5);
        assert!(full.explain.repeats as usize >= crate::stats::smallest_blocks_of_family(1));
        for blocks in [full.calibrate.blocks, full.cache.blocks, full.surge.blocks] {
            assert!(blocks as usize >= smallest, "a full run must allow verdicts");
        }
        // What is left of a trial without its leads and a fifth of its rounds, in which the host may take the processors.
        for (rate_per_s, measured_s, rounds) in [
            (full.calibrate.rate_per_s, full.calibrate.measured_s, full.calibrate.rounds),
            (full.cache.rate_per_s, full.cache.measured_s, full.cache.rounds),
        ] {
            let timed = rate_per_s * (measured_s - f64::from(rounds) * LEAD_S);
            assert!(0.8 * timed >= 1_000.0, "a p99 asks for a thousand requests, and {timed} are timed");
        }
        assert!(full.surge.nodes.blocks as usize >= crate::stats::smallest_blocks_of_family(1));
        assert!(quick.cache.blocks < full.cache.blocks);
    }

    #[test]
    fn bad_profiles_name_the_key_and_the_remedy() {
        insta::assert_snapshot!(error(PROFILES, "ful"), @"there is no profile `ful`: use one of `full`, `quick`; did you mean `full`?");
        let cache = |from: &str, to: &str| {
            let (before, rest) = PROFILES.split_once("cache = {").unwrap();
            format!("{before}cache = {{{}", rest.replacen(from, to, 1))
        };
        insta::assert_snapshot!(error(&cache("warm_up_s = 1.0", "warm_up_s = 0"), "quick"));
        insta::assert_snapshot!(error(&cache("measured_s", "mesured_s"), "quick"));
        insta::assert_snapshot!(error(&cache("blocks = 1", "blocks = \"one\""), "quick"));
    }
}
