//! What files meant when they were last looked at. A file with the size and the time that it had then is not read again; without the
//! memory everything is the same, and takes longer.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, Metadata},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{fingerprint, item::RustFile};
use crate::results::{Inputs, hash_bytes};

/// A file that changed so shortly ago may change again without getting another time, so it is not remembered.
const SETTLED: Duration = Duration::from_secs(2);

/// The memory of one project: what each file means, which is read when a file has changed, and what came of all of them together, which
/// is enough as long as none has.
#[derive(Debug)]
pub struct Memory {
    project: PathBuf,
    folder: PathBuf,
    files: Option<Files>,
    answers: Answers,
    /// When the last of the files changed that the answers depend on.
    newest: u64,
    has_news: bool,
}

/// What files meant, valid for the same way of reading them.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Files {
    way: String,
    files: BTreeMap<String, File>,
}

/// What was asked, and what the answer was, valid for the program that wrote it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Answers {
    program: String,
    /// The state of the project that the answers are about.
    state: String,
    inputs: BTreeMap<String, Inputs>,
    /// What programs said of their versions, by their paths.
    versions: BTreeMap<String, (Stamp, String)>,
}

/// The code that reads files: another build of it may find something else in them, and most builds are not of this code.
const READING: [&str; 5] = [
    include_str!("canonical.rs"),
    include_str!("fingerprint.rs"),
    include_str!("item.rs"),
    include_str!("memory.rs"),
    include_str!("paths.rs"),
];

const FILES: &str = "memory-files.json";
const ANSWERS: &str = "memory-answers.json";

#[derive(Debug, Serialize, Deserialize)]
struct File {
    stamp: Stamp,
    meaning: Meaning,
}

/// The size in bytes and the time of the last change, in nanoseconds.
type Stamp = (u64, u64);

#[derive(Debug, Serialize, Deserialize)]
enum Meaning {
    Hash(String),
    Rust(RustFile),
    /// The hash of all of it, and its modules of tests.
    Whole(String, Vec<String>),
}

impl Memory {
    /// The memory that is kept in `folder`; an empty one when there is none, or another build of this program wrote it.
    #[must_use]
    pub fn open(project: &Path, folder: &Path) -> Self {
        let program = this_program();
        let answers = read(&folder.join(ANSWERS)).filter(|answers: &Answers| answers.program == program);
        Self {
            project: project.to_owned(),
            folder: folder.to_owned(),
            answers: answers.unwrap_or_else(|| Answers { program, ..Answers::default() }),
            files: None,
            newest: 0,
            has_news: false,
        }
    }

    /// Says that the following answers depend on the files below `folders` alone. Those of another state of them are forgotten.
    ///
    /// # Errors
    /// When there is no such folder.
    pub fn depend_on(&mut self, folders: &[&str]) -> Result<()> {
        let mut state = String::new();
        for folder in folders {
            for file in self.files(folder)? {
                let stamp = fs::metadata(self.project.join(&file)).map(|metadata| stamp(&metadata)).unwrap_or_default();
                self.newest = self.newest.max(stamp.1);
                let _ = writeln!(state, "{file} {stamp:?}");
            }
        }
        let state = hash_bytes(state.as_bytes());
        if self.answers.state != state {
            self.answers.inputs.clear();
            self.answers.state = state;
        }
        Ok(())
    }

    /// The inputs that were found for `name` in this state of the project, if they were.
    #[must_use]
    pub fn answer(&self, name: &str) -> Option<Inputs> {
        self.answers.inputs.get(name).cloned()
    }

    /// Remembers them.
    pub fn remember(&mut self, name: &str, inputs: &Inputs) {
        self.answers.inputs.insert(name.to_owned(), inputs.clone());
        self.has_news = true;
    }

    /// Every file below `folder`, relative to the project, in order; `folder` may be a file.
    ///
    /// # Errors
    /// When there is no such folder.
    pub fn files(&self, folder: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        add_files(&self.project, folder, &mut found)?;
        found.sort();
        Ok(found)
    }

    /// The hash of what each file below `folders` means; modules that only tests have do not count.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn hashes(&mut self, folders: &[&str]) -> Result<Inputs> {
        let mut inputs = Inputs::new();
        let mut tests = Vec::new();
        for folder in folders {
            for file in self.files(folder)? {
                let meaning = self.meaning(&file, false)?;
                if let Meaning::Whole(_, modules) = meaning {
                    tests.extend(modules.iter().map(|module| beside(&file, module)));
                }
                let (Meaning::Hash(hash) | Meaning::Whole(hash, _)) = meaning else { continue };
                inputs.insert(file.clone(), hash.clone());
            }
        }
        inputs.retain(|file, _| {
            let stem = file.strip_suffix(".rs").unwrap_or(file);
            !tests
                .iter()
                .any(|test| stem == test || stem.strip_prefix(test.as_str()).is_some_and(|rest| rest.starts_with('/')))
        });
        Ok(inputs)
    }

    /// A file of Rust, item by item.
    ///
    /// # Errors
    /// When it cannot be read, or is not Rust.
    pub fn rust(&mut self, file: &str) -> Result<&RustFile> {
        match self.meaning(file, true)? {
            Meaning::Rust(rust) => Ok(rust),
            Meaning::Hash(_) | Meaning::Whole(..) => anyhow::bail!("`{file}` is not a file of Rust"),
        }
    }

    fn meaning(&mut self, file: &str, by_item: bool) -> Result<&Meaning> {
        let path = self.project.join(file);
        let named = || format!("cannot read the input `{}`; restore it from the repository", path.display());
        let stamp = stamp(&fs::metadata(&path).with_context(named)?);
        let place = self.folder.join(FILES);
        let kept = self.files.get_or_insert_with(|| {
            let way = hash_bytes(READING.concat().as_bytes());
            let kept = read(&place).filter(|kept: &Files| kept.way == way);
            kept.unwrap_or_else(|| Files { way, ..Files::default() })
        });
        let is_known = kept.files.get(file).is_some_and(|known| {
            known.stamp == stamp && (!file.ends_with(".rs") || matches!(known.meaning, Meaning::Rust(_)) == by_item)
        });
        if !is_known {
            let bytes = fs::read(&path).with_context(named)?;
            let meaning =
                meaning_of(file, &bytes, by_item).with_context(|| format!("cannot use `{}`", path.display()))?;
            kept.files.insert(file.to_owned(), File { stamp, meaning });
            self.has_news = true;
        }
        kept.files.get(file).map(|known| &known.meaning).context("what was read is known")
    }

    /// What `ask` says of the program at `path`; what it said of this very file before, if it did.
    ///
    /// # Errors
    /// Those of `ask`.
    pub fn version<E>(&mut self, path: &Path, ask: impl FnOnce() -> Result<String, E>) -> Result<String, E> {
        let key = path.to_string_lossy().into_owned();
        let stamp = fs::metadata(path).map(|metadata| stamp(&metadata)).unwrap_or_default();
        if let Some((known, version)) = self.answers.versions.get(&key)
            && *known == stamp
        {
            return Ok(version.clone());
        }
        let version = ask()?;
        self.answers.versions.insert(key, (stamp, version.clone()));
        self.has_news = true;
        Ok(version)
    }

    /// Keeps what was learned. It is only a convenience, so a disk that cannot be written is no error.
    pub fn save(&mut self) {
        if !std::mem::take(&mut self.has_news) {
            return;
        }
        let settled = SystemTime::now().checked_sub(SETTLED).map(nanoseconds).unwrap_or_default();
        if self.newest >= settled {
            self.answers.inputs.clear();
        }
        if let Some(kept) = &mut self.files {
            kept.files.retain(|_, file| file.stamp.1 < settled);
            write(&self.folder.join(FILES), kept);
        }
        write(&self.folder.join(ANSWERS), &self.answers);
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write(path: &Path, kept: &impl Serialize) {
    let aside = path.with_extension(format!("{}.new", std::process::id()));
    let Ok(bytes) = serde_json::to_vec(kept) else { return };
    if let Some(folder) = path.parent() {
        let _ = fs::create_dir_all(folder);
    }
    if fs::write(&aside, bytes).and_then(|()| fs::rename(&aside, path)).is_err() {
        let _ = fs::remove_file(&aside);
    }
}

fn meaning_of(file: &str, bytes: &[u8], by_item: bool) -> Result<Meaning> {
    if !file.ends_with(".rs") {
        return Ok(Meaning::Hash(fingerprint(file, bytes)));
    }
    let rust = RustFile::parse(std::str::from_utf8(bytes).context("it is not text")?)?;
    Ok(if by_item { Meaning::Rust(rust) } else { Meaning::Whole(rust.hash(), rust.test_modules) })
}

/// The path, without its ending, of the module `name` of the file.
fn beside(file: &str, name: &str) -> String {
    let (folder, own) = file.rsplit_once('/').unwrap_or(("", file));
    match own {
        "mod.rs" | "lib.rs" | "main.rs" => format!("{folder}/{name}"),
        own => format!("{folder}/{}/{name}", own.trim_end_matches(".rs")),
    }
}

fn add_files(project: &Path, relative: &str, found: &mut Vec<String>) -> Result<()> {
    let path = project.join(relative);
    let named = || format!("cannot read the input `{}`; restore it from the repository", path.display());
    if fs::metadata(&path).with_context(named)?.is_file() {
        found.push(relative.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(&path).with_context(named)? {
        let entry = entry.with_context(named)?;
        let relative = format!("{relative}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().with_context(named)?.is_file() {
            found.push(relative);
        } else {
            add_files(project, &relative, found)?;
        }
    }
    Ok(())
}

fn stamp(metadata: &Metadata) -> Stamp {
    (metadata.len(), metadata.modified().map(nanoseconds).unwrap_or_default())
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// This program by its file, which is new after every build.
fn this_program() -> String {
    let file = std::env::current_exe().and_then(fs::metadata);
    hash_bytes(format!("{:?}", file.map(|metadata| stamp(&metadata)).ok()).as_bytes())
}
