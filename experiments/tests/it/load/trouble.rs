//! What becomes of a trial when the server, the machine or the specification is not what it should be: one clear message, or a result
//! that says why it must be doubted.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use experiments::load::event::Event;

use super::server::{Reply, Server};
use super::{phase, run, runner, spec};

#[tokio::test]
async fn a_server_that_says_nothing_ends_the_trial_with_a_clear_error() {
    let server = Server::start(|_| Reply { wait: Duration::from_secs(60), ..Reply::ok("") }).await;
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(&server.url(), folder.path(), vec![phase("open", 30.0, Some(20.0))]);
    spec.timeout_s = 60;
    let started = Instant::now();
    let message = format!("{:#}", runner().run(&spec, async |_| {}).await.unwrap_err());
    assert!(message.contains("accepted requests but answered none"), "{message}");
    assert!(started.elapsed() < Duration::from_secs(20), "it does not wait for the end of its phases");
    assert!(!spec.output.exists());
}

#[tokio::test]
async fn a_server_that_hangs_up_is_told_apart_from_one_that_refuses() {
    let server = Server::start(|request| Reply { breaks_off: request.number % 2 == 1, ..Reply::ok("half") }).await;
    let folder = tempfile::tempdir().unwrap();
    let result = run(&spec(&server.url(), folder.path(), vec![phase("open", 0.5, Some(100.0))])).await;
    assert_eq!((result.phases[0].failed_count, result.phases[0].expected_count), (25, 25));
    assert_eq!(result.warnings[0], "phase `open`: 25 of 50 requests got no answer");
}

#[tokio::test]
async fn a_rate_that_cannot_be_sent_is_said_to_be_the_generators_fault() {
    let server = Server::start(|_| Reply::ok("x")).await;
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(&server.url(), folder.path(), vec![phase("open", 0.5, Some(200_000.0))]);
    spec.drain_limit_s = 0;
    let result = run(&spec).await;
    let phase = &result.phases[0];
    assert_eq!(phase.offered_count, 100_000, "what is late is not dropped from the plan");
    assert_eq!(phase.sent_count + phase.unsent_count, phase.offered_count);
    assert!(phase.unsent_count > 0);
    let said = result.warnings.join("\n");
    assert!(said.contains("were never sent") && said.contains("the generator was late"), "{said}");
}

#[tokio::test]
async fn too_few_files_are_named_before_anything_is_sent() {
    let server = Server::start(|_| Reply::ok("x")).await;
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(&server.url(), folder.path(), vec![phase("open", 0.5, Some(10.0))]);
    spec.users = 100;
    let mut runner = runner();
    runner.prefix = ["sh", "-c", "ulimit -n 80; exec \"$@\"", "sh"].map(OsString::from).into();
    let message = format!("{:#}", runner.run(&spec, async |_| {}).await.unwrap_err());
    assert!(message.contains("`users` is 100 for 1 targets") && message.contains("ulimit -n 132"), "{message}");
    assert_eq!(server.count(), 0);
    // Enough to raise the limit by itself.
    runner.prefix[2] = "ulimit -Sn 80; ulimit -Hn 200; exec \"$@\"".into();
    assert_eq!(runner.run(&spec, async |_| {}).await.unwrap().result.phases[0].expected_count, 5);
}

#[tokio::test]
async fn a_trial_that_is_killed_leaves_no_result_and_says_so() {
    let server = Server::start(|_| Reply::ok("x")).await;
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(&server.url(), folder.path(), vec![phase("open", 30.0, Some(50.0))]);
    let mut runner = runner();
    // The shell stays the parent, so that its child can be ended without knowing its number.
    let words = "\"$@\" & child=$!; sleep 1; kill -9 $child; wait $child";
    runner.prefix = ["sh", "-c", words, "sh"].map(OsString::from).into();
    let mut events = Vec::new();
    let message = format!("{:#}", runner.run(&spec, async |event| events.push(event)).await.unwrap_err());
    assert!(message.contains("the trial failed (exit status: 137)"), "{message}");
    assert!(events.contains(&Event::Measuring { phase: "open".to_owned() }) && !events.contains(&Event::Measured));
    assert!(!spec.output.exists());
}
