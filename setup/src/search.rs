//! Looks for a program in an ordered list of folders and takes the first whose version will do. Changes nothing.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{VERSION_TIMEOUT, is_executable, run};
use crate::program::Program;
use crate::version::{Needed, Version};

/// Where to look: `PATH`, then the project's own `.tools/bin`, then the folders in which package managers hide programs.
#[derive(Clone, Debug)]
pub struct Search {
    folders: Vec<PathBuf>,
    /// The folder that stands for `/` in the known folders; the tests put a made-up system there.
    filesystem_root: PathBuf,
}

impl Search {
    /// Looks on this machine, for the project whose root folder is `project_root`.
    #[must_use]
    pub fn for_project(project_root: &Path) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self::new(&path, project_root, Path::new("/"))
    }

    /// Looks in the folders of `path_variable`, in `.tools/bin` of `project_root`, and in the known folders below
    /// `filesystem_root`.
    #[must_use]
    pub fn new(path_variable: &OsStr, project_root: &Path, filesystem_root: &Path) -> Self {
        let mut folders: Vec<PathBuf> = std::env::split_paths(path_variable)
            // A relative folder would mean another one as soon as a child process changes its own.
            .filter(|folder| folder.is_absolute())
            .collect();
        folders.push(project_root.join(".tools/bin"));
        Self { folders, filesystem_root: filesystem_root.to_owned() }
    }

    /// The first executable file of this name on `PATH` or in `.tools/bin`: a program that is used where it is there, in any version.
    #[must_use]
    pub fn optional(&self, file_name: &str) -> Option<PathBuf> {
        self.folders().map(|folder| folder.join(file_name)).find(|path| is_executable(path))
    }

    /// The folders to look in for `program`, in order, each of them once.
    pub(crate) fn folders_for(&self, program: Program) -> Vec<PathBuf> {
        let known = program.known_folders().iter().flat_map(|pattern| expand(&self.filesystem_root, pattern));
        let mut folders: Vec<PathBuf> = Vec::new();
        for folder in self.folders.iter().cloned().chain(known) {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders
    }

    /// The folders that do not depend on a program: `PATH` and `.tools/bin`.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.folders.iter().map(PathBuf::as_path)
    }
}

/// Replaces the `*` of a pattern by what is there, the highest version first.
fn expand(filesystem_root: &Path, pattern: &str) -> Vec<PathBuf> {
    let mut paths = vec![filesystem_root.to_owned()];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let Some((prefix, suffix)) = part.split_once('*') else {
            for path in &mut paths {
                path.push(part);
            }
            continue;
        };
        paths = paths.iter().flat_map(|path| matching(path, prefix, suffix)).collect();
    }
    paths.retain(|path| path.is_dir());
    paths
}

fn matching(folder: &Path, prefix: &str, suffix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<(Option<Version>, String)> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| {
            let middle = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
            Some((Version::leading(middle), name))
        })
        .collect();
    found.sort_by(|left, right| right.cmp(left));
    found.into_iter().map(|(_, name)| folder.join(name)).collect()
}

/// A program that was found, with the version it told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Which one it is.
    pub program: Program,
    /// The executable. For PostgreSQL it is `postgres`, and `initdb` stands beside it.
    pub path: PathBuf,
    /// What it says of itself.
    pub version: Version,
}

impl fmt::Display for Located {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let valkey = self.path.file_name().is_some_and(|name| name == "valkey-server");
        let name = match self.program {
            Program::Redis if valkey => "Valkey",
            Program::Redis => "Redis",
            program => program.name(),
        };
        write!(formatter, "{name} {}", self.version)
    }
}

/// A program that is not there, or not in a version that will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Which one it is.
    pub program: Program,
    /// The best one that was found and refused, if there is any; for Typst it can be too new as well.
    pub found_too_old: Option<Box<Located>>,
    /// What was found and did not tell its version, as `path`, then why.
    pub passed_over: Vec<String>,
    /// The versions that will do.
    pub needed: Needed,
    /// What the user can do.
    pub remedy: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found_too_old {
            Some(found) => write!(formatter, "{found} (`{}`) will not do", found.path.display())?,
            None => write!(formatter, "{} is missing", self.program)?,
        }
        for reason in &self.passed_over {
            write!(formatter, "; {reason}")?;
        }
        write!(formatter, "; needed is {}; {}", self.needed, self.remedy)
    }
}

impl std::error::Error for Missing {}

/// Finds the first `program` in the folders of `search` whose version will do.
///
/// # Errors
///
/// [`Missing`] says what was found instead and what can be done.
pub fn locate(search: &Search, program: Program) -> Result<Located, Missing> {
    locate_asking(search, program, |path| ask_version(program, path))
}

/// The same, with another way to learn the version of the program at a path: for those who asked it before.
///
/// # Errors
///
/// As [`locate`].
pub fn locate_asking(
    search: &Search,
    program: Program,
    mut ask: impl FnMut(&Path) -> Result<Version, String>,
) -> Result<Located, Missing> {
    let needed = program.needed();
    let mut refused: Option<Located> = None;
    let mut passed_over = Vec::new();
    for folder in search.folders_for(program) {
        for path in program.executables().iter().map(|name| folder.join(name)) {
            let whole = program.companions().iter().all(|name| is_executable(&folder.join(name)));
            if !whole || !is_executable(&path) {
                continue;
            }
            match ask(&path) {
                Ok(version) => {
                    let located = Located { program, path: settled(program, path), version };
                    if needed.accepts(&located.version) {
                        return Ok(located);
                    }
                    if refused.as_ref().is_none_or(|best| best.version < located.version) {
                        refused = Some(located);
                    }
                }
                Err(reason) => passed_over.push(format!("`{}` {reason}", path.display())),
            }
        }
    }
    let remedy = match program {
        Program::Just => "start it as `./just`, which installs it".to_owned(),
        Program::Chromium | Program::ChromeDriver => {
            "run `./just setup --tests`, which installs it or says how".to_owned()
        }
        _ => "run `./just setup`, which installs it or says how".to_owned(),
    };
    Err(Missing { program, found_too_old: refused.map(Box::new), passed_over, needed, remedy })
}

/// Links to PostgreSQL's programs are followed: the tools that Debian and Homebrew do not link lie beside the real ones. Others
/// are taken as they are, because some programs look at the name by which they are called.
fn settled(program: Program, path: PathBuf) -> PathBuf {
    match program {
        Program::Postgres => path.canonicalize().unwrap_or(path),
        _ => path,
    }
}

/// Starts the program at `path`, which prints its version and ends.
///
/// # Errors
///
/// Says, to be put behind the path, why it did not tell it.
pub fn ask_version(program: Program, path: &Path) -> Result<Version, String> {
    let argument = program.version_argument();
    let finished = run(path, &[argument], VERSION_TIMEOUT)?;
    if !finished.status.success() {
        return Err(format!("failed with `{argument}` ({})", finished.status));
    }
    program.read_version(&finished.output).ok_or_else(|| format!("did not tell its version with `{argument}`"))
}
