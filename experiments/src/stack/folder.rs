//! The folder of one run: where the servers of the stack keep their data, sockets and logs. Knows nothing of what they are.
//!
//! Every run holds the lock of its folder. So two runs do not disturb each other, and the next run can tell the folders of dead
//! ones from those of living ones. Some files must lie elsewhere: the path of a unix socket has room for about a hundred
//! bytes, and an unprivileged user cannot enter a project below a closed home. Such places are noted in the folder, so that
//! they are removed with it.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, ensure};

use super::user::Unprivileged;

/// The temporary folders are called so, followed by the runner's process number.
const TEMPORARY_PREFIX: &str = "run-";
const LOCK: &str = "lock";
const LOGS: &str = "logs";
/// The path of a unix socket ends at 104 bytes on Apple's systems and at 108 on Linux.
const LONGEST_SOCKET_BYTES: usize = 103;
/// The longest name of a socket in the folder.
const SOCKET_NAME: &str = ".s.PGSQL.5432";
/// They mean something in the configuration of PostgreSQL or NGINX, so a path that holds one is not given to them.
const UNSAFE_CHARACTERS: &[char] = &['"', '\'', '\\', '$', ',', ';', '{', '}', '#'];

/// The programs that a stack is made of. Whoever makes a run folder has found them.
#[derive(Debug, Clone)]
pub struct Programs {
    /// This crate's own program; it starts the services (see [`super::supervise`]).
    pub supervisor: PathBuf,
    /// The folder with `postgres` and `initdb`.
    pub postgres_bin: PathBuf,
    /// `redis-server` or `valkey-server`.
    pub redis: PathBuf,
    /// `nginx`.
    pub nginx: PathBuf,
}

/// A folder is taken by another run.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is in use by process {holder}; stop that run first", path.display())]
pub struct FolderInUse {
    path: PathBuf,
    holder: String,
}

/// A locked folder. Clones share it: it lives until the last service in it is gone.
#[derive(Debug, Clone)]
pub struct RunFolder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    place: PathBuf,
    sockets: PathBuf,
    programs: Programs,
    user: Option<Unprivileged>,
    temporary: bool,
    remove: AtomicBool,
    /// Dropped last, after the folder is cleaned.
    _lock: File,
}

impl RunFolder {
    /// Makes a folder of its own for this run below `runs` (the project's `.run`), after removing those of dead runs.
    pub fn temporary(runs: &Path, programs: Programs) -> Result<Self> {
        let runs = prepare(runs)?;
        let _guard = guard(&runs)?;
        sweep(&runs);
        let process = std::process::id();
        let names = (1..).map(|number| match number {
            1 => format!("{TEMPORARY_PREFIX}{process}"),
            _ => format!("{TEMPORARY_PREFIX}{process}-{number}"),
        });
        let mut paths = names.map(|name| runs.join(name));
        let path = paths.find(|path| !path.exists()).context("no name is left for a run folder")?;
        Self::open(path, programs, true)
    }

    /// Opens the folder `name` below `runs`, which keeps its data from run to run.
    ///
    /// # Errors
    /// [`FolderInUse`] if another run has it.
    pub fn persistent(runs: &Path, name: &str, programs: Programs) -> Result<Self> {
        ensure!(!name.starts_with(TEMPORARY_PREFIX), "`{name}` is the name of a temporary run folder");
        let runs = prepare(runs)?;
        let _guard = guard(&runs)?;
        Self::open(runs.join(name), programs, false)
    }

    fn open(path: PathBuf, programs: Programs, temporary: bool) -> Result<Self> {
        create_folder(&path)?;
        let lock = lock(&path)?;
        create_folder(&path.join(LOGS))?;
        let user = Unprivileged::needed()?;
        let place = place(&path, user.as_ref())?;
        let sockets = sockets(&path, &place, user.as_ref())?;
        Ok(Self {
            inner: Arc::new(Inner {
                path,
                place,
                sockets,
                programs,
                user,
                temporary,
                remove: AtomicBool::new(false),
                _lock: lock,
            }),
        })
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// The logs, one file per service.
    pub fn logs(&self) -> PathBuf {
        self.inner.path.join(LOGS)
    }

    /// Where the services' data is: the folder itself, or a temporary folder where that one does not serve.
    pub fn place(&self) -> &Path {
        &self.inner.place
    }

    /// A short path for unix sockets, closed to other users.
    pub fn sockets(&self) -> &Path {
        &self.inner.sockets
    }

    /// The programs of this run.
    pub fn programs(&self) -> &Programs {
        &self.inner.programs
    }

    /// Whom the services run as, if not as the runner.
    pub fn user(&self) -> Option<&Unprivileged> {
        self.inner.user.as_ref()
    }

    /// Where the data lies when it is not in the folder, in words for the user.
    pub fn note(&self) -> Option<String> {
        (self.inner.place != self.inner.path).then(|| {
            format!(
                "the servers keep their data in `{}`, because they cannot use `{}`",
                self.inner.place.display(),
                self.inner.path.display()
            )
        })
    }

    /// A folder for the data of one service, closed to other users.
    pub fn service_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.inner.place.join(name);
        create_private_folder(&folder, self.user())?;
        Ok(folder)
    }

    /// The run went well: nothing of a temporary folder is kept once its last service has stopped. Without this call its
    /// logs stay until the next run.
    pub fn remove(self) {
        self.inner.remove.store(true, Ordering::Relaxed);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !self.temporary {
            return;
        }
        remove_elsewhere(&self.path);
        if *self.remove.get_mut() {
            remove(&self.path);
            return;
        }
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if entry.file_name() != LOGS && entry.file_name() != LOCK {
                remove(&entry.path());
            }
        }
    }
}

/// Makes `runs`; absolute, because the servers run in another directory.
fn prepare(runs: &Path) -> Result<PathBuf> {
    create_folder(runs)?;
    runs.canonicalize().with_context(|| format!("cannot find `{}`", runs.display()))
}

/// Held while folders are made and removed: between its creation and its lock a new folder looks like one of a dead run.
fn guard(runs: &Path) -> Result<File> {
    let path = runs.join(LOCK);
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let file = file.with_context(|| format!("cannot open `{}`", path.display()))?;
    file.lock().with_context(|| format!("cannot lock `{}`", path.display()))?;
    Ok(file)
}

/// Takes the lock of a folder and writes down who has it.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = file.with_context(|| format!("cannot open `{}`", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder)?;
            let holder = if holder.trim().is_empty() { "unknown" } else { holder.trim() }.to_owned();
            let path = folder.to_owned();
            return Err(FolderInUse { path, holder }.into());
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock `{}`", path.display()));
        }
    }
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

/// Removes the folders of runs that are no more. One that cannot be removed harms nobody, so that is only said.
fn sweep(runs: &Path) {
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        let path = entry.path();
        let temporary = entry.file_name().to_string_lossy().starts_with(TEMPORARY_PREFIX);
        if temporary && path.is_dir() && lock(&path).is_ok() {
            remove_elsewhere(&path);
            remove(&path);
        }
    }
}

/// The data goes into the folder itself where the servers can use it.
fn place(path: &Path, user: Option<&Unprivileged>) -> Result<PathBuf> {
    let unsafe_name =
        path.to_str().is_none_or(|text| text.contains(UNSAFE_CHARACTERS) || text.contains(char::is_control));
    let closed = user.is_some_and(|user| !user.can_reach(path));
    if unsafe_name || closed { elsewhere(path, "place", user) } else { Ok(path.to_owned()) }
}

fn sockets(path: &Path, place: &Path, user: Option<&Unprivileged>) -> Result<PathBuf> {
    let beside_the_data = place.join("sockets");
    if beside_the_data.as_os_str().len() + 1 + SOCKET_NAME.len() > LONGEST_SOCKET_BYTES {
        return elsewhere(path, "sockets", user);
    }
    create_private_folder(&beside_the_data, user)?;
    Ok(beside_the_data)
}

/// A folder among the system's temporary ones. The run folder notes its path, so that a persistent run finds its data again and
/// a sweep finds what to remove.
fn elsewhere(path: &Path, kind: &str, user: Option<&Unprivileged>) -> Result<PathBuf> {
    let note = note(path, kind);
    if let Ok(noted) = fs::read_to_string(&note)
        && Path::new(&noted).is_dir()
    {
        return Ok(noted.into());
    }
    let folder = tempfile::Builder::new().prefix("loadbook-").tempdir();
    let folder = folder.context("cannot create a temporary folder; set `TMPDIR` to one that can be written")?.keep();
    fs::write(&note, folder.as_os_str().as_encoded_bytes())?;
    create_private_folder(&folder, user)?;
    if let Some(user) = user {
        ensure!(
            user.can_reach(&folder),
            "the user `{}` cannot enter `{}`; set `TMPDIR` to a folder that is open to everybody",
            user.name,
            folder.display()
        );
    }
    Ok(folder)
}

fn note(path: &Path, kind: &str) -> PathBuf {
    path.join(format!("{kind}-elsewhere"))
}

fn remove_elsewhere(path: &Path) {
    for kind in ["place", "sockets"] {
        if let Ok(folder) = fs::read_to_string(note(path, kind)) {
            remove(Path::new(&folder));
        }
    }
}

fn remove(path: &Path) {
    let outcome = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    if let Err(error) = outcome
        && path.exists()
    {
        tracing::warn!("cannot remove `{}`: {error}", path.display());
    }
}

/// Open to everybody, whatever the umask says: an unprivileged user has to pass through.
fn create_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot create `{}`", path.display()))
}

fn create_private_folder(path: &Path, user: Option<&Unprivileged>) -> Result<()> {
    fs::create_dir_all(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o700)))
        .with_context(|| format!("cannot create `{}`", path.display()))?;
    user.map_or(Ok(()), |user| user.own(path))
}
