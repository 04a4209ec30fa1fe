//! One supervised process: freezing, deafness, helpers, panics, placement.

use std::time::Duration;

use experiments::stack::{Launch, Process, Redis, RedisSettings, RunFolder, TimedOut};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{is_alive, open_folder, processes_in, run_folder};

fn shell(folder: &RunFolder, script: &str, stop_limit: Duration) -> Process {
    let launch = Launch {
        name: "shell".to_owned(),
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: vec![("GREETING".to_owned(), "hello".into())],
        unprivileged: true,
        stop_signal: Signal::SIGTERM,
        abandon_signal: Signal::SIGTERM,
        stop_limit,
        processors: Some(vec![0]),
        cpu_share: None,
    };
    Process::start(folder, launch).unwrap()
}

async fn said(process: &Process, text: &str) {
    let check = async || process.log_text().contains(text).then_some(()).ok_or_else(|| process.log_text());
    process.wait_ready(Duration::from_secs(10), check).await.unwrap();
}

#[tokio::test]
async fn the_environment_is_clean_and_the_placement_kept() {
    let runs = open_folder();
    let folder = run_folder(&runs);
    let process = shell(&folder, "env; grep Cpus_allowed_list /proc/self/status; id -u", Duration::from_secs(1));
    process.wait_end(Duration::from_secs(10)).await.unwrap();
    let text = process.log_text();
    let mut names: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    assert_eq!(names, ["GREETING", "PATH", "PWD"]);
    assert!(text.contains("Cpus_allowed_list:\t0\n"), "{text}");
    let user = folder.user().map_or(nix::unistd::geteuid().as_raw(), |user| user.uid.as_raw());
    assert_eq!(text.lines().last(), Some(user.to_string().as_str()));
}

#[tokio::test]
async fn a_deaf_process_is_killed_with_its_helpers() {
    let runs = open_folder();
    let script = "trap '' TERM; sleep 1000 & echo deaf; wait; sleep 1000";
    let process = shell(&run_folder(&runs), script, Duration::from_millis(200));
    said(&process, "deaf").await;
    assert_eq!(processes_in(runs.path()).len(), 2);
    process.stop().await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(processes_in(runs.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_frozen_process_ends_when_it_is_dropped() {
    let runs = open_folder();
    let process = shell(&run_folder(&runs), "echo frozen; sleep 1000", Duration::from_secs(1));
    said(&process, "frozen").await;
    let pid = process.pid();
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGSTOP).unwrap();
    drop(process);
    assert!(!is_alive(pid));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(processes_in(runs.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_process_that_never_gets_ready_shows_status_and_log() {
    let runs = open_folder();
    let process = shell(&run_folder(&runs), "echo thinking; sleep 1000", Duration::from_secs(1));
    said(&process, "thinking").await;
    let check = async || Err::<(), _>("it is thinking".to_owned());
    let error = process.wait_ready(Duration::from_millis(50), check).await.unwrap_err();
    assert!(error.downcast_ref::<TimedOut>().is_some());
    let text = format!("{error:#}");
    assert!(text.contains("ends with:\nthinking"), "{text}");
    assert!(text.ends_with("the start of `shell` took longer than 0.05 s; last status: it is thinking"), "{text}");
}

#[tokio::test]
async fn a_program_that_is_missing_is_named() {
    let runs = open_folder();
    let folder = run_folder(&runs);
    let launch = Launch { program: "/nowhere/program".into(), ..launch_of_nothing() };
    let process = Process::start(&folder, launch).unwrap();
    let error = process.wait_end(Duration::from_secs(10)).await.unwrap_err().to_string();
    assert!(error.contains("supervise: cannot run `/nowhere/program`"), "{error}");
    assert!(error.contains("No such file or directory"), "{error}");
}

fn launch_of_nothing() -> Launch {
    Launch {
        name: "nothing".to_owned(),
        program: "/bin/true".into(),
        arguments: Vec::new(),
        environment: Vec::new(),
        unprivileged: true,
        stop_signal: Signal::SIGTERM,
        abandon_signal: Signal::SIGKILL,
        stop_limit: Duration::from_secs(1),
        processors: None,
        cpu_share: None,
    }
}

#[test]
fn a_panic_leaves_no_process() {
    let runs = open_folder();
    let folder = run_folder(&runs);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let redis = Redis::start(&folder, &RedisSettings::default()).await.unwrap();
            panic!("{}", redis.pid());
        })
    }));
    let pid: u32 = outcome.unwrap_err().downcast_ref::<String>().unwrap().parse().unwrap();
    assert!(!is_alive(pid));
}
