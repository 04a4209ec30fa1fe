//! Whether two measurements were made alike: every condition in which their `step.json` differ, with both values; and for the steps of
//! one run, every fact of their environments. It does not know what was measured, nor whether a difference matters to anybody.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::Value;

use super::{Environment, StepRecord};

/// What a record says that is no condition, and why two records may differ in it.
const LEFT_OUT: &[(&str, &str)] = &[
    ("machine.open_files_hard_limit", "it is enough, or the run fails"),
    ("machine.open_files_limit", "it is enough, or the run fails"),
    ("machine.processes_limit", "it is enough, or the run fails"),
    ("programs.Loadbook", "another version of it is what one wants to compare"),
    ("programs.Typst", "it took no part in the measurement"),
    ("programs.rustc", "the repository pins it, so that another one is a part of another version"),
    ("settings.postgresql.server_version", "`programs` has it"),
    ("settings.redis.redis_version", "`programs` has it"),
    ("settings.redis.valkey_version", "`programs` has it"),
];

/// What the host took is an observation, not a condition.
const STEAL_SHARE: &str = "machine.steal_share";

/// Of these, older results have only some.
const RECORDED_LATER: &[&str] = &["builds.", "machine.", "settings.nginx."];

/// The memory of one machine differs a little from kernel to kernel; by less than this it is the same.
const SAME_MEMORY: f64 = 0.02;

/// A condition that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field, such as `machine.cpu_model` or `parameters.data.posts`.
    pub field: String,
    /// Its value before, if it has one.
    pub before: Option<String>,
    /// Its value after, if it has one.
    pub after: Option<String>,
    /// The steps of which this is so.
    pub steps: Vec<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |value: &Option<String>| value.as_ref().map_or("not told".to_owned(), |value| format!("`{value}`"));
        let (before, after) = (said(&self.before), said(&self.after));
        write!(formatter, "`{}` is {before} before and {after} after ({})", self.field, self.steps.join(", "))
    }
}

/// Every condition in which these records differ, before and after, each difference once.
pub fn differences<'a>(pairs: impl IntoIterator<Item = (&'a StepRecord, &'a StepRecord)>) -> Vec<Difference> {
    let is_same = |field: &str, before: Option<&str>, after: Option<&str>| {
        // What one of them did not record yet cannot be held against it.
        let is_recorded = before.is_some() && after.is_some();
        let may_be_missing = RECORDED_LATER.iter().any(|group| field.starts_with(group));
        may_be_missing && !is_recorded || is_same(field, before, after)
    };
    found(pairs, conditions, is_same)
}

/// Every fact of the environments in which these records differ from `one` of the same run, which comes second; also those that are no
/// conditions. What changes from minute to minute is left out.
pub fn environment_differences<'a>(
    others: impl IntoIterator<Item = &'a StepRecord>,
    one: &'a StepRecord,
) -> Vec<Difference> {
    found(others.into_iter().map(|other| (other, one)), facts, is_same)
}

type Facts = BTreeMap<String, String>;

fn found<'a>(
    pairs: impl IntoIterator<Item = (&'a StepRecord, &'a StepRecord)>,
    of: impl Fn(&StepRecord) -> Facts,
    is_same: impl Fn(&str, Option<&str>, Option<&str>) -> bool,
) -> Vec<Difference> {
    let mut found: BTreeMap<(String, Option<String>, Option<String>), Vec<String>> = BTreeMap::new();
    for (before, after) in pairs {
        let (mut earlier, mut later) = (of(before), of(after));
        let fields: BTreeSet<String> = earlier.keys().chain(later.keys()).cloned().collect();
        for field in fields {
            let (one, other) = (earlier.remove(&field), later.remove(&field));
            if !is_same(&field, one.as_deref(), other.as_deref()) {
                found.entry((field, one, other)).or_default().push(before.step.clone());
            }
        }
    }
    let difference = |((field, before, after), steps)| Difference { field, before, after, steps };
    found.into_iter().map(difference).collect()
}

/// Every condition under its name.
fn conditions(record: &StepRecord) -> Facts {
    let mut conditions =
        Facts::from([("profile".to_owned(), record.profile.clone()), ("seed".to_owned(), record.seed.to_string())]);
    flatten("parameters", &record.parameters, &mut conditions);
    conditions.extend(facts(record));
    conditions.retain(|field, _| !field.starts_with("code.") && LEFT_OUT.iter().all(|(left_out, _)| field != left_out));
    conditions
}

/// Every fact of the environment under its name, but for what no two measurements have in common.
fn facts(record: &StepRecord) -> Facts {
    let Environment { machine, programs, builds, settings, code } = &record.environment;
    let groups =
        [("machine", machine), ("programs", programs), ("builds", builds), ("settings", settings), ("code", code)];
    let of_group = |(name, facts): (&str, &Facts)| {
        facts.iter().map(|(fact, value)| (format!("{name}.{fact}"), value.clone())).collect::<Vec<_>>()
    };
    let mut facts: Facts = groups.into_iter().flat_map(of_group).collect();
    facts.extend(record.commit.clone().map(|commit| ("code.commit".to_owned(), commit)));
    facts.remove(STEAL_SHARE);
    facts
}

fn flatten(name: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| flatten(&format!("{name}.{key}"), value, into)),
        Value::String(text) => drop(into.insert(name.to_owned(), text.clone())),
        other => drop(into.insert(name.to_owned(), other.to_string())),
    }
}

/// Whether a condition has the same value in both, as far as it can be told.
#[must_use]
pub fn is_same(field: &str, before: Option<&str>, after: Option<&str>) -> bool {
    let number = |value: Option<&str>| value.and_then(|value| value.parse::<f64>().ok());
    match (number(before), number(after)) {
        (Some(before), Some(after)) if field == "machine.memory_bytes" => {
            (after - before).abs() <= SAME_MEMORY * before.abs()
        }
        _ => before == after,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::results) fn record(step: &str) -> StepRecord {
        let facts = |facts: &[(&str, &str)]| {
            facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        StepRecord {
            profile: "full".to_owned(),
            seed: 7,
            parameters: serde_json::json!({ "data": { "posts": 1000 }, "users": [1, 2] }),
            environment: Environment {
                machine: facts(&[("cpu_model", "one"), ("memory_bytes", "1000000"), ("steal_share", "0.1")]),
                programs: facts(&[("Redis", "7.0"), ("Loadbook", "0.1")]),
                settings: facts(&[("postgresql.jit", "off")]),
                ..Environment::default()
            },
            ..StepRecord::new(step)
        }
    }

    #[test]
    fn each_difference_is_told_once_with_both_values() {
        let (before, mut after) = ([record("cache"), record("surge")], [record("cache"), record("surge")]);
        for record in &mut after {
            record.environment.machine.insert("cpu_model".to_owned(), "another".to_owned());
        }
        after[1].seed = 8;
        after[1].profile = "quick".to_owned();
        after[1].parameters = serde_json::json!({ "data": { "posts": 20 }, "users": [1, 2] });
        after[1].environment.settings.clear();
        let found: Vec<String> = differences(before.iter().zip(&after)).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "`machine.cpu_model` is `one` before and `another` after (cache, surge)",
                "`parameters.data.posts` is `1000` before and `20` after (surge)",
                "`profile` is `full` before and `quick` after (surge)",
                "`seed` is `7` before and `8` after (surge)",
                "`settings.postgresql.jit` is `off` before and not told after (surge)",
            ]
        );
    }

    #[test]
    fn what_an_older_result_did_not_record_is_no_difference() {
        let (before, mut after) = (record("cache"), record("cache"));
        let put =
            |facts: &mut BTreeMap<String, String>, name: &str| drop(facts.insert(name.to_owned(), "x".to_owned()));
        put(&mut after.environment.machine, "governor");
        put(&mut after.environment.builds, "NGINX.built");
        put(&mut after.environment.code, "changed_files");
        assert_eq!(differences([(&before, &after)]), []);
        let mut again = after.clone();
        again.environment.machine.insert("governor".to_owned(), "powersave".to_owned());
        again.environment.code.insert("changed_files".to_owned(), "app/src/lib.rs".to_owned());
        let found: Vec<String> = differences([(&after, &again)]).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["`machine.governor` is `x` before and `powersave` after (cache)"]);
    }

    #[test]
    fn the_steps_of_one_run_are_held_against_one_of_them_in_every_fact() {
        let (mut cache, mut surge) = (record("cache"), record("surge"));
        assert_eq!(environment_differences([&cache, &surge], &surge), []);
        surge.environment.machine.insert("steal_share".to_owned(), "0.2".to_owned());
        surge.seed = 8;
        assert_eq!(environment_differences([&cache], &surge), []);
        cache.commit = Some("older+".to_owned());
        surge.environment.machine.insert("kernel".to_owned(), "6.2".to_owned());
        let found: Vec<String> = environment_differences([&cache], &surge).iter().map(ToString::to_string).collect();
        let expected = [
            "`code.commit` is `older+` before and not told after (cache)",
            "`machine.kernel` is not told before and `6.2` after (cache)",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_condition_may_differ() {
        let (before, mut after) = (record("cache"), record("cache"));
        after.environment.machine.insert("steal_share".to_owned(), "0.2".to_owned());
        after.environment.machine.insert("memory_bytes".to_owned(), "1004000".to_owned());
        after.environment.programs.insert("Loadbook".to_owned(), "0.2".to_owned());
        after.commit = Some("other".to_owned());
        assert_eq!(differences([(&before, &after)]), []);
        after.environment.machine.insert("memory_bytes".to_owned(), "2000000".to_owned());
        assert_eq!(differences([(&before, &after)]).len(), 1);
    }
}
