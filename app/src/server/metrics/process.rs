//! What the kernel says about this process. Where there is no `/proc` there are no values, rather than wrong ones.

use std::fs;

/// The kernel reports processor time in ticks of this length to programs, whatever its own clock does.
const TICKS_PER_S: f64 = 100.0;

/// Processor time that was used so far, by all threads, in seconds.
pub(super) fn cpu_s() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the name of the program in brackets, and may contain spaces.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_S)
}

/// Memory that is resident, in bytes.
pub(super) fn memory_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024.0)
}

/// Files and sockets that are open.
pub(super) fn open_files() -> Option<f64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_values_are_those_of_a_small_living_process() {
        assert!((0.0..3600.0).contains(&cpu_s().unwrap()));
        assert!((1e6..1e9).contains(&memory_bytes().unwrap()));
        assert!((3.0..10_000.0).contains(&open_files().unwrap()));
    }
}
