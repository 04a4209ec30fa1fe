//! The probe against real processes: a shell, PostgreSQL, Redis and NGINX.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use experiments::probe::component::{Component, Snapshot, Usage};
use experiments::probe::sampler::Sampler;
use experiments::probe::source::{self, Detail};
use experiments::probe::{machine, nginx, postgres, redis};
use experiments::stack::{Nginx, NginxOptions, Postgres, PostgresSettings, Redis, RedisSettings};

use crate::support;

/// A process that is killed at the end of its test, with all that it started.
struct Shell(Child);

impl Shell {
    fn start(script: &str) -> Self {
        Self(Command::new("sh").args(["-c", script]).process_group(0).stdout(Stdio::piped()).spawn().unwrap())
    }

    fn component(&self) -> Component {
        Component::new("shell", self.0.id())
    }

    fn wait_line(&mut self) {
        let mut line = String::new();
        BufReader::new(self.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group = nix::unistd::Pid::from_raw(self.0.id() as i32);
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

fn usage(component: &Component) -> Usage {
    source::open().unwrap().read(std::slice::from_ref(component), Detail::Full).unwrap()[0]
}

#[test]
fn a_component_is_its_root_and_all_that_descends_from_it() {
    // The grandchild works and ends, then its parent says so; a second child stays.
    let mut shell = Shell::start("sleep 30 & (i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done) ; echo done; wait");
    shell.wait_line();
    let after = usage(&shell.component());
    assert_eq!(after.process_count, 2, "the shell and `sleep`");
    assert!(after.cpu_us() >= 20_000, "the child that has ended counts: {after:?}");
    assert!(after.memory_bytes.unwrap() > 50_000 && after.memory_peak_bytes >= after.memory_bytes, "{after:?}");
    assert!(after.voluntary_switch_count.unwrap() > 0);
    let own = Usage::difference(&after, &usage(&shell.component()));
    assert!(own.cpu_us() < 5_000, "nobody works any more: {own:?}");
}

#[test]
fn cpu_time_is_exact_to_less_than_a_tick() {
    let component = Component::new("self", std::process::id());
    let mut source = source::open().unwrap();
    let before = Snapshot::read(source.as_mut(), std::slice::from_ref(&component), Detail::Counters).unwrap();
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(4) {
        std::hint::spin_loop();
    }
    let after = Snapshot::read(source.as_mut(), std::slice::from_ref(&component), Detail::Full).unwrap();
    let difference = Snapshot::difference(&before, &after);
    let used_us = difference.components["self"].cpu_us();
    assert!((1_000..60_000).contains(&used_us), "4 ms of work were read as {used_us} µs");
    assert!(difference.elapsed_us >= 4_000);
}

#[test]
fn a_root_that_is_gone_is_an_error() {
    let shell = Shell::start("sleep 30");
    let component = shell.component();
    let mut source = source::open().unwrap();
    source.read(std::slice::from_ref(&component), Detail::Cpu).unwrap();
    drop(shell);
    let error = source.read(std::slice::from_ref(&component), Detail::Cpu).unwrap_err();
    assert!(error.to_string().contains("of the component `shell` is gone"), "{error}");
}

#[test]
fn the_sampler_gives_a_row_for_each_whole_second() {
    let shell = Shell::start("while :; do :; done");
    let sampler = Sampler::start(source::open().unwrap(), vec![shell.component()], Instant::now()).unwrap();
    // A window of two seconds whose end is noticed a little early.
    std::thread::sleep(Duration::from_millis(1_960));
    let rows = sampler.stop().unwrap();
    assert_eq!(rows.iter().map(|row| row.second).collect::<Vec<_>>(), [0, 1]);
    for row in &rows {
        assert!((900_000..1_300_000).contains(&row.elapsed_us), "{row:?}");
        assert!(row.cpu_user_us.unwrap() + row.cpu_kernel_us.unwrap() > 50_000, "{row:?}");
        assert_eq!(row.memory_bytes.is_some(), row.second == 0, "memory is read in every fifth second");
    }
}

#[test]
fn the_machine_is_described() {
    let machine = machine::read(support::open_folder().path());
    let number = |name: &str| machine[name].as_ref().unwrap().parse::<u64>().unwrap();
    assert!(number("cpu_count") > 0 && number("memory_bytes") > 100_000_000, "{machine:?}");
    for name in
        ["cpu_model", "kernel", "distribution", "aslr", "cgroup_version", "open_files_limit", "data_file_system"]
    {
        assert!(machine[name].is_ok(), "`{name}` of {machine:?}");
    }
    // What a virtual machine does not show is told with its reason, not left out.
    for name in ["governor", "turbo", "smt", "virtualisation", "clock_source", "threads_per_core"] {
        let words = machine[name].as_ref().unwrap_or_else(|why| why);
        assert!(!words.is_empty(), "`{name}` of {machine:?}");
    }
}

#[tokio::test]
async fn postgres_counts_exactly_what_ran_between_two_readings() {
    let runs = support::open_folder();
    let folder = support::run_folder(&runs);
    let server = Postgres::start(&folder, &PostgresSettings::default()).await.unwrap();
    server.create_database("counted", None).await.unwrap();
    let pool = sqlx::PgPool::connect(&server.url("counted")).await.unwrap();
    let without = postgres::read(&pool).await.unwrap();
    assert!(without.database.block_hit_count > 0);
    sqlx::query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").execute(&pool).await.unwrap();
    let before = postgres::read(&pool).await.unwrap();
    for number in 0..7 {
        sqlx::query("SELECT g FROM generate_series(1, 3) AS g WHERE g <> $1")
            .bind(number + 100)
            .fetch_all(&pool)
            .await
            .unwrap();
    }
    let after = postgres::read(&pool).await.unwrap();
    let statements = postgres::Counters::difference(&before, &after).statements.unwrap();
    assert_eq!((statements.call_count, statements.row_count), (7, 21));
    assert!(statements.execution_us > 0.0);
    let used = usage(&Component::new("postgres", server.pid()));
    assert!(used.process_count >= 5 && used.memory_bytes.is_some(), "{used:?}");
    pool.close().await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn redis_and_nginx_count_what_happened_between_two_readings() {
    let runs = support::open_folder();
    let folder = support::run_folder(&runs);
    let server = Redis::start(&folder, &RedisSettings::default()).await.unwrap();
    let mut connection = ::redis::Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let before = redis::read(&server.url()).await.unwrap();
    for key in ["a", "b", "c"] {
        let _: Option<String> = ::redis::cmd("GET").arg(key).query_async(&mut connection).await.unwrap();
    }
    let used = redis::Counters::difference(&before, &redis::read(&server.url()).await.unwrap());
    assert_eq!((used.hit_count, used.miss_count), (0, 3), "{used:?}");
    assert!(used.command_count >= 3 && used.memory_bytes > 0);
    server.stop().await.unwrap();

    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    let options = NginxOptions::new(support::project_root().join("nginx/nginx.conf.template"), vec![nowhere, nowhere]);
    let server = Nginx::start(&folder, &options).await.unwrap();
    let status = nginx::Status::new(server.status_url()).unwrap();
    let before = status.read().await.unwrap();
    for _ in 0..5 {
        reqwest::get(server.url()).await.unwrap();
    }
    let used = nginx::Counters::difference(&before, &status.read().await.unwrap());
    assert_eq!((used.request_count, used.accepted_count, used.handled_count), (5, 5, 5));
    server.stop().await.unwrap();
}
