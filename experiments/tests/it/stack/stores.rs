//! PostgreSQL and Redis: start, use, stop, crash.

use experiments::stack::{Ended, Postgres, PostgresSettings, Redis, RedisSettings, Stack};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{Connection as _, PgConnection};

use crate::support::{is_alive, open_folder, processes_in, run_folder};

#[tokio::test]
async fn postgres_keeps_its_data_between_two_starts() {
    let runs = open_folder();
    let folder = run_folder(&runs);
    let postgres = Postgres::start(&folder, &PostgresSettings::default()).await.unwrap();
    postgres.create_database("first", None).await.unwrap();
    let mut connection = PgConnection::connect(&postgres.url("first")).await.unwrap();
    sqlx::raw_sql("CREATE TABLE t AS SELECT 42 AS answer").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    postgres.create_database("second", Some("first")).await.unwrap();
    postgres.drop_database("first").await.unwrap();
    let pid = postgres.pid();
    postgres.stop().await.unwrap();
    assert!(!is_alive(pid));

    let postgres = Postgres::start(&folder, &PostgresSettings::default()).await.unwrap();
    assert!(!postgres.database_exists("first").await.unwrap());
    let mut connection = postgres.connect("second").await.unwrap();
    let answer: i32 = sqlx::query_scalar("SELECT answer FROM t").fetch_one(&mut connection).await.unwrap();
    assert_eq!(answer, 42);
    postgres.stop().await.unwrap();
    assert_eq!(processes_in(runs.path()), Vec::<String>::new());
}

#[tokio::test]
async fn postgres_says_what_it_runs_with() {
    let runs = open_folder();
    let settings = PostgresSettings { shared_buffers_mib: 32, jit: false, ..PostgresSettings::default() };
    let postgres = Postgres::start(&run_folder(&runs), &settings).await.unwrap();
    let recorded = postgres.settings();
    assert_eq!(recorded["shared_buffers"], "32MB");
    assert_eq!(recorded["jit"], "off");
    assert_eq!(recorded["listen_addresses"], "");
    assert!(recorded.contains_key("server_version"), "{recorded:?}");
    assert!(!recorded.values().any(|value| value.contains(runs.path().to_str().unwrap())), "{recorded:?}");
    let mut connection = PgConnection::connect(&postgres.maintenance_url()).await.unwrap();
    let calls: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_stat_statements").fetch_one(&mut connection).await.unwrap();
    assert!(calls > 0);
}

#[tokio::test]
async fn a_killed_postgres_is_noticed_and_leaves_no_backend() {
    let runs = open_folder();
    let postgres = Postgres::start(&run_folder(&runs), &PostgresSettings::default()).await.unwrap();
    let mut connection = postgres.connect("postgres").await.unwrap();
    // A backend in the middle of a long query does not look up when its server dies.
    let query = tokio::spawn(async move {
        sqlx::query("SELECT count(*) FROM pg_class, pg_class b, pg_class c, pg_class d").execute(&mut connection).await
    });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(postgres.is_running());
    kill(Pid::from_raw(postgres.pid().cast_signed()), Signal::SIGKILL).unwrap();
    while postgres.is_running() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let error = postgres.stop().await.unwrap_err();
    let ended: &Ended = error.downcast_ref().unwrap();
    assert_eq!(ended.name, "postgres");
    assert!(ended.status.to_string().contains("signal: 9"), "{error}");
    assert!(ended.tail.contains("database system is ready to accept connections"), "{error}");
    assert!(query.await.unwrap().is_err());
    assert_eq!(processes_in(runs.path()), Vec::<String>::new());
}

#[tokio::test]
async fn redis_starts_empty_and_stops() {
    let runs = open_folder();
    let redis = Redis::start(&run_folder(&runs), &RedisSettings::default()).await.unwrap();
    let mut connection = redis::Client::open(redis.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let keys: usize = redis::cmd("DBSIZE").query_async(&mut connection).await.unwrap();
    assert_eq!(keys, 0);
    assert_eq!(redis.settings()["maxmemory-policy"], "allkeys-lfu");
    assert_eq!(redis.settings()["save"], "");
    assert!(redis.settings().keys().any(|key| key.ends_with("_version")));
    let pid = redis.pid();
    redis.stop().await.unwrap();
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn a_server_that_does_not_start_shows_its_log() {
    let runs = open_folder();
    let settings = RedisSettings { eviction: "oldest-first".to_owned(), ..RedisSettings::default() };
    let error = Redis::start(&run_folder(&runs), &settings).await.unwrap_err().to_string();
    assert!(error.starts_with("`redis` ended (exit status: 1); its log `"), "{error}");
    assert!(error.contains("oldest-first"), "{error}");
}

#[tokio::test]
async fn a_stack_names_its_components_and_notices_a_death() {
    let runs = open_folder();
    let folder = run_folder(&runs);
    let stack = Stack::start(&folder, &PostgresSettings::default(), &RedisSettings::default()).await.unwrap();
    let components = stack.components();
    let names: Vec<&str> = components.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["redis", "postgres"]);
    stack.check().unwrap();
    kill(Pid::from_raw(stack.redis.pid().cast_signed()), Signal::SIGKILL).unwrap();
    while stack.redis.is_running() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(stack.check().unwrap_err().name, "redis");
    let pid = stack.postgres.pid();
    stack.stop().await.unwrap_err();
    assert!(!is_alive(pid), "the others are stopped all the same");
}
