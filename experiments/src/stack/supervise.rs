//! The small step between the runner and a service: `experiments supervise … -- PROGRAM ARGUMENTS`.
//!
//! What has to happen in the child between fork and exec would need unsafe code in the runner. Instead the runner starts
//! itself again, this file prepares its own process by safe calls, and then becomes the service: the process number stays the
//! same. It knows nothing of the services.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, getppid, setgid, setuid};

use super::user::Unprivileged;

/// The name of the subcommand.
pub const SUBCOMMAND: &str = "supervise";

/// The words before a command that tie it to this process, for children that the stack does not start itself. They must be started
/// by a thread that lives as long as the runner, because the kernel watches the thread.
pub fn prefix(supervisor: &Path) -> Vec<OsString> {
    let orders = Orders {
        parent: std::process::id(),
        death_signal: Signal::SIGKILL,
        groups: Vec::new(),
        user: None,
        processors: None,
        program: Vec::new(),
    };
    std::iter::once(supervisor.as_os_str().to_owned()).chain(orders.arguments()).collect()
}

/// What the runner asks for.
#[derive(Debug, PartialEq)]
pub(super) struct Orders {
    /// The runner's process number. If our parent is another, the runner died before we could tie ourselves to it.
    pub(super) parent: u32,
    /// Sent to us by the kernel when the runner dies.
    pub(super) death_signal: Signal,
    /// The entrances of the control group to join: files that `0` is written into.
    pub(super) groups: Vec<PathBuf>,
    /// Whom to drop to.
    pub(super) user: Option<String>,
    /// The processors to stay on.
    pub(super) processors: Option<Vec<usize>>,
    /// The program and its arguments.
    pub(super) program: Vec<OsString>,
}

impl Orders {
    /// As arguments; [`Orders::parse`] is the inverse.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec![
            SUBCOMMAND.into(),
            "--parent".into(),
            self.parent.to_string().into(),
            "--signal".into(),
            self.death_signal.as_str().into(),
        ];
        for entrance in &self.groups {
            arguments.extend(["--group".into(), entrance.into()]);
        }
        if let Some(user) = &self.user {
            arguments.extend(["--user".into(), user.into()]);
        }
        if let Some(processors) = &self.processors {
            let list: Vec<String> = processors.iter().map(usize::to_string).collect();
            arguments.extend(["--pin".into(), list.join(",").into()]);
        }
        arguments.push("--".into());
        arguments.extend(self.program.iter().cloned());
        arguments
    }

    /// Reads what follows the name of the subcommand.
    fn parse(arguments: &[OsString]) -> Result<Self> {
        let (mut parent, mut death_signal, mut user, mut processors) = (None, None, None, None);
        let mut groups = Vec::new();
        let mut rest = arguments.iter();
        while let Some(option) = rest.next() {
            if option == "--" {
                break;
            }
            let value = rest.next().and_then(|value| value.to_str());
            let value = value.with_context(|| format!("option {option:?} lacks its value"))?;
            match option.to_str() {
                Some("--parent") => parent = Some(value.parse().context("`--parent` needs a process number")?),
                Some("--signal") => death_signal = Some(value.parse().context("`--signal` needs a signal's name")?),
                Some("--group") => groups.push(PathBuf::from(value)),
                Some("--user") => user = Some(value.to_owned()),
                Some("--pin") => {
                    let list: Result<Vec<usize>, _> = value.split(',').map(str::parse).collect();
                    processors = Some(list.context("`--pin` needs numbers separated by commas")?);
                }
                _ => bail!("unknown option {option:?}"),
            }
        }
        let program: Vec<OsString> = rest.cloned().collect();
        ensure!(!program.is_empty(), "no program after `--`");
        Ok(Self {
            parent: parent.context("`--parent` is missing")?,
            death_signal: death_signal.context("`--signal` is missing")?,
            groups,
            user,
            processors,
            program,
        })
    }

    /// Becomes the program; returns only if that fails.
    fn obey(&self) -> Result<()> {
        // First, so that all that the program uses is counted; and while there is still the right to do it.
        for entrance in &self.groups {
            fs::write(entrance, "0").with_context(|| format!("cannot join the group `{}`", entrance.display()))?;
        }
        if let Some(name) = &self.user {
            drop_to(name)?;
        }
        // After the change of user, because that change clears the death signal.
        tie_to_parent(self.death_signal)?;
        // The runner may have died before the line above; then nobody would ever send the signal.
        let parent = getppid().as_raw();
        ensure!(u32::try_from(parent).ok() == Some(self.parent), "the runner is gone");
        if let Some(processors) = &self.processors {
            pin(processors)?;
        }
        let program: &OsStr = &self.program[0];
        let error = Command::new(program).args(&self.program[1..]).exec();
        let whom = self.user.as_deref().map_or(String::new(), |name| format!(" as user `{name}`"));
        Err(error).with_context(|| format!("cannot run `{}`{whom}", program.display()))
    }
}

/// Runs the subcommand; `arguments` are those behind its name. Returns only on failure.
#[must_use]
pub fn main(arguments: &[OsString]) -> ExitCode {
    if let Err(error) = Orders::parse(arguments).and_then(|orders| orders.obey()) {
        remark!("{SUBCOMMAND}: {error:#}");
    }
    ExitCode::from(127)
}

/// Groups first, the user last: after that there is no right left to change the others.
fn drop_to(name: &str) -> Result<()> {
    let user = Unprivileged::named(name)?.with_context(|| format!("there is no user `{name}`"))?;
    drop_groups(user.gid).with_context(|| format!("cannot drop to the groups of user `{name}`"))?;
    setgid(user.gid).with_context(|| format!("cannot drop to the group of user `{name}`"))?;
    setuid(user.uid).with_context(|| format!("cannot drop to the user `{name}`"))
}

#[cfg(not(target_vendor = "apple"))]
fn drop_groups(only: Gid) -> nix::Result<()> {
    nix::unistd::setgroups(&[only])
}

/// Apple's systems resolve groups elsewhere and offer no call for this.
#[cfg(target_vendor = "apple")]
fn drop_groups(_only: Gid) -> nix::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
fn tie_to_parent(signal: Signal) -> Result<()> {
    nix::sys::prctl::set_pdeathsig(signal).context("cannot ask for the death signal")
}

/// Other systems have no death signal: there a service outlives a runner that is killed with `kill -9`, and only that.
#[cfg(not(target_os = "linux"))]
fn tie_to_parent(_signal: Signal) -> Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
fn pin(processors: &[usize]) -> Result<()> {
    let mut set = nix::sched::CpuSet::new();
    for &processor in processors {
        set.set(processor).with_context(|| format!("there is no processor `{processor}`"))?;
    }
    nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set)
        .with_context(|| format!("cannot stay on the processors {processors:?}"))
}

/// Placement is a refinement of a measurement, and only Linux offers it in this form.
#[cfg(not(target_os = "linux"))]
fn pin(_processors: &[usize]) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_survive_the_command_line() {
        let orders = Orders {
            parent: 42,
            death_signal: Signal::SIGQUIT,
            groups: vec!["/groups/cpu/cgroup.procs".into(), "/groups/cpuacct/cgroup.procs".into()],
            user: Some("postgres".to_owned()),
            processors: Some(vec![0, 1]),
            program: vec!["/bin/echo".into(), "--user".into(), "--".into()],
        };
        assert_eq!(Orders::parse(&orders.arguments()[1..]).unwrap(), orders);
    }

    #[test]
    fn a_missing_piece_is_named() {
        let parse = |text: &str| {
            let arguments: Vec<OsString> = text.split(' ').map(OsString::from).collect();
            Orders::parse(&arguments).unwrap_err().to_string()
        };
        assert_eq!(parse("--parent 1 --signal SIGINT"), "no program after `--`");
        assert_eq!(parse("--signal SIGINT -- /bin/true"), "`--parent` is missing");
        assert_eq!(parse("--speed 1 -- /bin/true"), "unknown option \"--speed\"");
    }
}
