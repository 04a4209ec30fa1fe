//! What a step would be measured from now: its code and files, the machine, the servers' versions. It starts no service, and it decides
//! nothing; what it holds its view against comes from `step.json`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use setup::{Program, Search, Version};

use super::{Project, environment};
use crate::{
    results::{Change, Environment, Inputs, StepRecord, UNKNOWN, hash_bytes, is_same},
    source::{Code, Memory, Reached, build_settings, direct_dependencies, packages},
    steps::{NOT_FOLLOWED, Step, files_of, roots_of},
};

/// The sources of the crate that measures.
const CODE: &str = "experiments/src";

/// All that an input can be made of. As long as nothing in it changes, no input does.
pub(super) const EVERYTHING: &[&str] =
    &["Cargo.lock", "Cargo.toml", "app", CODE, "experiments/queries", "nginx", "rust-toolchain.toml"];

/// Facts that make two machines the same for a measurement. A new kernel does not make another machine; `compare` tells of it.
const MACHINE: &[&str] = &["system", "architecture", "cpu_model", "cpu_count", "cores", "memory_bytes"];

/// The servers, as `step.json` calls them.
const SERVERS: [(&str, Program); 3] =
    [("PostgreSQL", Program::Postgres), ("Redis", Program::Redis), ("NGINX", Program::Nginx)];

/// Crates of this workspace: their code counts, not their versions.
const OWN: [&str; 3] = ["app", "experiments", "setup"];

/// The present state of the project and of the machine.
pub(super) struct Present {
    memory: Memory,
    root: PathBuf,
    runs: PathBuf,
    search: Search,
    sources: Option<Sources>,
    surroundings: Option<Surroundings>,
}

/// What is read of the project when the memory does not know the inputs.
struct Sources {
    code: Code,
    lock: String,
    manifest: String,
    /// Crates that the specimen depends on.
    of_app: BTreeSet<String>,
}

/// The machine and the servers, looked at once.
struct Surroundings {
    machine: BTreeMap<String, String>,
    servers: BTreeMap<&'static str, Version>,
}

impl Present {
    /// Looks at the project.
    ///
    /// # Errors
    /// When a file or a folder is missing.
    pub(super) fn look(project: &Project) -> Result<Self> {
        let mut memory = Memory::open(&project.root, &project.runs());
        memory.depend_on(EVERYTHING)?;
        let search = Search::for_project(&project.root);
        Ok(Self { memory, root: project.root.clone(), runs: project.runs(), search, sources: None, surroundings: None })
    }

    /// Everything that the step's rows depend on in the project, each with a hash or a version.
    ///
    /// # Errors
    /// When a file is missing or cannot be understood.
    pub(super) fn inputs(&mut self, step: &dyn Step) -> Result<Inputs> {
        if let Some(inputs) = self.memory.answer(step.name()) {
            return Ok(inputs);
        }
        let sources = match &mut self.sources {
            Some(sources) => sources,
            none => none.insert(Sources::read(&self.root, &mut self.memory)?),
        };
        let inputs = sources.inputs(step, &mut self.memory)?;
        let is_covered =
            |file: &String| file.starts_with("Cargo.lock/") || EVERYTHING.iter().any(|folder| file.starts_with(folder));
        if inputs.keys().all(is_covered) {
            self.memory.remember(step.name(), &inputs);
        }
        Ok(inputs)
    }

    /// How the machine and the servers differ from those of a record, as far as both are known.
    pub(super) fn surroundings(&mut self, record: &StepRecord) -> Vec<Change> {
        self.look_around().changes(&record.environment)
    }

    /// The machine and the servers in one text, which is another one elsewhere.
    pub(super) fn place(&mut self) -> String {
        let Surroundings { machine, servers } = self.look_around();
        let facts: Vec<_> =
            MACHINE.iter().filter(|fact| **fact != "memory_bytes").map(|fact| machine.get(*fact)).collect();
        format!("{facts:?}{servers:?}")
    }

    fn look_around(&mut self) -> &Surroundings {
        let known = match self.surroundings.take() {
            Some(known) => known,
            None => Surroundings { machine: environment::machine(&self.runs), servers: self.servers() },
        };
        self.surroundings.insert(known)
    }

    /// The versions of the servers that a run would start; one that is missing is told when it is needed.
    fn servers(&mut self) -> BTreeMap<&'static str, Version> {
        let found = SERVERS.into_iter().filter_map(|(name, program)| {
            let ask = |path: &Path| {
                let text = self
                    .memory
                    .version(path, || setup::ask_version(program, path).map(|version| version.to_string()))?;
                Version::leading(&text).ok_or_else(|| "did not tell its version".to_owned())
            };
            Some((name, setup::locate_asking(&self.search, program, ask).ok()?.version))
        });
        found.collect()
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.memory.save();
    }
}

impl Sources {
    fn read(root: &Path, memory: &mut Memory) -> Result<Self> {
        let read = |name: &str| {
            let path = root.join(name);
            std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read `{}`; restore it from the repository", path.display()))
        };
        Ok(Self {
            code: Code::read(memory, CODE, NOT_FOLLOWED)?,
            lock: read("Cargo.lock")?,
            manifest: read("Cargo.toml")?,
            of_app: direct_dependencies(&read("app/Cargo.toml")?)?,
        })
    }

    fn inputs(&self, step: &dyn Step, memory: &mut Memory) -> Result<Inputs> {
        let module = format!("steps::{}", step.name());
        let Reached { files, included, crates } = self.code.reach(&roots_of(&module))?;
        let mut inputs = files;
        let included: Vec<&str> = included.iter().map(String::as_str).collect();
        inputs.extend(memory.hashes(&[files_of(step), included].concat())?);
        let mut roots: BTreeSet<String> = crates.into_iter().chain(self.of_app.iter().cloned()).collect();
        roots.retain(|name| !OWN.contains(&name.as_str()));
        let packages = packages(&self.lock, &roots)?;
        let settings = build_settings(&self.manifest, &packages)?;
        inputs.extend(packages);
        inputs.insert("Cargo.toml".to_owned(), hash_bytes(settings.as_bytes()));
        Ok(inputs)
    }
}

impl Surroundings {
    fn changes(&self, then: &Environment) -> Vec<Change> {
        let mut changes = Vec::new();
        for fact in MACHINE {
            if let (Some(old), Some(new)) = (then.machine.get(*fact), self.machine.get(*fact))
                && ![old, new].iter().any(|value| value.starts_with(UNKNOWN))
                && !is_same(&format!("machine.{fact}"), Some(old), Some(new))
            {
                let words = format!("it was measured on another machine: `{fact}` was `{old}`, is `{new}`");
                changes.push(Change { words, sides: Some((old.clone(), new.clone())) });
            }
        }
        for (name, new) in &self.servers {
            let Some(old) = version_of(name, then) else { continue };
            if Version::leading(&old).as_ref() != Some(new) {
                let words = format!("{name} was {old}, is {new}");
                changes.push(Change { words, sides: Some((old, new.to_string())) });
            }
        }
        changes
    }
}

/// The version of a server in a record. Valkey calls itself a Redis of an old version, and says its own besides.
fn version_of(server: &str, environment: &Environment) -> Option<String> {
    let own = environment.settings.get("redis.valkey_version").filter(|_| server == "Redis");
    own.or_else(|| environment.programs.get(server)).filter(|version| !version.is_empty()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts<const N: usize>(facts: [(&str, &str); N]) -> BTreeMap<String, String> {
        facts.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn another_server_and_another_machine_are_named_with_both_sides() {
        let now = Surroundings {
            machine: facts([
                ("cpu_model", "B"),
                ("memory_bytes", "1000"),
                ("kernel", "6.2"),
                ("architecture", "x86_64"),
            ]),
            servers: [("PostgreSQL", "15.18"), ("Redis", "8.1"), ("NGINX", "1.22.1")]
                .map(|(name, version)| (name, Version::leading(version).unwrap()))
                .into(),
        };
        let mut then = Environment {
            machine: facts([
                ("cpu_model", "A"),
                ("memory_bytes", "1001"),
                ("kernel", "6.1"),
                ("architecture", "not known: the system does not tell"),
            ]),
            programs: facts([("PostgreSQL", "15.9 (Debian 15.9-1)"), ("Redis", "7.2.4"), ("NGINX", "1.22.1")]),
            settings: facts([("redis.valkey_version", "8.1")]),
            ..Environment::default()
        };
        let words: Vec<String> = now.changes(&then).into_iter().map(|change| change.words).collect();
        let expected = [
            "it was measured on another machine: `cpu_model` was `A`, is `B`",
            "PostgreSQL was 15.9 (Debian 15.9-1), is 15.18",
        ];
        assert_eq!(words, expected);
        then.machine.insert("cpu_model".to_owned(), "B".to_owned());
        then.programs.insert("PostgreSQL".to_owned(), "15.18 (Debian 15.18-0+deb12u1)".to_owned());
        assert_eq!(now.changes(&then), []);
    }
}
