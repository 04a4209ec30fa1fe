//! One supervised child process: how it starts, how it is told to end, and how it is made sure that it ends. Knows nothing of
//! what the program does.
//!
//! Three things keep a service from outliving the runner: [`Drop`] (errors and panics), a process group of its own (so that
//! helpers of the service go with it), and the kernel's death signal (the runner was killed; see [`super::supervise`]).

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::folder::RunFolder;
use super::poll::wait_until;
use super::supervise::Orders;
use crate::cgroup::{self, Group};

/// How long a dropped process may take over its abandon signal before it is killed.
const ABANDON_LIMIT: Duration = Duration::from_secs(5);
/// So much of a log is shown when its process fails.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: u64 = 16 * 1024;

/// What to start, and how it ends.
#[derive(Debug)]
pub struct Launch {
    /// What it is called in messages; its log is `logs/<name>.log`.
    pub name: String,
    /// The program's path.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its whole environment but for `PATH`, which is handed on.
    pub environment: Vec<(String, OsString)>,
    /// Whether it gives up the runner's rights when the runner is root.
    pub unprivileged: bool,
    /// Asks for an orderly end.
    pub stop_signal: Signal,
    /// Asks for a quick end: sent when the process is dropped without [`Process::stop`], and by the kernel when the runner
    /// dies. It must also end the program's own children.
    pub abandon_signal: Signal,
    /// The time between the stop signal and `SIGKILL`.
    pub stop_limit: Duration,
    /// The processors it stays on.
    pub processors: Option<Vec<usize>>,
    /// How much of one processor it may use, with all its children: a virtual node. Everything that is there if `None`.
    pub cpu_share: Option<f64>,
}

/// A process ended that should still be there.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` ended ({status}); its log `{}` ends with:\n{tail}", log.display())]
pub struct Ended {
    /// What it is called.
    pub name: String,
    /// How it ended.
    pub status: ExitStatus,
    log: PathBuf,
    /// The last lines of its log.
    pub tail: String,
}

/// The child, and how it ended once that is known.
#[derive(Debug)]
struct Tracked {
    child: Child,
    status: Option<ExitStatus>,
}

/// A running child process. Dropping it ends it, and waits until it has ended.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    child: Mutex<Tracked>,
    log: PathBuf,
    log_start_bytes: u64,
    stop_signal: Signal,
    abandon_signal: Signal,
    stop_limit: Duration,
    /// Counts what it uses; goes when it has ended.
    _group: Option<Group>,
    /// The folder, and with it its lock, stays as long as a process writes into it.
    _folder: RunFolder,
}

impl Process {
    /// Starts the program. It is running when this returns, but seldom ready.
    pub fn start(folder: &RunFolder, launch: Launch) -> Result<Self> {
        let log = folder.logs().join(format!("{}.log", launch.name));
        let output = OpenOptions::new().create(true).append(true).open(&log);
        let output = output.with_context(|| format!("cannot write the log `{}`", log.display()))?;
        let log_start_bytes = output.metadata()?.len();
        let group = group(&launch)?;
        let command = command(folder, &launch, group.as_ref(), output)?;
        let child = spawn(command).with_context(|| format!("cannot start `{}`", launch.name))?;
        Ok(Self {
            name: launch.name,
            pid: Pid::from_raw(i32::try_from(child.id()).context("a process number is larger than expected")?),
            child: Mutex::new(Tracked { child, status: None }),
            log,
            log_start_bytes,
            stop_signal: launch.stop_signal,
            abandon_signal: launch.abandon_signal,
            stop_limit: launch.stop_limit,
            _group: group,
            _folder: folder.clone(),
        })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process number, which is also that of its group.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// Whether it is still there.
    pub fn is_running(&self) -> bool {
        self.exit_status().is_none()
    }

    /// Fails if it has ended, and shows the end of its log.
    pub fn check(&self) -> Result<(), Ended> {
        match self.exit_status() {
            None => Ok(()),
            Some(status) => {
                Err(Ended { name: self.name.clone(), status, log: self.log.clone(), tail: self.log_tail() })
            }
        }
    }

    /// Waits until `ready` succeeds, and gives up as soon as the process ends.
    pub async fn wait_ready<T>(&self, limit: Duration, mut ready: impl AsyncFnMut() -> Result<T, String>) -> Result<T> {
        let what = format!("the start of `{}`", self.name);
        let outcome = wait_until(&what, limit, async || match self.check() {
            Err(ended) => Ok(Err(ended)),
            Ok(()) => ready().await.map(Ok),
        });
        match outcome.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(ended)) => Err(ended.into()),
            Err(timed_out) => Err(anyhow::Error::new(timed_out).context(format!(
                "the log `{}` ends with:\n{}",
                self.log.display(),
                self.log_tail()
            ))),
        }
    }

    /// Waits for a program that ends by itself.
    pub async fn wait_end(&self, limit: Duration) -> Result<()> {
        let what = format!("`{}`", self.name);
        let status = wait_until(&what, limit, async || self.exit_status().ok_or_else(|| "running".to_owned())).await?;
        if !status.success() {
            self.check()?;
        }
        Ok(())
    }

    /// Asks it to end, waits, and kills it when the limit is over. A process that had already ended is an error, because
    /// whoever stops it believed that it was at work.
    pub async fn stop(&self) -> Result<()> {
        self.check()?;
        self.signal(self.stop_signal);
        let what = format!("the end of `{}`", self.name);
        let ended = wait_until(&what, self.stop_limit, async || {
            self.exit_status().map(drop).ok_or_else(|| "running".to_owned())
        });
        if let Err(error) = ended.await {
            tracing::warn!("{error}; it is killed");
            self.kill();
        }
        Ok(())
    }

    /// Ends it as a crash does: at once and without a word, with its helpers.
    pub fn crash(&self) {
        self.kill();
    }

    /// What it wrote since it was started.
    pub fn log_text(&self) -> String {
        read_from(&self.log, self.log_start_bytes).unwrap_or_default()
    }

    /// The last lines of what it wrote since it was started.
    pub fn log_tail(&self) -> String {
        let length_bytes = fs::metadata(&self.log).map_or(0, |metadata| metadata.len());
        let start_bytes = self.log_start_bytes.max(length_bytes.saturating_sub(TAIL_BYTES));
        let text = read_from(&self.log, start_bytes).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    fn exit_status(&self) -> Option<ExitStatus> {
        let mut tracked = self.tracked();
        if tracked.status.is_none() {
            tracked.status = tracked.child.try_wait().ok().flatten();
            if tracked.status.is_some() {
                // Helpers of a crashed service would go on without it. Only now: later the number may be somebody else's.
                let _ = killpg(self.pid, Signal::SIGKILL);
            }
        }
        tracked.status
    }

    fn tracked(&self) -> MutexGuard<'_, Tracked> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The group may be empty or gone by now, which is what a signal is for; so errors are of no interest.
    fn signal(&self, signal: Signal) {
        let _ = kill(self.pid, signal);
        // A process that is frozen sees no signal before it goes on.
        let _ = kill(self.pid, Signal::SIGCONT);
    }

    fn kill(&self) {
        let mut tracked = self.tracked();
        if tracked.status.is_none() {
            let _ = killpg(self.pid, Signal::SIGKILL);
            tracked.status = tracked.child.wait().ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.exit_status().is_some() {
            return;
        }
        self.signal(self.abandon_signal);
        let deadline = Instant::now() + ABANDON_LIMIT;
        while Instant::now() < deadline {
            if self.exit_status().is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
    }
}

/// A control group where the machine allows some. Only a limit cannot be had without.
fn group(launch: &Launch) -> Result<Option<Group>> {
    match (cgroup::of_this_machine(), launch.cpu_share) {
        (Ok(tree), cpu_share) => Ok(Some(tree.group(&launch.name, cpu_share)?)),
        (Err(_), None) => Ok(None),
        (Err(reason), Some(cpu_share)) => {
            Err(reason).with_context(|| format!("cannot limit `{}` to {cpu_share} of a processor", launch.name))
        }
    }
}

/// The runner's own program, told to become the service.
fn command(folder: &RunFolder, launch: &Launch, group: Option<&Group>, output: File) -> Result<Command> {
    let user = folder.user().filter(|_| launch.unprivileged);
    // The working directory is about to change, and a relative path with it.
    let mut program = vec![std::path::absolute(&launch.program)?.into_os_string()];
    program.extend(launch.arguments.iter().cloned());
    let orders = Orders {
        parent: std::process::id(),
        death_signal: launch.abandon_signal,
        groups: group.map(Group::entrances).unwrap_or_default(),
        user: user.map(|user| user.name.clone()),
        processors: launch.processors.clone(),
        program,
    };
    let mut command = Command::new(&folder.programs().supervisor);
    command
        .args(orders.arguments())
        .env_clear()
        .envs(launch.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(folder.place())
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    Ok(command)
}

/// A command to start, and where to send what came of it.
type Order = (Command, Sender<io::Result<Child>>);

/// Starts a command on a thread that lives as long as the runner. The kernel sends the death signal when the *thread* that
/// started the child ends, and threads of an async runtime come and go.
fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, inbox) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in inbox {
                let _ = reply.send(command.spawn());
            }
        });
        orders
    });
    let (reply, outcome) = channel();
    let gone = || io::Error::other("the thread that starts processes is gone");
    spawner.send((command, reply)).map_err(|_| gone())?;
    outcome.recv().map_err(|_| gone())?
}

fn read_from(path: &Path, start_bytes: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start_bytes))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
