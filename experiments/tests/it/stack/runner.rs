//! The whole runner, ended in every way that a user has.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{open_folder, processes_in};

/// Starts `experiments stack up` in a folder and waits until it is ready.
fn stack_up(folder: &Path) -> Child {
    // By this file the program knows a checkout.
    fs::create_dir_all(folder.join("report-src")).unwrap();
    fs::write(folder.join("report-src/main.typ.j2"), "").unwrap();
    let mut runner = Command::new(env!("CARGO_BIN_EXE_experiments"))
        .args(["stack", "up"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(runner.stdout.take().unwrap()).lines();
    let ready = lines.by_ref().map(Result::unwrap).any(|line| line.starts_with("ready"));
    assert!(ready, "the runner ended: {:?}", runner.wait());
    // PostgreSQL with its helpers, and Redis; the runner itself is in the folder too.
    assert!(processes_in(folder).len() > 5);
    runner
}

fn end_with(runner: &mut Child, signal: Signal) -> ExitStatus {
    kill(Pid::from_raw(runner.id().cast_signed()), signal).unwrap();
    runner.wait().unwrap()
}

/// Nobody is left after a moment.
fn assert_empty(folder: &Path) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !processes_in(folder).is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(processes_in(folder), Vec::<String>::new());
}

fn run_folders(folder: &Path) -> usize {
    let entries = fs::read_dir(folder.join(".run")).unwrap().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("run-")).count()
}

#[test]
fn ctrl_c_and_sigterm_stop_everything_in_order() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let folder = open_folder();
        let mut runner = stack_up(folder.path());
        let status = end_with(&mut runner, signal);
        assert!(status.success(), "{signal}: {status}");
        assert_eq!(processes_in(folder.path()), Vec::<String>::new());
        assert_eq!(run_folders(folder.path()), 0);
    }
}

#[test]
fn a_killed_runner_leaves_no_process_and_the_next_one_tidies_up() {
    let folder = open_folder();
    let mut runner = stack_up(folder.path());
    end_with(&mut runner, Signal::SIGKILL);
    assert_empty(folder.path());
    assert_eq!(run_folders(folder.path()), 1);

    let mut next = stack_up(folder.path());
    assert_eq!(run_folders(folder.path()), 1);
    assert!(end_with(&mut next, Signal::SIGINT).success());
    assert_eq!(run_folders(folder.path()), 0);
}

#[test]
fn a_dead_service_ends_the_runner_with_a_message() {
    let folder = open_folder();
    let runner = stack_up(folder.path());
    let redis = processes_in(folder.path()).into_iter().find(|process| process.ends_with("redis-server"));
    let pid: i32 = redis.unwrap().split_once(' ').unwrap().0.parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let output = runner.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert_empty(folder.path());
}

#[test]
fn two_runners_do_not_disturb_each_other() {
    let folder = open_folder();
    let (mut first, mut second) = (stack_up(folder.path()), stack_up(folder.path()));
    assert_eq!(run_folders(folder.path()), 2);
    assert!(end_with(&mut first, Signal::SIGINT).success());
    assert!(processes_in(folder.path()).len() > 5);
    assert!(end_with(&mut second, Signal::SIGINT).success());
    assert_eq!(processes_in(folder.path()), Vec::<String>::new());
}
