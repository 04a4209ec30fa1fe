//! On which processors a component runs: the one thing of a component that the probe sets instead of reads, because it knows how
//! to find all of its processes and threads.

use anyhow::Result;

/// Moves a process with all its descendants and all their threads to `processors`; what they start later inherits that. A thread
/// that ends meanwhile is no error.
///
/// # Errors
/// When the system does not list processes, or refuses the processors.
#[cfg(target_os = "linux")]
pub fn place(root: u32, processors: &[usize]) -> Result<()> {
    use anyhow::Context;
    use nix::{
        sched::{CpuSet, sched_setaffinity},
        unistd::Pid,
    };
    let mut set = CpuSet::new();
    for &processor in processors {
        set.set(processor).with_context(|| format!("there is no processor {processor}"))?;
    }
    let processes: Vec<_> =
        procfs::process::all_processes()?.filter_map(Result::ok).filter_map(|process| process.stat().ok()).collect();
    let mut members = vec![i32::try_from(root)?];
    let mut next = 0;
    while let Some(&parent) = members.get(next) {
        members.extend(processes.iter().filter(|stat| stat.ppid == parent).map(|stat| stat.pid));
        next += 1;
    }
    for member in members {
        let Ok(threads) = procfs::process::Process::new(member).and_then(|process| process.tasks()) else { continue };
        for thread in threads.filter_map(Result::ok) {
            match sched_setaffinity(Pid::from_raw(thread.tid), &set) {
                Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
                Err(error) => return Err(error).with_context(|| format!("cannot move the thread {}", thread.tid)),
            }
        }
    }
    Ok(())
}

/// Other systems decide by themselves.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn place(_root: u32, _processors: &[usize]) -> Result<()> {
    anyhow::bail!("processes can be moved to processors on Linux only")
}
