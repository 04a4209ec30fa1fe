//! What is particular to control groups of version 1: a hierarchy for each controller, CPU time in nanoseconds.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::group::{PERIOD_US, Used, number, write};

/// The path of a process's group, out of its `/proc/<pid>/cgroup`.
pub(super) fn path_of<'a>(text: &'a str, controller: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then_some(path)
    })
}

/// The sum is exact. Its parts are counted in clock ticks, so they only say how to divide it.
pub(super) fn used(folder: &Path) -> Result<Used> {
    let cpu_us = number(&folder.join("cpuacct.usage"))? / 1_000;
    let (user, kernel) = parts(folder)?;
    let kernel_share = if user + kernel == 0 { 0.0 } else { kernel as f64 / (user + kernel) as f64 };
    let cpu_kernel_us = (cpu_us as f64 * kernel_share).round() as u64;
    Ok(Used { cpu_us, cpu_kernel_us, memory_peak_bytes: None })
}

/// CPU time in user mode and in the kernel. Only their ratio counts: the older file has another unit.
fn parts(folder: &Path) -> Result<(u64, u64)> {
    let newer = (folder.join("cpuacct.usage_user"), folder.join("cpuacct.usage_sys"));
    if newer.0.exists() {
        return Ok((number(&newer.0)?, number(&newer.1)?));
    }
    let path = folder.join("cpuacct.stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    field("user ").zip(field("system ")).with_context(|| format!("`{}` does not tell both parts", path.display()))
}

/// The period goes first: a quota is refused that is not possible with it.
pub(super) fn limit(folder: &Path, quota_us: u64) -> Result<()> {
    write(&folder.join("cpu.cfs_period_us"), &PERIOD_US.to_string())?;
    write(&folder.join("cpu.cfs_quota_us"), &quota_us.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_belongs_to_the_controller() {
        let text = "9:name=systemd:/user\n4:cpu,cpuacct:/docker/a:b\n3:cpuset:/\n0::/unified\n";
        assert_eq!(path_of(text, "cpuacct"), Some("/docker/a:b"));
        assert_eq!(path_of(text, "cpu"), Some("/docker/a:b"));
        assert_eq!(path_of(text, "memory"), None);
    }
}
