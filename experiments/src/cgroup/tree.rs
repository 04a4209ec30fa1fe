//! The place of a run's groups. Everything lies below a root that is given, so that a tree of plain files can stand in for the kernel's.
//!
//! Groups that only count lie in a folder of their own, `loadbook-<process number of the run>/`; limited ones lie beside it, so that the
//! scheduler weighs them against everybody else and not only against each other.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::kill;
use nix::unistd::{AccessFlags, Pid, access};

use super::group::{Group, PERIOD_US, PROCESSES, Used, used};
use super::{Reason, Version, v1, v2};

/// The folders of all runs begin so; the run's process number follows.
const PREFIX: &str = "loadbook-";

/// The kernel accepts no quota below a millisecond.
const SMALLEST_SHARE: f64 = 1_000.0 / PERIOD_US as f64;

/// Where the groups of one run are made.
#[derive(Debug)]
pub struct Tree {
    version: Version,
    /// The run's process number.
    run: u32,
    /// Groups that count are made below here.
    counting: PathBuf,
    /// Groups with a limit are made here, if they can be.
    limiting: Result<PathBuf, Reason>,
    /// Names are used once: a group may linger until its last process is gone.
    made: AtomicU64,
}

impl Tree {
    /// Finds a place below `root`, which is `/sys/fs/cgroup` on a living machine. `own` is the text of `/proc/self/cgroup`: where the
    /// root is not writable, this process's own group may be. Removes the groups of runs that are gone.
    ///
    /// # Errors
    /// When there are no control groups, or none can be made.
    pub fn open(root: &Path, own: &str, run: u32) -> Result<Self, Reason> {
        let version = version(root)?;
        let place = |controller: &str| match version {
            Version::V1 => writable(&root.join(controller), v1::path_of(own, controller)),
            Version::V2 => writable(root, v2::path_of(own)),
        };
        let counting = place("cpuacct")?;
        let limiting = place("cpu").and_then(|base| limitable(version, base));
        let tree = Self { version, run, counting, limiting, made: AtomicU64::new(0) };
        tree.bases().for_each(remove_left_overs);
        Ok(tree)
    }

    /// Which groups it makes.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether its groups can be limited.
    ///
    /// # Errors
    /// The reason why not.
    pub fn limits(&self) -> Result<(), Reason> {
        self.limiting.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    /// Makes an empty group, limited to `cpu_share` of one processor if that is given (0.1 at least, more than 1 for several).
    ///
    /// # Errors
    /// When the share is too small, or the group cannot be made or limited.
    pub fn group(&self, name: &str, cpu_share: Option<f64>) -> Result<Group> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let parent = self.counting.join(format!("{PREFIX}{}", self.run));
        let counted = parent.join(format!("{name}-{number}"));
        let Some(cpu_share) = cpu_share else {
            make(&counted)?;
            return Ok(Group { version: self.version, folders: vec![counted], parent: Some(parent) });
        };
        ensure!(
            cpu_share >= SMALLEST_SHARE,
            "`{name}` cannot be limited to {cpu_share} of a processor; the least is {SMALLEST_SHARE}"
        );
        let base = self.limiting.as_ref().map_err(Clone::clone)?;
        let limited = base.join(format!("{PREFIX}{}.{name}-{number}", self.run));
        let group = if is_same(base, &self.counting) {
            Group { version: self.version, folders: vec![limited.clone()], parent: None }
        } else {
            Group { version: self.version, folders: vec![counted, limited.clone()], parent: Some(parent) }
        };
        group.folders.iter().try_for_each(|folder| make(folder))?;
        self.limit(base, &limited, cpu_share).with_context(|| format!("cannot limit `{name}`"))?;
        Ok(group)
    }

    fn limit(&self, base: &Path, folder: &Path, cpu_share: f64) -> Result<()> {
        let quota_us = (cpu_share * PERIOD_US as f64).round() as u64;
        match self.version {
            Version::V1 => v1::limit(folder, quota_us),
            Version::V2 => {
                v2::enable(base, &base.join(format!("{PREFIX}{}.rest", self.run)))?;
                v2::limit(folder, quota_us)
            }
        }
    }

    /// The folder of the group of this run that a process is in; `text` is its `/proc/<pid>/cgroup`. A container shows other paths
    /// than its machine, so only the end that carries our name is looked at.
    #[must_use]
    pub fn folder_of(&self, text: &str) -> Option<PathBuf> {
        let path = match self.version {
            Version::V1 => v1::path_of(text, "cpuacct"),
            Version::V2 => v2::path_of(text),
        }?;
        let (_, rest) = path.rsplit_once(&format!("/{PREFIX}{}", self.run))?;
        // Another run's number may begin with ours.
        let is_ours = rest.starts_with(['/', '.']);
        let folder = self.counting.join(format!("{PREFIX}{}{rest}", self.run));
        (is_ours && folder.is_dir()).then_some(folder)
    }

    /// Reads what the group with this folder has used.
    ///
    /// # Errors
    /// When the group is gone.
    pub fn used(&self, folder: &Path) -> Result<Used> {
        used(self.version, folder)
    }

    fn bases(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.counting.as_path()).chain(self.limiting.as_deref().ok())
    }
}

fn version(root: &Path) -> Result<Version, Reason> {
    // A machine with both has its controllers in the first.
    if root.join("cpuacct").is_dir() {
        return Ok(Version::V1);
    }
    if root.join("cgroup.controllers").is_file() {
        return Ok(Version::V2);
    }
    Err(Reason(format!(
        "there are no cgroups at `{}`; mount them, as every Linux system does at its start",
        root.display()
    )))
}

/// The first of the root and of our own group in which a group can be made, and processes moved.
fn writable(root: &Path, own: Option<&str>) -> Result<PathBuf, Reason> {
    let own = own.map(|path| path.trim_start_matches('/')).filter(|path| !path.is_empty() && !path.contains(".."));
    let mut refusal = None;
    for base in std::iter::once(root.to_owned()).chain(own.map(|path| root.join(path))) {
        match attempt(&base) {
            Ok(()) => return Ok(base),
            Err(error) => refusal = Some((base, error)),
        }
    }
    let (base, why) = refusal.unwrap_or_else(|| (root.to_owned(), "not tried".to_owned()));
    Err(Reason(format!(
        "cgroups are not writable: `{}` ({why}); run as root, or use a delegated scope such as `systemd-run --user --scope -p Delegate=yes`",
        base.display()
    )))
}

fn attempt(base: &Path) -> Result<(), String> {
    let folder = base.join(format!("{PREFIX}{}.attempt", std::process::id()));
    let made = fs::create_dir(&folder).and_then(|()| fs::remove_dir(&folder));
    made.map_err(|error| error.kind().to_string())?;
    access(&base.join(PROCESSES), AccessFlags::W_OK).map_err(|error| error.desc().to_lowercase())
}

fn limitable(version: Version, base: PathBuf) -> Result<PathBuf, Reason> {
    if version == Version::V2 && !v2::has_controller(&base) {
        return Err(Reason(format!(
            "cgroups below `{}` cannot be limited: they were not given the controller `cpu`; run as root, or let systemd delegate it",
            base.display()
        )));
    }
    Ok(base)
}

/// Some systems show one hierarchy under the names of both controllers.
fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Another group may take the folder above away, which is empty until this one is there.
fn make(folder: &Path) -> Result<()> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match fs::create_dir_all(folder) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound && attempts < 10 => {}
            Err(error) => bail!("cannot make the group `{}`: {error}", folder.display()),
        }
    }
}

/// Removes the groups of runs that are gone. The kernel itself refuses where a process is left.
fn remove_left_overs(base: &Path) {
    for folder in folders(base) {
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_prefix(PREFIX).map(|rest| rest.split('.').next().unwrap_or_default());
        let Some(run) = number.and_then(|number| number.parse().ok()) else { continue };
        if kill(Pid::from_raw(run), None) == Err(nix::errno::Errno::ESRCH) {
            folders(&folder).iter().chain([&folder]).for_each(|folder| {
                let _ = fs::remove_dir(folder);
            });
        }
    }
}

fn folders(base: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}
