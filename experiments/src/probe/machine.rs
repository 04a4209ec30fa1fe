//! The machine that a result was measured on, for the provenance of that result: what it is, how its processors and its kernel are set,
//! what a process may have. A fact that the system does not tell is not left out: the reason stands in its place. Nothing that identifies
//! a person or a host is read.

use std::collections::BTreeMap;
use std::path::Path;

/// A fact, or in words why it is not known.
pub type Fact = Result<String, String>;

/// Facts under their names; the unit is the last part of a name.
pub type Facts = BTreeMap<&'static str, Fact>;

/// Reads the machine. `data` is the folder in which the databases will be; only the kind of its file system is looked at.
#[must_use]
pub fn read(data: &Path) -> Facts {
    let mut facts = portable();
    facts.extend(of_system(data));
    facts
}

/// What every Unix tells.
fn portable() -> Facts {
    use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
    let limit = |resource| match getrlimit(resource) {
        Ok((soft, hard)) => {
            let words = |limit: u64| if limit == RLIM_INFINITY { "unlimited".to_owned() } else { limit.to_string() };
            (Ok(words(soft)), Ok(words(hard)))
        }
        Err(error) => (Err(error.to_string()), Err(error.to_string())),
    };
    let (open_files, most_open_files) = limit(Resource::RLIMIT_NOFILE);
    Facts::from([
        ("system", Ok(std::env::consts::OS.to_owned())),
        ("architecture", Ok(std::env::consts::ARCH.to_owned())),
        ("cpu_count", std::thread::available_parallelism().map(|n| n.to_string()).map_err(|error| error.to_string())),
        ("open_files_limit", open_files),
        ("open_files_hard_limit", most_open_files),
        ("processes_limit", limit(Resource::RLIMIT_NPROC).0),
    ])
}

#[cfg(not(target_os = "linux"))]
fn of_system(_: &Path) -> Facts {
    let why = "it is read from `/proc` and `/sys`, which this system does not have";
    [
        "aslr",
        "cgroup_version",
        "clock_source",
        "cpu_accounting",
        "cpu_model",
        "data_file_system",
        "distribution",
        "governor",
        "kernel",
        "memory_bytes",
        "smt",
        "steal_share",
        "swap_bytes",
        "threads_per_core",
        "transparent_huge_pages",
        "turbo",
        "virtualisation",
    ]
    .map(|name| (name, Err(why.to_owned())))
    .into()
}

#[cfg(target_os = "linux")]
fn of_system(data: &Path) -> Facts {
    let mut facts = linux::processors();
    facts.extend(linux::memory());
    facts.extend(linux::kernel());
    facts.insert("data_file_system", linux::file_system(data));
    facts.insert("cpu_accounting", super::source::open().map(|source| source.name().to_owned()).map_err(words));
    let steal_share =
        super::noise::read().map_err(words).map(|noise| noise.steal_share().map(|share| share.to_string()));
    facts.insert("steal_share", steal_share.and_then(|share| share.ok_or("the kernel does not count it".to_owned())));
    facts
}

#[cfg(target_os = "linux")]
fn words(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}

#[cfg(target_os = "linux")]
mod linux {
    use std::path::Path;

    use procfs::prelude::*;

    use super::{Fact, Facts, words};

    /// What the processors are, and what sets their pace.
    pub(super) fn processors() -> Facts {
        let processors = procfs::CpuInfo::current().map_err(words);
        let model = processors.as_ref().map_err(Clone::clone).and_then(|found| {
            found.model_name(0).map(str::to_owned).ok_or("`/proc/cpuinfo` has no `model name`".to_owned())
        });
        let flags = processors.as_ref().ok().and_then(|found| found.get_field(0, "flags"));
        Facts::from([
            ("cpu_model", model),
            ("threads_per_core", threads_per_core()),
            ("smt", line("/sys/devices/system/cpu/smt/control").map(|word| smt(&word))),
            ("governor", line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").map_err(as_in_virtual_machines)),
            ("turbo", turbo()),
            ("virtualisation", virtualisation(flags)),
        ])
    }

    pub(super) fn memory() -> Facts {
        let memory = procfs::Meminfo::current().map_err(words);
        let of =
            |part: fn(&procfs::Meminfo) -> u64| memory.as_ref().map(|all| part(all).to_string()).map_err(Clone::clone);
        let pages = line("/sys/kernel/mm/transparent_hugepage/enabled");
        Facts::from([
            ("memory_bytes", of(|memory| memory.mem_total)),
            ("swap_bytes", of(|memory| memory.swap_total)),
            ("transparent_huge_pages", pages.and_then(|text| chosen(&text))),
        ])
    }

    pub(super) fn kernel() -> Facts {
        Facts::from([
            ("aslr", line("/proc/sys/kernel/randomize_va_space").map(|level| aslr(&level))),
            ("cgroup_version", Ok(cgroup_version().to_owned())),
            ("clock_source", line("/sys/devices/system/clocksource/clocksource0/current_clocksource")),
            ("distribution", distribution()),
            ("kernel", line("/proc/sys/kernel/osrelease")),
        ])
    }

    /// The kind of the file system below which the nearest existing folder of `path` is mounted.
    pub(super) fn file_system(path: &Path) -> Fact {
        let path = path.ancestors().find_map(|folder| folder.canonicalize().ok()).ok_or("there is no such folder")?;
        let mounts = procfs::process::Process::myself().and_then(|process| process.mountinfo()).map_err(words)?;
        let above = mounts.into_iter().filter(|mount| path.starts_with(&mount.mount_point));
        // Of two mounts at one place the later one is seen.
        let nearest = above.max_by_key(|mount| mount.mount_point.components().count());
        nearest.map(|mount| mount.fs_type).ok_or("`/proc/self/mountinfo` has no mount for it".to_owned())
    }

    /// The first line of a file of the kernel, or why there is none.
    fn line(path: &str) -> Fact {
        let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => format!("`{path}` does not exist"),
            _ => format!("`{path}` cannot be read: {error}"),
        })?;
        let line = text.lines().next().unwrap_or_default().trim();
        if line.is_empty() { Err(format!("`{path}` is empty")) } else { Ok(line.to_owned()) }
    }

    fn as_in_virtual_machines(why: String) -> String {
        format!("{why}, as in most virtual machines: the host sets the pace")
    }

    /// The choice in a text such as `always [madvise] never`.
    fn chosen(text: &str) -> Fact {
        let choice = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
        choice.map(|(choice, _)| choice.to_owned()).ok_or_else(|| format!("`{text}` names no choice"))
    }

    fn threads_per_core() -> Fact {
        let siblings = line("/sys/devices/system/cpu/cpu0/topology/thread_siblings")?;
        let masks = siblings.split(',').map(|mask| u32::from_str_radix(mask, 16).map(u32::count_ones));
        let count: u32 = masks.sum::<Result<_, _>>().map_err(|_| format!("`{siblings}` is no set of processors"))?;
        Ok(count.to_string())
    }

    fn smt(word: &str) -> String {
        match word {
            "notsupported" => "off: the processor has one thread a core",
            "notimplemented" => "the kernel does not control it on this architecture",
            "forceoff" => "off, for good",
            other => other,
        }
        .to_owned()
    }

    /// Each driver has a switch of its own, and one of them says the opposite.
    fn turbo() -> Fact {
        const SWITCHES: [(&str, &str); 2] =
            [("/sys/devices/system/cpu/intel_pstate/no_turbo", "0"), ("/sys/devices/system/cpu/cpufreq/boost", "1")];
        for (path, on) in SWITCHES {
            if let Ok(value) = line(path) {
                return Ok(if value == on { "on" } else { "off" }.to_owned());
            }
        }
        let paths = SWITCHES.map(|(path, _)| format!("`{path}`")).join(" nor ");
        Err(as_in_virtual_machines(format!("neither {paths} exists")))
    }

    fn virtualisation(flags: Option<&str>) -> Fact {
        let flags = flags.ok_or("`/proc/cpuinfo` has no `flags`, which would tell")?;
        if !flags.split_whitespace().any(|flag| flag == "hypervisor") {
            return Ok("none".to_owned());
        }
        let product = [line("/sys/class/dmi/id/sys_vendor"), line("/sys/class/dmi/id/product_name")];
        let named = product.into_iter().flatten().collect::<Vec<_>>().join(" ");
        Ok(if named.is_empty() { "virtual machine".to_owned() } else { format!("virtual machine ({named})") })
    }

    fn aslr(level: &str) -> String {
        match level {
            "0" => "off",
            "1" => "on, but not for the heap",
            "2" => "on",
            other => return format!("level {other}"),
        }
        .to_owned()
    }

    /// What is mounted, whatever this user may do with it.
    fn cgroup_version() -> &'static str {
        let root = Path::new("/sys/fs/cgroup");
        match () {
            () if root.join("cgroup.controllers").exists() => "2",
            () if root.join("unified/cgroup.procs").exists() => "1, with an empty tree of version 2 beside it",
            () if root.join("cpuacct").exists() || root.join("cpu").exists() => "1",
            () => "none is mounted",
        }
    }

    fn distribution() -> Fact {
        let path = ["/etc/os-release", "/usr/lib/os-release"].into_iter().find(|path| Path::new(path).exists());
        let text = std::fs::read_to_string(path.ok_or("`/etc/os-release` does not exist")?).map_err(words)?;
        let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
        name.map(|name| name.trim_matches('"').to_owned()).ok_or("`/etc/os-release` has no `PRETTY_NAME`".to_owned())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_fact_that_is_missing_says_why() {
            assert_eq!(line("/proc/no/such/file"), Err("`/proc/no/such/file` does not exist".to_owned()));
            assert_eq!(chosen("always [madvise] never"), Ok("madvise".to_owned()));
            assert_eq!(chosen("always"), Err("`always` names no choice".to_owned()));
            assert_eq!(virtualisation(Some("fpu sse2")), Ok("none".to_owned()));
            assert!(virtualisation(Some("fpu hypervisor")).unwrap().starts_with("virtual machine"));
            assert!(virtualisation(None).is_err());
        }

        #[test]
        fn the_nearest_mount_decides() {
            assert_eq!(file_system(Path::new("/proc/self/nowhere")), Ok("proc".to_owned()));
            assert!(file_system(Path::new("/")).is_ok());
        }
    }
}
