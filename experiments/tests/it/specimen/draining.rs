//! A server is told to stop while it is busy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::site::{Account, Setup, Site, client};
use super::size;
use super::traffic::{Traffic, between, others};

const STOP_LIMIT: Duration = Duration::from_secs(25);

fn everything(number: u64) -> String {
    match number % 4 {
        0 => "/".to_owned(),
        1 => format!("/?before={}.1", 1_800_000_000_000_000 + number),
        rest => format!("/posts/{}", 1 + (number + rest) % 100),
    }
}

async fn told_to_stop(site: &Site, server: usize) {
    let app = &site.stack.apps[server];
    kill(Pid::from_raw(app.pid().cast_signed()), Signal::SIGTERM).unwrap();
    let deadline = Instant::now() + STOP_LIMIT;
    while app.is_running() {
        assert!(Instant::now() < deadline, "`{}` does not stop:\n{}", app.name(), app.process().log_tail());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Behind the balancer nobody notices: readers and writers are served by the other server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_behind_the_balancer_notices_that_a_server_stops() {
    let site = Site::start(&Setup::default()).await;
    let account = Account::make(&site, "writer").await;
    let traffic = Traffic::start(&site.url(), size(16, 64), everything);
    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move {
            let mut written = 0;
            while !stop.load(Ordering::Relaxed) {
                let page = account.comment(1, &format!("While servers stop, {written}."), None).await.unwrap();
                assert_eq!(page.status, 303, "{}", page.body);
                written += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            written
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    told_to_stop(&site, 0).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let end = Instant::now();
    stop.store(true, Ordering::Relaxed);
    let (seen, written) = (traffic.stop().await, writing.await.unwrap());
    let failed = others(&between(&seen, start, end), &[200]);
    assert!(failed.is_empty(), "{} of {} requests failed, such as {:?}", failed.len(), seen.len(), failed[0]);
    println!("{} pages and {written} comments while a server stopped", seen.len());
    assert!(written > 20);
}

/// Directly, every request that the server took is answered; whoever comes later finds nobody, and knows that nothing was done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_answers_what_it_took_before_it_stops() {
    let site = Site::start(&Setup::default()).await;
    let url = site.stack.apps[0].url();
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = tokio::task::JoinSet::new();
    for reader in 0..size(16, 64) {
        let (url, stop, client) = (url.clone(), Arc::clone(&stop), client());
        readers.spawn(async move {
            let mut answered = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let path = everything(reader * 100_000 + answered);
                match client.get(format!("{url}{path}")).send().await {
                    Ok(response) => {
                        assert_eq!(response.status(), 200, "{path}");
                        response.bytes().await.expect("a body that was begun is finished");
                        answered += 1;
                    }
                    Err(error) => {
                        assert!(error.is_connect(), "a request that was taken was not answered: {error:?}");
                        return answered;
                    }
                }
            }
            answered
        });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    told_to_stop(&site, 0).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    stop.store(true, Ordering::Relaxed);
    let answered: u64 = readers.join_all().await.into_iter().sum();
    assert!(answered > 100, "only {answered} requests were answered");
}
