//! Whether two measurements were made alike: every condition in which their `step.json` differ, with both values. It does not know what
//! was measured, nor whether a difference matters to anybody.

use std::{collections::BTreeMap, fmt};

use serde_json::Value;

use super::StepRecord;

/// What a record says that is no condition, and why two records may differ in it.
const LEFT_OUT: &[(&str, &str)] = &[
    ("machine.open_files_limit", "it is enough, or the run fails"),
    ("machine.steal_share", "what the host took is an observation, not a condition"),
    ("programs.Loadbook", "another version of it is what one wants to compare"),
    ("settings.postgresql.server_version", "`programs` has it"),
    ("settings.redis.redis_version", "`programs` has it"),
    ("settings.redis.valkey_version", "`programs` has it"),
];

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
    let mut found: BTreeMap<(String, Option<String>, Option<String>), Vec<String>> = BTreeMap::new();
    for (before, after) in pairs {
        let (mut earlier, mut later) = (conditions(before), conditions(after));
        let fields: Vec<String> = earlier.keys().chain(later.keys()).cloned().collect();
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
fn conditions(record: &StepRecord) -> BTreeMap<String, String> {
    let mut conditions =
        BTreeMap::from([("profile".to_owned(), record.profile.clone()), ("seed".to_owned(), record.seed.to_string())]);
    flatten("parameters", &record.parameters, &mut conditions);
    let environment = &record.environment;
    for (name, facts) in
        [("machine", &environment.machine), ("programs", &environment.programs), ("settings", &environment.settings)]
    {
        conditions.extend(facts.iter().map(|(fact, value)| (format!("{name}.{fact}"), value.clone())));
    }
    conditions.retain(|field, _| LEFT_OUT.iter().all(|(left_out, _)| field != left_out));
    conditions
}

fn flatten(name: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| flatten(&format!("{name}.{key}"), value, into)),
        Value::String(text) => drop(into.insert(name.to_owned(), text.clone())),
        other => drop(into.insert(name.to_owned(), other.to_string())),
    }
}

fn is_same(field: &str, before: Option<&str>, after: Option<&str>) -> bool {
    let number = |value: Option<&str>| value.and_then(|value| value.parse::<f64>().ok());
    match (number(before), number(after)) {
        (Some(before), Some(after)) if field == "machine.memory_bytes" => {
            (after - before).abs() <= SAME_MEMORY * before.abs()
        }
        _ => before == after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Environment;

    fn record(step: &str) -> StepRecord {
        let facts = |facts: &[(&str, &str)]| {
            facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        StepRecord {
            version: StepRecord::VERSION,
            step: step.to_owned(),
            profile: "full".to_owned(),
            seed: 7,
            started_utc: String::new(),
            finished_utc: String::new(),
            duration_s: 1.0,
            measured_s: 1.0,
            arms: Vec::new(),
            parameters: serde_json::json!({ "data": { "posts": 1000 }, "users": [1, 2] }),
            inputs: BTreeMap::new(),
            environment: Environment {
                machine: facts(&[("cpu_model", "one"), ("memory_bytes", "1000000"), ("steal_share", "0.1")]),
                programs: facts(&[("Redis", "7.0"), ("Loadbook", "0.1")]),
                settings: facts(&[("postgresql.jit", "off")]),
            },
            commit: None,
            tables: Vec::new(),
            texts: Vec::new(),
            warnings: Vec::new(),
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
