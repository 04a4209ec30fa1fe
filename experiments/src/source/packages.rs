//! The crates behind the code, by what `Cargo.lock` says of them. A crate that nothing which was reached depends on does not count: the
//! report may get a new one without making a measurement stale.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Deserialize;
use toml::{Table, Value};

use crate::results::Inputs;

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    #[serde(default)]
    dependencies: Vec<String>,
}

/// The versions of `roots` (as they are called in code or in `Cargo.toml`) and of all that they depend on, under `Cargo.lock/NAME`.
/// Roots that are no packages, such as `std`, are passed over.
///
/// # Errors
/// When `lock` is not the text of a `Cargo.lock`.
pub fn packages(lock: &str, roots: &BTreeSet<String>) -> Result<Inputs> {
    let lock: Lock = toml::from_str(lock).context("`Cargo.lock` is not usable; restore it from the repository")?;
    let mut by_name: BTreeMap<String, Vec<&Package>> = BTreeMap::new();
    for package in &lock.package {
        by_name.entry(package.name.replace('-', "_")).or_default().push(package);
    }
    // Where there are several versions, a dependency says which: `syn 2.0.1`.
    let find = |dependency: &str| -> Vec<&Package> {
        let (name, version) = dependency.split_once(' ').map_or((dependency, None), |(name, rest)| (name, Some(rest)));
        let named = by_name.get(&name.replace('-', "_")).into_iter().flatten().copied();
        named.filter(|package| version.is_none_or(|version| version.starts_with(&package.version))).collect()
    };
    let mut queue: Vec<&Package> = roots.iter().flat_map(|root| find(root)).collect();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    while let Some(package) = queue.pop() {
        if versions.entry(&package.name).or_default().insert(&package.version) {
            queue.extend(package.dependencies.iter().flat_map(|dependency| find(dependency)));
        }
    }
    let line = |(name, versions): (&str, BTreeSet<&str>)| {
        (format!("Cargo.lock/{name}"), versions.into_iter().collect::<Vec<_>>().join(", "))
    };
    Ok(versions.into_iter().map(line).collect())
}

/// What a `Cargo.toml` names as dependencies of the program itself, not of its tests.
///
/// # Errors
/// When `manifest` is not the text of a `Cargo.toml`.
pub fn direct_dependencies(manifest: &str) -> Result<BTreeSet<String>> {
    let manifest: Table = manifest.parse().context("`Cargo.toml` is not usable; restore it from the repository")?;
    let names = ["dependencies", "build-dependencies"].map(|kind| manifest.get(kind).and_then(Value::as_table));
    Ok(names.into_iter().flatten().flat_map(Table::keys).cloned().collect())
}

/// What the workspace's `Cargo.toml` says about how these packages are built: features and optimisation.
///
/// # Errors
/// When `manifest` is not the text of a `Cargo.toml`.
pub fn build_settings(manifest: &str, packages: &Inputs) -> Result<String> {
    let mut manifest: Table = manifest.parse().context("`Cargo.toml` is not usable; restore it from the repository")?;
    let is_used = |name: &str| name == "*" || packages.contains_key(&format!("Cargo.lock/{name}"));
    let mut take = |of: &str, name: &str| -> Table {
        let table = manifest.get_mut(of).and_then(|table| table.as_table_mut()?.remove(name));
        table.and_then(|table| table.as_table().cloned()).unwrap_or_default()
    };
    let (mut release, mut features) = (take("profile", "release"), take("workspace", "dependencies"));
    let mut by_package = release.remove("package").and_then(|table| table.as_table().cloned()).unwrap_or_default();
    by_package.retain(|name, _| is_used(name));
    features.retain(|name, _| is_used(name));
    Ok(serde_json::to_string(&(release, by_package, features))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "version = 4\n\
        [[package]]\nname = \"app\"\nversion = \"0.0.0\"\ndependencies = [\"serde-like\", \"syn 2.0.1\"]\n\
        [[package]]\nname = \"serde-like\"\nversion = \"1.2.3\"\n\
        [[package]]\nname = \"syn\"\nversion = \"2.0.1\"\ndependencies = [\"quote\"]\n\
        [[package]]\nname = \"syn\"\nversion = \"3.0.0\"\n\
        [[package]]\nname = \"quote\"\nversion = \"1.0.9\"\n\
        [[package]]\nname = \"typesetter\"\nversion = \"9.0.0\"\n";

    #[test]
    fn only_what_is_behind_the_roots_counts() {
        let roots = ["serde_like", "app", "std"].map(str::to_owned).into();
        let found: Vec<(String, String)> = packages(LOCK, &roots).unwrap().into_iter().collect();
        let line = |name: &str, version: &str| (format!("Cargo.lock/{name}"), version.to_owned());
        assert_eq!(
            found,
            [line("app", "0.0.0"), line("quote", "1.0.9"), line("serde-like", "1.2.3"), line("syn", "2.0.1")]
        );
    }

    #[test]
    fn settings_of_other_packages_do_not_count() {
        let used = Inputs::from([("Cargo.lock/tokio".to_owned(), "1".to_owned())]);
        let settings = |text: &str| build_settings(text, &used).unwrap();
        let plain = settings("[workspace.dependencies]\ntokio = \"1\"\n[profile.release]\ndebug = 1\n");
        let more = settings(
            "# Why.\n[workspace.dependencies]\ntokio = \"1\"\npolars = \"1\"\n[profile.release]\ndebug = 1\n[profile.release.package.polars]\nopt-level = 0\n",
        );
        assert_eq!(plain, more);
        assert_ne!(
            plain,
            settings(
                "[workspace.dependencies]\ntokio = { version = \"1\", features = [\"fs\"] }\n[profile.release]\ndebug = 1\n"
            )
        );
    }

    #[test]
    fn tests_have_dependencies_of_their_own() {
        let manifest = "[dependencies]\na = \"1\"\n[dev-dependencies]\nb = \"1\"\n[build-dependencies]\nc = \"1\"\n";
        assert_eq!(direct_dependencies(manifest).unwrap().into_iter().collect::<Vec<_>>(), ["a", "c"]);
    }
}
