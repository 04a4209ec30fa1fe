//! Control groups: both versions against a tree of plain files, and the real ones where this machine lets us have some. Where it does
//! not, the same tests hold the refusal to its words.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use experiments::cgroup::{self, Tree, Used, Version};
use experiments::probe::component::{Component, Usage};
use experiments::probe::source::{self, Detail, Source};
use experiments::stack::{Launch, Process};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::support::{open_folder, run_folder};

/// No process has this number: Linux gives none above four million.
const NOBODY: u32 = 999_999_999;

/// A tree of version 1 as most machines have it: a folder for each controller.
fn first_version() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for controller in ["cpu", "cpuacct"] {
        fs::create_dir(root.path().join(controller)).unwrap();
        fs::write(root.path().join(controller).join("cgroup.procs"), "").unwrap();
    }
    root
}

fn second_version(controllers: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("cgroup.controllers"), controllers).unwrap();
    fs::write(root.path().join("cgroup.subtree_control"), "").unwrap();
    fs::write(root.path().join("cgroup.procs"), "").unwrap();
    root
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let folders = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn version_1_counts_in_one_hierarchy_and_limits_in_another() {
    let root = first_version();
    let tree = Tree::open(root.path(), "2:cpuacct:/\n1:cpu:/\n", 77).unwrap();
    assert_eq!((tree.version(), tree.limits()), (Version::V1, Ok(())));
    let plain = tree.group("redis", None).unwrap();
    let limited = tree.group("app-1", Some(0.25)).unwrap();
    assert_eq!(plain.entrances(), [root.path().join("cpuacct/loadbook-77/redis-0/cgroup.procs")]);
    let [counting, limiting] =
        ["cpuacct/loadbook-77/app-1-1", "cpu/loadbook-77.app-1-1"].map(|path| root.path().join(path));
    assert_eq!(limited.entrances(), [counting.join("cgroup.procs"), limiting.join("cgroup.procs")]);
    assert_eq!(
        (text(&limiting.join("cpu.cfs_period_us")), text(&limiting.join("cpu.cfs_quota_us"))),
        ("10000".into(), "2500".into())
    );

    fs::write(counting.join("cpuacct.usage"), "3000500\n").unwrap();
    fs::write(counting.join("cpuacct.stat"), "user 1\nsystem 2\n").unwrap();
    let used = |cpu_us, cpu_kernel_us| Used { cpu_us, cpu_kernel_us, memory_peak_bytes: None };
    assert_eq!(limited.used().unwrap(), used(3_000, 2_000), "the ticks divide what is exact");
    fs::write(counting.join("cpuacct.usage_user"), "30000000\n").unwrap();
    fs::write(counting.join("cpuacct.usage_sys"), "10000000\n").unwrap();
    assert_eq!(limited.used().unwrap(), used(3_000, 750), "where there are two files, they divide");
    limited.join(5).unwrap();
    assert_eq!(text(&counting.join("cgroup.procs")), "5");
    assert_eq!(tree.folder_of("2:cpuacct:/docker/x/loadbook-77/app-1-1\n"), Some(counting));
    assert_eq!(tree.folder_of("2:cpuacct:/loadbook-777/app-1-1\n"), None, "another run's");
}

#[test]
fn version_2_hands_the_controller_down_and_tells_the_peak() {
    let root = second_version("cpuset cpu memory\n");
    let tree = Tree::open(root.path(), "0::/\n", 77).unwrap();
    let plain = tree.group("redis", None).unwrap();
    assert_eq!(text(&root.path().join("cgroup.subtree_control")), "", "counting needs no controller");
    let limited = tree.group("app-1", Some(1.5)).unwrap();
    assert_eq!(text(&root.path().join("cgroup.subtree_control")), "+cpu");
    let folder = root.path().join("loadbook-77.app-1-1");
    assert_eq!(limited.entrances(), [folder.join("cgroup.procs")]);
    assert_eq!(text(&folder.join("cpu.max")), "15000 10000");

    fs::write(folder.join("cpu.stat"), "usage_usec 900\nuser_usec 500\nsystem_usec 400\n").unwrap();
    assert_eq!(limited.used().unwrap(), Used { cpu_us: 900, cpu_kernel_us: 400, memory_peak_bytes: None });
    fs::write(folder.join("memory.peak"), "4096\n").unwrap();
    assert_eq!(limited.used().unwrap().memory_peak_bytes, Some(4_096));
    let error = format!("{:#}", plain.used().unwrap_err());
    assert!(error.contains("cannot read `") && error.contains("redis-0/cpu.stat`"), "{error}");
}

#[test]
fn what_cannot_be_had_is_refused_with_the_reason() {
    let nothing = tempfile::tempdir().unwrap();
    let reason = Tree::open(nothing.path(), "", 77).unwrap_err().to_string();
    assert!(reason.starts_with("there are no cgroups at `"), "{reason}");
    // A root that takes no folder, whoever asks.
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("cpuacct")).unwrap();
    let reason = Tree::open(root.path(), "2:cpuacct:/user\n", 77).unwrap_err().to_string();
    assert!(
        reason.starts_with("cgroups are not writable: `") && reason.contains("cpuacct/user` (entity not found)"),
        "{reason}"
    );
    assert!(
        reason.ends_with("run as root, or use a delegated scope such as `systemd-run --user --scope -p Delegate=yes`")
    );

    let tree = Tree::open(second_version("memory\n").path(), "0::/\n", 77);
    let reason = tree.unwrap().group("app-1", Some(0.5)).unwrap_err().to_string();
    assert!(reason.contains("cannot be limited: they were not given the controller `cpu`"), "{reason}");
    let root = first_version();
    let small = Tree::open(root.path(), "", 77).unwrap().group("app-1", Some(0.01)).unwrap_err().to_string();
    assert_eq!(small, "`app-1` cannot be limited to 0.01 of a processor; the least is 0.1");
}

#[test]
fn what_a_dead_run_left_is_removed_and_nothing_else() {
    let root = first_version();
    let counting = root.path().join("cpuacct");
    let alive = std::process::id();
    let left = [format!("loadbook-{NOBODY}/app-1-0"), format!("loadbook-{NOBODY}.app-1-0")];
    let stays = [format!("loadbook-{alive}.app-1-0"), "loadbook-readers".to_owned(), NOBODY.to_string()];
    left.iter().chain(&stays).for_each(|name| fs::create_dir_all(counting.join(name)).unwrap());
    let tree = Tree::open(root.path(), "", 77).unwrap();
    let mut expected = stays.to_vec();
    expected.sort_unstable();
    assert_eq!(names(&counting), expected);

    // A group goes when it is dropped, and the last one takes the folder along.
    let (one, other) = (tree.group("redis", None).unwrap(), tree.group("redis", None).unwrap());
    drop(one);
    assert_eq!(names(&counting.join("loadbook-77")), ["redis-1"]);
    drop(other);
    assert_eq!(names(&counting), expected);
}

/// A child that uses all of the processor that it gets, and an idle child of its own.
struct Busy(Child);

impl Busy {
    fn start() -> Self {
        // A subshell now and then: some of its time is spent by processes that come and go.
        let script = "sleep 100 & while :; do i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; (:); done";
        Self(Command::new("sh").args(["-c", script]).process_group(0).stdout(Stdio::null()).spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// What `read` says while all of it stands still, so that the readings of two sources are of the same moment, whatever else the
    /// machine does between them.
    fn stopped<T>(&self, read: impl FnOnce() -> T) -> T {
        let group = Pid::from_raw(self.pid().cast_signed());
        killpg(group, Signal::SIGSTOP).unwrap();
        while !self.stands_still() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let said = read();
        killpg(group, Signal::SIGCONT).unwrap();
        said
    }

    /// A process that waits to be reaped stands still as well.
    fn stands_still(&self) -> bool {
        let mut own = procfs::process::all_processes().unwrap().filter_map(|process| process.ok()?.stat().ok());
        own.all(|stat| stat.pgrp != self.pid().cast_signed() || ['T', 'Z', 'X'].contains(&stat.state))
    }

    /// The idle one is the first.
    fn idle_child(&self) -> u32 {
        let children = text(Path::new(&format!("/proc/{0}/task/{0}/children", self.pid())));
        children.split_whitespace().next().unwrap().parse().unwrap()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.pid().cast_signed()), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// Says which kind of groups the rest of a test has met, or holds the refusal to its words.
fn real_tree() -> Option<&'static Tree> {
    match cgroup::of_this_machine() {
        Ok(tree) => {
            println!("this machine has {}", tree.version().name());
            Some(tree)
        }
        Err(reason) => {
            println!("this machine has none: {reason}");
            let reason = reason.to_string();
            assert!(
                reason.starts_with("cgroups are not writable: ") || reason.starts_with("there are no cgroups"),
                "{reason}"
            );
            assert_eq!(source::open().unwrap().name(), "proc");
            None
        }
    }
}

#[test]
fn a_group_and_the_processes_tell_the_same_of_a_busy_child() {
    let Some(tree) = real_tree() else { return };
    let group = tree.group("busy", None).unwrap();
    let busy = Busy::start();
    group.join(busy.pid()).unwrap();
    let component = [Component::new("busy", busy.pid())];
    let (mut groups, mut processes) = (source::open().unwrap(), source::of_processes().unwrap());
    assert_eq!((groups.name(), processes.name()), (tree.version().name(), "proc"));
    let read = |source: &mut dyn Source| source.read(&component, Detail::Cpu).unwrap()[0];
    let mut read_both = || busy.stopped(|| (read(groups.as_mut()), read(processes.as_mut())));
    let before = read_both();
    std::thread::sleep(Duration::from_secs(1));
    let after = read_both();
    let [by_group, by_processes] =
        [(before.0, after.0), (before.1, after.1)].map(|(before, after)| Usage::difference(&before, &after));
    println!("{by_group:?} by the group, {by_processes:?} by the processes");
    let ratio = by_group.cpu_us() as f64 / by_processes.cpu_us() as f64;
    assert!((0.95..1.05).contains(&ratio), "{by_group:?} and {by_processes:?}");
    assert!(by_group.cpu_us() > 100_000 && by_group.cpu_user_us > by_group.cpu_kernel_us, "{by_group:?}");

    // A process inside of a group is not the group.
    let inside = [Component::new("idle", busy.idle_child())];
    let idle = groups.read(&inside, Detail::Cpu).unwrap()[0];
    assert!(idle.cpu_us() < 50_000, "{idle:?}");
}

/// A shell of the stack that works, and has a helper.
fn launch(cpu_share: Option<f64>) -> Launch {
    Launch {
        name: "node".to_owned(),
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), "(sleep 100 &) ; echo at work; while :; do :; done".into()],
        environment: Vec::new(),
        unprivileged: true,
        stop_signal: Signal::SIGKILL,
        abandon_signal: Signal::SIGKILL,
        stop_limit: Duration::from_secs(1),
        processors: Some(vec![0]),
        cpu_share,
    }
}

#[tokio::test]
async fn a_virtual_node_gets_its_share_of_a_processor_and_no_more() {
    let runs = open_folder();
    let folder = run_folder(&runs);
    if let Err(reason) = cgroup::limits_available() {
        real_tree();
        let error = format!("{:#}", Process::start(&folder, launch(Some(0.3))).unwrap_err());
        assert_eq!(error, format!("cannot limit `node` to 0.3 of a processor: {reason}"));
        return;
    }
    let process = Process::start(&folder, launch(Some(0.3))).unwrap();
    let at_work = async || process.log_text().contains("at work").then_some(()).ok_or_else(|| "idle".to_owned());
    process.wait_ready(Duration::from_secs(10), at_work).await.unwrap();
    let component = [Component::new("node", process.pid())];
    let mut source = source::open().unwrap();
    let mut used_shares = Vec::new();
    // Where the host or other tests have the processor, a second may pass in which it does not get its share; it never gets more.
    while used_shares.len() < 15 && !used_shares.last().is_some_and(|used_share| *used_share >= 0.25) {
        let (started, before) = (Instant::now(), source.read(&component, Detail::Cpu).unwrap()[0]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let after = source.read(&component, Detail::Cpu).unwrap()[0];
        used_shares.push(Usage::difference(&before, &after).cpu_us() as f64 / started.elapsed().as_micros() as f64);
    }
    println!("it used {used_shares:.3?} of a processor");
    assert!(used_shares.iter().all(|used_share| *used_share < 0.35), "{used_shares:?}");
    assert!(used_shares.last().is_some_and(|used_share| *used_share >= 0.25), "{used_shares:?}");

    let text = fs::read_to_string(format!("/proc/{}/cgroup", process.pid())).unwrap();
    let group = real_tree().unwrap().folder_of(&text).expect("a process of the stack has a group");
    process.stop().await.unwrap();
    drop(process);
    assert!(!group.exists(), "`{}` is still there", group.display());
}
