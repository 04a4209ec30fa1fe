//! The environment of a measurement: machine, programs, settings. Everything is asked of the thing itself, nothing is assumed.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::Result;

use crate::{
    probe::machine::{self, Machine},
    results::Environment,
    steps::{Blog, Programs},
};

/// Reads the environment of a finished measurement, while its stores still run.
pub(super) fn read(blog: &Blog, programs: &Programs, step_settings: BTreeMap<String, String>) -> Result<Environment> {
    let postgres = blog.stack.postgres.settings();
    let redis = blog.stack.redis.settings();
    let version = |settings: &BTreeMap<String, String>, keys: &[&str]| {
        keys.iter().find_map(|key| settings.get(*key).cloned()).unwrap_or_default()
    };
    let nginx = version_of(&programs.stack.nginx, "-v");
    let mut settings: BTreeMap<String, String> = step_settings;
    settings.extend(postgres.iter().map(|(name, value)| (format!("postgresql.{name}"), value.clone())));
    settings.extend(redis.iter().map(|(name, value)| (format!("redis.{name}"), value.clone())));
    settings.insert("placement".to_owned(), serde_json::to_string(&blog.placement)?);
    Ok(Environment {
        machine: facts(&machine::read()?)?,
        programs: BTreeMap::from([
            ("Loadbook".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("NGINX".to_owned(), nginx),
            ("PostgreSQL".to_owned(), version(postgres, &["server_version"])),
            ("Redis".to_owned(), version(redis, &["redis_version", "valkey_version"])),
        ]),
        settings,
    })
}

/// The machine's facts under their names; what the system does not tell is left out.
fn facts(machine: &Machine) -> Result<BTreeMap<String, String>> {
    let serde_json::Value::Object(fields) = serde_json::to_value(machine)? else {
        anyhow::bail!("a machine is not a list of facts");
    };
    let text = |value: serde_json::Value| match value {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    Ok(fields.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect())
}

/// What the program says of its version: the last word of its last line.
fn version_of(program: &Path, flag: &str) -> String {
    let Ok(output) = Command::new(program).arg(flag).output() else { return String::new() };
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    text.lines().last().and_then(|line| line.rsplit(['/', ' ']).next()).unwrap_or_default().to_owned()
}

/// The commit of the checkout, with `+` when files differ from it; `None` outside of a checkout or without git.
pub(super) fn commit(root: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let dirty = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty());
    Some(if dirty { commit + "+" } else { commit })
}
