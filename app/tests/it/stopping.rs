//! Stopping: whatever happens, no request is lost.

use std::io::{ErrorKind, Read};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::harness::{TestDatabase, client, read, variables};
use crate::operation::{serve, terminate};
use crate::wire::Wire;

/// SIGTERM and SIGINT let a request that is under way end, then the program ends with 0.
#[tokio::test]
async fn a_request_under_way_survives_the_stop() {
    for signal in ["-TERM", "-INT"] {
        let database = TestDatabase::tiny().await;
        let (mut running, address) = serve(&variables(&database));
        let mut blocker = database.pool.begin().await.unwrap();
        sqlx::raw_sql("LOCK TABLE posts IN ACCESS EXCLUSIVE MODE").execute(&mut *blocker).await.unwrap();
        let request = read(client().get(format!("{address}/posts/1")));
        let stop = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let process_id = running.0.id().to_string();
            assert!(Command::new("kill").args([signal, &process_id]).status().unwrap().success());
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert!(running.0.try_wait().unwrap().is_none(), "the server did not wait for the request");
            blocker.rollback().await.unwrap();
        };
        let (page, ()) = tokio::join!(request, stop);
        assert_eq!(page.status, 200);
        assert_eq!(running.0.wait().unwrap().code(), Some(0));
        let mut log = String::new();
        running.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        assert!(log.lines().all(|line| line.starts_with('{')), "the log has a line that is not JSON: {log}");
    }
}

/// What one client saw until nobody took its connections any more.
struct Seen {
    answers: usize,
    last_answers: usize,
}

/// Asks for pages on one connection after the other, for as long as there is somebody to ask. It never asks twice for the same page: an
/// error on a connection that was made is a request that was lost.
async fn ask_until_the_end(address: String, asked: Arc<AtomicUsize>) -> Seen {
    let mut seen = Seen { answers: 0, last_answers: 0 };
    loop {
        let mut wire = match Wire::connect(&address).await {
            Ok(wire) => wire,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return seen,
            Err(error) => panic!("cannot connect: {error}"),
        };
        loop {
            let path = ["/", "/posts/1", "/livez"][asked.fetch_add(1, Ordering::Relaxed) % 3];
            let answer = wire.get(path).await.unwrap_or_else(|error| panic!("a request for {path} was lost: {error}"));
            assert_eq!(answer.status, 200, "{path}: {}", answer.head);
            seen.answers += 1;
            if answer.is_last() {
                seen.last_answers += 1;
                break;
            }
        }
    }
}

/// SIGTERM under load, on connections that are kept: every request that was sent is answered, and the server goes soon.
#[tokio::test]
async fn no_request_is_lost() {
    let database = TestDatabase::tiny().await;
    let (mut running, address) = serve(&variables(&database));
    let asked = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        clients.spawn(ask_until_the_end(address.clone(), Arc::clone(&asked)));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    terminate(&running);
    let stopped = Instant::now();
    let seen = clients.join_all().await;
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    assert!(stopped.elapsed() < Duration::from_secs(5), "the server took {:?} to stop", stopped.elapsed());
    for seen in seen {
        assert!(seen.answers > 20 && seen.last_answers > 0, "{} answers, {} last", seen.answers, seen.last_answers);
    }
}

/// Between the signal and the end, readiness says so, everything is still answered, and each answer is the last on its connection. A
/// connection that lies idle does not hold the server.
#[tokio::test]
async fn the_pause_before_the_end() {
    let database = TestDatabase::tiny().await;
    let mut with = variables(&database);
    with.push(("APP_DRAIN_PAUSE_MS", "1500".to_owned()));
    let (mut running, address) = serve(&with);
    let mut kept = Wire::connect(&address).await.unwrap();
    assert!(!kept.get("/livez").await.unwrap().is_last());
    let _idle = Wire::connect(&address).await.unwrap();
    let started = Instant::now();
    terminate(&running);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut fresh = Wire::connect(&address).await.unwrap();
    let answer = fresh.get("/readyz").await.unwrap();
    assert_eq!((answer.status, answer.body.as_str(), answer.is_last()), (503, "stopping\n", true));
    let answer = kept.get("/posts/1").await.unwrap();
    assert_eq!((answer.status, answer.is_last()), (200, true));
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    let took = started.elapsed().as_secs_f64();
    let mut log = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!((1.4..5.0).contains(&took), "{took}: {log}");
    assert!(Wire::connect(&address).await.is_err());
}
