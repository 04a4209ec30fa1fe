//! The environment of the results in words for a reader: a few facts for the front page, all of them for the page of provenance, and
//! where the steps were not measured alike, which step differs in what.

use std::collections::BTreeMap;

use crate::{
    report::{
        EnvironmentDifference, FactGroup, Provenance,
        values::{NOTHING, format_cell},
    },
    results::{Difference, Environment, StepRecord, UNKNOWN, environment_differences, summary::Cell},
};

/// What the facts of the machine are called, in the order of the page.
const MACHINE: &[(&str, &str)] = &[
    ("cpu_model", "processor"),
    ("cpu_count", "processors that may be used"),
    ("threads_per_core", "threads a core"),
    ("smt", "simultaneous multithreading"),
    ("governor", "frequency governor"),
    ("turbo", "turbo"),
    ("architecture", "architecture"),
    ("virtualisation", "virtualisation"),
    ("memory_bytes", "memory"),
    ("swap_bytes", "swap space"),
    ("transparent_huge_pages", "transparent huge pages"),
    ("distribution", "distribution"),
    ("system", "system"),
    ("kernel", "kernel"),
    ("aslr", "address space randomised (ASLR)"),
    ("clock_source", "source of the clock"),
    ("cgroup_version", "version of control groups"),
    ("cpu_accounting", "CPU time is read from"),
    ("data_file_system", "file system of the databases"),
    ("open_files_limit", "open files, limit"),
    ("open_files_hard_limit", "open files, highest limit"),
    ("processes_limit", "processes, limit"),
    ("steal_share", "CPU time given to others since its start"),
];

/// What the facts of the code are called, in the order of the page.
const CODE: &[(&str, &str)] = &[
    ("commit", "commit"),
    ("changed_files", "files that differ from it"),
    ("cargo_lock_sha256", "SHA-256 of Cargo.lock"),
];

/// What the report says of the environment of these results; of several steps, that of the last one.
pub(super) fn of_records(records: &[StepRecord]) -> Provenance {
    let Some(newest) = records.iter().max_by_key(|record| &record.finished_utc) else { return Provenance::default() };
    let newest = complete(newest.clone(), records);
    Provenance {
        at_a_glance: at_a_glance(&newest),
        newest: newest.step.clone(),
        groups: groups(&newest),
        differences: differences(records, &newest),
    }
}

/// With the settings that only other steps have a use for, such as those of the planner.
fn complete(mut newest: StepRecord, records: &[StepRecord]) -> StepRecord {
    for (name, value) in records.iter().flat_map(|record| &record.environment.settings) {
        newest.environment.settings.entry(name.clone()).or_insert_with(|| value.clone());
    }
    newest
}

/// The few facts of the front page.
fn at_a_glance(record: &StepRecord) -> Vec<(String, String)> {
    let Environment { machine, programs, .. } = &record.environment;
    let of = |name: &str| machine.get(name).filter(|fact| !fact.starts_with(UNKNOWN)).map(|fact| shown(name, fact));
    let joined = |names: &[&str]| names.iter().filter_map(|name| of(name)).collect::<Vec<_>>().join(", ");
    let processors = of("cpu_count").map_or_else(String::new, |count| format!("{count} × "));
    let version = |name: &str| Some(format!("{name} {}", programs.get(name)?.split(" (").next()?));
    let served: Vec<String> = ["PostgreSQL", "Redis", "NGINX"].iter().filter_map(|name| version(name)).collect();
    [
        ("Processors", format!("{processors}{}", joined(&["cpu_model"]))),
        ("Memory", joined(&["memory_bytes"])),
        ("System", joined(&["distribution", "kernel", "virtualisation"])),
        ("Servers", served.join(", ")),
    ]
    .map(|(name, fact)| (name.to_owned(), fact))
    .into_iter()
    .filter(|(_, fact)| !fact.is_empty())
    .collect()
}

/// Every fact of the record, in groups.
fn groups(record: &StepRecord) -> Vec<FactGroup> {
    let Environment { machine, programs, builds, settings, code } = &record.environment;
    let mut code = code.clone();
    code.insert("commit".to_owned(), record.commit.clone().unwrap_or_else(|| format!("{UNKNOWN}not in a checkout")));
    let named = |name: &str, names: &[(&str, &str)], facts: &BTreeMap<String, String>| FactGroup {
        name: name.to_owned(),
        facts: in_order(names, facts),
    };
    let groups = [
        named("Machine", MACHINE, machine),
        named("Programs", &[], programs),
        named("Code", CODE, &code),
        named("Builds", &[], builds),
        named("Settings", &[], settings),
    ];
    groups.into_iter().filter(|group| !group.facts.is_empty()).collect()
}

/// What the records of the other steps have otherwise than `newest`, one line each.
fn differences(records: &[StepRecord], newest: &StepRecord) -> Vec<EnvironmentDifference> {
    let others = records.iter().filter(|record| record.step != newest.step);
    // A setting that a step has no use for does not make its environment another one.
    let is_set = |difference: &Difference| {
        !difference.field.starts_with("settings.") || (difference.before.is_some() && difference.after.is_some())
    };
    let differences = environment_differences(others, newest).into_iter().filter(is_set).map(|difference| {
        let (group, fact) = difference.field.split_once('.').unwrap_or(("", &difference.field));
        let side = |value: Option<String>| value.map_or_else(|| NOTHING.to_owned(), |value| shown(fact, &value));
        EnvironmentDifference {
            fact: format!("{group}: {}", called(group, fact)),
            steps: difference.steps.join(", "),
            here: side(difference.before),
            elsewhere: side(difference.after),
        }
    });
    differences.collect()
}

fn called<'n>(group: &str, fact: &'n str) -> &'n str {
    let names = match group {
        "machine" => MACHINE,
        "code" => CODE,
        _ => &[],
    };
    names.iter().find(|(name, _)| *name == fact).map_or(fact, |(_, words)| words)
}

/// The facts that have a name in the order of the names, then the others.
fn in_order(names: &[(&str, &str)], facts: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let first = names.iter().filter_map(|(name, words)| Some(((*words).to_owned(), shown(name, facts.get(*name)?))));
    let others = facts.iter().filter(|(fact, _)| names.iter().all(|(name, _)| name != fact));
    first.chain(others.map(|(fact, value)| (fact.clone(), shown(fact, value)))).collect()
}

/// A fact as a reader wants it: sizes and shares like every number of the report, nothing that looks forgotten.
fn shown(name: &str, value: &str) -> String {
    let number = || value.parse::<f64>().ok().filter(|_| name.ends_with("_bytes") || name.ends_with("_share"));
    match number() {
        Some(number) => format_cell(name, &Cell::from(number)),
        None if value.is_empty() => "empty".to_owned(),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: &str, kernel: &str) -> StepRecord {
        let facts = |facts: &[(&str, &str)]| {
            facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let environment = Environment {
            machine: facts(&[
                ("cpu_model", "EPYC"),
                ("cpu_count", "2"),
                ("memory_bytes", "25276510208"),
                ("governor", "not known: it is hidden"),
                ("kernel", kernel),
                ("moon_phase", "full"),
            ]),
            programs: facts(&[("PostgreSQL", "15.18 (Debian 15.18-0+deb12u1)"), ("NGINX", "1.22.1")]),
            settings: facts(&[("redis.save", "")]),
            ..Environment::default()
        };
        StepRecord { environment, ..StepRecord::new(step) }
    }

    #[test]
    fn the_front_page_has_a_few_facts_and_none_that_is_unknown() {
        let facts = at_a_glance(&record("cache", "6.1"));
        let found: Vec<String> = facts.iter().map(|(name, fact)| format!("{name}: {fact}")).collect();
        let expected =
            ["Processors: 2 × EPYC", "Memory: 25.3 GB", "System: 6.1", "Servers: PostgreSQL 15.18, NGINX 1.22.1"];
        assert_eq!(found, expected);
        assert_eq!(at_a_glance(&StepRecord::new("cache")), []);
    }

    #[test]
    fn every_fact_is_on_the_page_in_words() {
        let groups = groups(&record("cache", "6.1"));
        let machine: Vec<String> = groups[0].facts.iter().map(|(name, fact)| format!("{name}: {fact}")).collect();
        let expected = [
            "processor: EPYC",
            "processors that may be used: 2",
            "frequency governor: not known: it is hidden",
            "memory: 25.3 GB",
            "kernel: 6.1",
            "moon_phase: full",
        ];
        assert_eq!(machine, expected);
        let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        assert_eq!(names, ["Machine", "Programs", "Code", "Settings"]);
        assert_eq!(groups[3].facts, [("redis.save".to_owned(), "empty".to_owned())]);
    }

    #[test]
    fn a_step_from_another_environment_is_named_with_the_fact() {
        let (cache, surge) = (record("cache", "6.1"), record("surge", "6.2"));
        let found = differences(&[cache.clone(), surge.clone()], &surge);
        let expected = EnvironmentDifference {
            fact: "machine: kernel".to_owned(),
            steps: "cache".to_owned(),
            here: "6.1".to_owned(),
            elsewhere: "6.2".to_owned(),
        };
        assert_eq!(found, [expected]);
        let mut explain = record("explain", "6.2");
        explain.environment.settings.insert("planner.jit".to_owned(), "off".to_owned());
        let all = of_records(&[explain, surge.clone()]);
        assert_eq!(all.differences, []);
        let settings = [("planner.jit", "off"), ("redis.save", "empty")];
        assert_eq!(all.groups[3].facts, settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(differences(std::slice::from_ref(&cache), &cache), []);
    }
}
