//! The load generator against a real server in the test's own process, and the pure parts by properties.

mod pure;
mod server;
mod trouble;
mod validation;

use std::path::Path;
use std::time::Duration;

use experiments::load::event::Event;
use experiments::load::recorder::{FailureKind, SparseHistogram};
use experiments::load::result::{ResultCell, TrialResult};
use experiments::load::run::Runner;
use experiments::load::spec::{
    Arrivals, Cookies, Endpoint, Expect, Ids, Method, Phase, SPEC_VERSION, Target, TrialSpec,
};

use server::{Reply, Server};

fn runner() -> Runner {
    Runner { binary: env!("CARGO_BIN_EXE_experiments").into(), ..Runner::default() }
}

fn endpoint(name: &str, path: &str) -> Endpoint {
    Endpoint {
        name: name.to_owned(),
        weight: 1,
        method: Method::Get,
        path: path.to_owned(),
        ids: None,
        form: std::collections::BTreeMap::new(),
        headers: std::collections::BTreeMap::new(),
        expect: Expect::default(),
    }
}

fn phase(name: &str, duration_s: f64, rate_per_s: Option<f64>) -> Phase {
    Phase::new(name, duration_s, rate_per_s)
}

fn spec(base_url: &str, folder: &Path, phases: Vec<Phase>) -> TrialSpec {
    TrialSpec {
        version: SPEC_VERSION,
        targets: vec![Target::new(base_url)],
        seed: 7,
        users: 32,
        worker: Default::default(),
        arrivals: Default::default(),
        cookies: Cookies::None,
        requests_per_session: None,
        timeout_s: 5,
        drain_limit_s: 5,
        cpu_list: Vec::new(),
        phases,
        mix: vec![endpoint("ok", "/ok")],
        session_start: None,
        output: folder.join("result.json"),
    }
}

async fn run(spec: &TrialSpec) -> TrialResult {
    runner().run(spec, async |_| {}).await.expect("the trial runs").result
}

fn latency(result: &TrialResult) -> SparseHistogram {
    result.merged(|cell| &cell.latency_us, |_| true)
}

fn count(result: &TrialResult, keep: impl Fn(&ResultCell) -> bool) -> u64 {
    result.cells.iter().filter(|cell| keep(cell)).map(|cell| cell.count).sum()
}

#[tokio::test]
async fn open_loop_sends_every_ticket_and_tells_where_it_is() {
    let server = Server::start(|_| Reply::ok("hello")).await;
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(
        &server.url(),
        folder.path(),
        vec![phase("warm-up", 0.3, Some(100.0)), phase("steady", 1.0, Some(500.0)), phase("surge", 0.5, Some(1000.0))],
    );
    spec.phases[0].measured = false;
    let mut events = Vec::new();
    let result = runner().run(&spec, async |event| events.push(event)).await.unwrap().result;
    let named = |name: &str| Event::Phase { name: name.to_owned() };
    let measuring = Event::Measuring { phase: "steady".to_owned() };
    assert_eq!(events, [named("warm-up"), named("steady"), measuring, named("surge"), Event::Measured]);
    let counts: Vec<u64> = result.phases.iter().map(|phase| phase.expected_count).collect();
    assert_eq!(counts, [30, 500, 500], "{:?}", result.phases);
    assert_eq!(server.count(), 1030);
    assert_eq!(latency(&result).count(), 1000, "the warm-up is not in the measured cells");
    assert_eq!(count(&result, |cell| cell.second < 0), 30);
    assert_eq!(count(&result, |cell| cell.second == 0), 500);
    assert_eq!(result.phases[1].body_bytes, 500 * 5);
    assert_eq!(result.window_us, 1_500_000);
    assert!(result.generator.cpu_user_us + result.generator.cpu_kernel_us > 0);
}

#[tokio::test]
async fn slices_ask_several_sites_for_the_same_and_pause_in_between() {
    let servers = [Server::start(|_| Reply::ok("one")).await, Server::start(|_| Reply::ok("other")).await];
    let folder = tempfile::tempdir().unwrap();
    let slices = [("a 1", 0, 1), ("b 1", 1, 1), ("b 2", 1, 2), ("a 2", 0, 2)];
    let phases = slices.map(|(name, target, draws)| Phase {
        target,
        draws: Some(draws),
        pause_s: 0.1,
        lead_s: if target == 0 { 0.0 } else { 0.05 },
        ..phase(name, 0.2, Some(200.0))
    });
    let mut spec = spec("", folder.path(), phases.into());
    spec.targets = servers.iter().map(|server| Target::new(server.url())).collect();
    spec.targets[1].headers = [("ok".to_owned(), [("Authorization".to_owned(), "Bearer b".to_owned())].into())].into();
    spec.arrivals = Arrivals::Poisson;
    spec.mix[0].path = "/{id}?n={n}".to_owned();
    spec.mix[0].ids = Some(Ids::Uniform { count: 1000 });
    let result = run(&spec).await;
    let [mut first, mut second] = [servers[0].paths(), servers[1].paths()];
    first.sort();
    second.sort();
    assert!(!first.is_empty());
    assert_eq!(first, second, "slices with the same draws ask for the same");
    let starts: Vec<f64> = result.phases.iter().map(|phase| (phase.start_s * 10.0).round() / 10.0).collect();
    assert_eq!(starts, [0.0, 0.3, 0.6, 0.9]);
    let due = result.tenths.keys().copied().collect::<Vec<_>>();
    assert!([2, 5, 8].iter().all(|pause| !due.contains(pause)), "nothing is due in a pause: {due:?}");
    for (site, own) in [('a', [0, 1, 9, 10]), ('b', [3, 4, 6, 7])] {
        let means_us = own.map(|tenth| result.tenths[&tenth].service_us as f64 / result.tenths[&tenth].count as f64);
        assert_eq!(result.tenth_means_us(|phase| phase.name.starts_with(site)), means_us, "those of {site}");
    }
    let part = result.part(|name| name.starts_with('b').then(|| "all of b".to_owned()));
    assert_eq!(part.phases.len(), 1);
    assert_eq!(part.phases[0].expected_count, second.len() as u64);
    let timed = latency(&part).count();
    assert!((1..second.len() as u64).contains(&timed), "the lead is not timed: {timed} of {}", second.len());
    assert_eq!(part.cells.iter().map(|cell| cell.count).sum::<u64>(), second.len() as u64);
    let whole = result.part(|name| name.starts_with('a').then(|| "all of a".to_owned()));
    assert_eq!(latency(&whole).count(), first.len() as u64, "without a lead all are timed");
    assert_eq!((part.phases[0].duration_s, part.spec.phases[0].duration_s, part.window_us), (0.4, 0.4, 400_000));
    assert_eq!(part.phases[0].body_bytes, 5 * second.len() as u64);
    assert!(
        part.generator.cpu_user_us.abs_diff(result.generator.cpu_user_us / 2) <= 1,
        "half of the time is half of the cost"
    );
}

#[tokio::test]
async fn open_loop_sees_a_stall_that_the_closed_loop_hides() {
    let stall = |elapsed: Duration| Duration::from_millis(1300).saturating_sub(elapsed).min(Duration::from_millis(300));
    let stalling = move |request: &server::Request| {
        let frozen = request.elapsed >= Duration::from_secs(1);
        Reply { wait: if frozen { stall(request.elapsed) } else { Duration::ZERO }, ..Reply::ok("x") }
    };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(stalling).await;
    let open = run(&spec(&server.url(), folder.path(), vec![phase("open", 2.0, Some(500.0))])).await;
    assert_eq!(latency(&open).count(), 1000, "late requests are sent all the same");
    let p99_us = latency(&open).quantile_us(0.99).unwrap();
    assert!((250_000..400_000).contains(&p99_us), "the p99 of the open loop is {p99_us} µs");

    let server = Server::start(stalling).await;
    let mut closed_spec = spec(&server.url(), folder.path(), vec![phase("closed", 2.0, None)]);
    closed_spec.users = 8;
    let closed = run(&closed_spec).await;
    let slow_count: u64 =
        latency(&closed).iter().filter(|(bucket_us, _)| *bucket_us > 200_000).map(|(_, count)| count).sum();
    assert!((1..=8).contains(&slow_count), "{slow_count} slow requests in the closed loop");
    assert!(latency(&closed).quantile_us(0.99).unwrap() < 100_000);
}

#[tokio::test]
async fn the_same_seed_asks_for_the_same_pages() {
    let folder = tempfile::tempdir().unwrap();
    let mut asked = Vec::new();
    for seed in [1, 1, 2] {
        let server = Server::start(|_| Reply::ok("x")).await;
        let mut spec = spec(&server.url(), folder.path(), vec![phase("open", 0.3, Some(300.0))]);
        spec.seed = seed;
        spec.mix[0].path = "/posts/{id}?n={n}".to_owned();
        spec.mix[0].ids = Some(Ids::Zipf { count: 1000, exponent: 1.1 });
        run(&spec).await;
        let mut paths = server.paths();
        paths.sort();
        asked.push(paths);
    }
    assert_eq!(asked[0], asked[1]);
    assert_ne!(asked[0], asked[2]);
}

#[tokio::test]
async fn each_user_keeps_its_cookies_until_its_session_ends() {
    let server = Server::start(|request| match &request.cookie {
        Some(session) => Reply::ok("again")
            .header("x-served-by", if session.ends_with(['0', '2', '4', '6', '8']) { "app-1" } else { "app-2" }),
        None => Reply::ok("new").header("set-cookie", &format!("session={}; Path=/; HttpOnly", request.number)),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(&server.url(), folder.path(), vec![phase("open", 0.5, Some(400.0))]);
    (spec.users, spec.cookies, spec.requests_per_session) = (4, Cookies::PerUser, Some(10));
    let result = run(&spec).await;
    let cookies = server.cookies();
    let new_count = cookies.iter().filter(|cookie| cookie.is_none()).count();
    assert!((20..=24).contains(&new_count), "200 requests of 4 users, 10 to a session: {new_count} sessions");
    for session in cookies.iter().flatten() {
        let uses = cookies.iter().filter(|cookie| cookie.as_ref() == Some(session)).count();
        assert!(uses <= 9, "{session} was used {uses} times");
    }
    let sessions: u64 = result.sessions.iter().map(|row| row.session_count).sum();
    assert!((16..=24).contains(&sessions), "{sessions} sessions were counted");
    assert_eq!(result.sessions.iter().map(|row| row.server_change_count).sum::<u64>(), 0);
    assert_eq!(count(&result, |cell| cell.served_by == "app-1" || cell.served_by == "app-2"), 200 - new_count as u64);
}

/// Only the start of a session is answered with a cookie, as by a server whose pages are the same for everybody.
#[tokio::test]
async fn a_session_has_a_start_that_is_not_part_of_the_rate() {
    let server = Server::start(|request| match (&request.cookie, request.path.as_str()) {
        (None, "/start") => {
            let cookie = format!("session={}", request.number);
            Reply { wait: Duration::from_millis(50), ..Reply::ok("") }.header("set-cookie", &cookie)
        }
        (Some(_), "/ok") => Reply::ok("x").header("x-served-by", "app-1"),
        _ => Reply { status: 400, ..Reply::ok("") },
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(&server.url(), folder.path(), vec![phase("open", 0.5, Some(400.0))]);
    (spec.users, spec.cookies, spec.requests_per_session) = (16, Cookies::PerUser, Some(10));
    spec.session_start = Some(Endpoint { weight: 0, ..endpoint("start", "/start") });
    let result = run(&spec).await;
    let totals = &result.phases[0];
    assert_eq!((totals.offered_count, totals.expected_count, totals.unexpected_count), (200, 200, 0));
    assert!((20..=36).contains(&totals.session_start_count), "{} sessions of 10 requests", totals.session_start_count);
    assert_eq!(totals.session_start_unexpected_count, 0);
    assert_eq!(server.count() as u64, 200 + totals.session_start_count);
    assert_eq!(count(&result, |cell| cell.endpoint == "start"), totals.session_start_count);
    assert_eq!(totals.completed.iter().map(|second| second.count).sum::<u64>(), 200);
    assert_eq!(latency(&result).count(), 200, "the starts are in a histogram of their own");
    assert!(latency(&result).quantile_us(0.99).unwrap() < 40_000, "a slow start is not held against the next request");
    assert!(!result.warnings.iter().any(|warning| warning.contains("session")), "{:?}", result.warnings);
}

#[tokio::test]
async fn headers_are_sent_as_they_are() {
    let server = Server::start(|_| Reply::ok("")).await;
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(&server.url(), folder.path(), vec![phase("open", 0.2, Some(50.0))]);
    spec.mix[0].headers = [("Authorization".to_owned(), "Bearer {id}".to_owned())].into();
    run(&spec).await;
    let sent = server.header("authorization");
    assert_eq!((sent.len(), &sent[0]), (10, &Some("Bearer {id}".to_owned())));
    assert!(sent.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn errors_are_counted_by_kind() {
    let server = Server::start(|request| match request.number % 4 {
        0 => Reply { status: 500, ..Reply::ok("broken") }.header("cache-status", "app; fwd=miss; stored"),
        1 => Reply { breaks_off: true, ..Reply::ok("half of it") },
        2 => Reply::ok("wrong text"),
        _ => Reply::ok("right text").header("cache-status", "app-fragment; hit, app-value; fwd=miss"),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(&server.url(), folder.path(), vec![phase("open", 0.4, Some(200.0))]);
    spec.mix[0].expect.contains = Some("right".to_owned());
    let result = run(&spec).await;
    let totals = &result.phases[0];
    assert_eq!(
        (totals.offered_count, totals.expected_count, totals.unexpected_count, totals.failed_count),
        (80, 20, 60, 20)
    );
    assert_eq!(count(&result, |cell| cell.status == 500), 20);
    assert_eq!(count(&result, |cell| cell.error == Some(FailureKind::Body) && cell.status == 0), 20);
    let mut caches: Vec<_> = result.cells.iter().map(|cell| format!("{:?}", cell.cache)).collect();
    caches.sort();
    caches.dedup();
    assert_eq!(caches, ["Hit", "Miss", "None"]);
    assert_eq!(result.warnings[0], "phase `open`: 20 of 80 requests got no answer");
    assert_eq!(result.warnings[1], "phase `open`: 40 of 80 requests got an unexpected answer");
}

#[tokio::test]
async fn a_slow_body_is_inside_the_latency() {
    let server = Server::start(|_| Reply { body_wait: Duration::from_millis(100), ..Reply::ok("late") }).await;
    let folder = tempfile::tempdir().unwrap();
    let result = run(&spec(&server.url(), folder.path(), vec![phase("open", 0.3, Some(50.0))])).await;
    assert!(latency(&result).quantile_us(0.0).unwrap() >= 100_000);
}

#[tokio::test]
async fn forms_are_posted_and_redirects_are_not_followed() {
    let server = Server::start(|_| Reply { status: 303, ..Reply::ok("") }.header("location", "/elsewhere")).await;
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec(&server.url(), folder.path(), vec![phase("open", 0.2, Some(50.0))]);
    let post = &mut spec.mix[0];
    (post.method, post.path, post.expect.status) = (Method::Post, "/posts/{id}/comments".to_owned(), vec![303]);
    post.ids = Some(Ids::Fixed { id: "3".to_owned() });
    post.form = [("content".to_owned(), "a & b {n}".to_owned())].into();
    let result = run(&spec).await;
    assert_eq!((result.phases[0].expected_count, server.count()), (10, 10));
    assert!(server.bodies().contains(&"content=a%20%26%20b%200-9".to_owned()), "{:?}", server.bodies());
}

#[tokio::test]
async fn a_server_that_refuses_ends_the_trial_with_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let address = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let spec = spec(&format!("http://{address}"), folder.path(), vec![phase("open", 30.0, Some(50.0))]);
    let error = runner().run(&spec, async |_| {}).await.unwrap_err();
    let message = format!("{error:#}");
    assert!(
        message.contains("the trial failed") && message.contains(&format!("nothing answered at `http://{address}`")),
        "{message}"
    );
    assert!(!spec.output.exists());
}

#[tokio::test]
async fn a_server_that_resets_is_not_taken_for_one_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // What was sent is not read, so that closing the connection resets it.
    let resetting = tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            connection.readable().await.unwrap();
        }
    });
    let spec = spec(&url, folder.path(), vec![phase("open", 30.0, Some(50.0))]);
    let message = format!("{:#}", runner().run(&spec, async |_| {}).await.unwrap_err());
    assert!(message.contains(&format!("`{url}` takes connections")) && message.contains("broke off"), "{message}");
    assert!(!spec.output.exists());
    resetting.abort();
}

#[tokio::test]
async fn dropping_the_run_kills_the_child() {
    let server = Server::start(|_| Reply::ok("x")).await;
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(&server.url(), folder.path(), vec![phase("open", 60.0, Some(100.0))]);
    let (runner, cancelled) = (runner(), tokio::time::sleep(Duration::from_millis(700)));
    tokio::select! {
        _ = runner.run(&spec, async |_| {}) => panic!("the trial ended too soon"),
        () = cancelled => {}
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let seen_count = server.count();
    assert!(seen_count > 0);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(server.count(), seen_count, "the child still sends");
}
