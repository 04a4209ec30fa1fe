//! Starting, health, failures, stopping: the program as it is run.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::harness::{NOWHERE, TestApp, TestDatabase, client, read, variables};

/// The real program with nothing in its environment but these variables.
fn program(arguments: &[&str], variables: &[(&'static str, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_app"));
    command.args(arguments).env_clear().envs(variables.iter().cloned()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str], variables: &[(&'static str, String)]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = program(arguments, variables).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Kills a program whose test failed.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the server and gives the address that it prints.
fn serve(variables: &[(&'static str, String)]) -> (Running, String) {
    let mut running = Running(program(&["serve"], variables).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address =
        line.trim_end().strip_prefix("listening on ").unwrap_or_else(|| panic!("the server printed `{line}`"));
    (running, address.to_owned())
}

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

#[tokio::test]
async fn a_live_and_ready_server_says_so() {
    let database = TestDatabase::migrated().await;
    let app = TestApp::start(&database, &[]).await;
    for path in ["/livez", "/readyz"] {
        let page = app.get(path).await;
        assert_eq!((page.status, page.header("x-served-by")), (200, "app-1"), "{path}");
    }
}

/// Without its database a server lives, is not ready, and answers 503 with a page and a time to come back.
#[tokio::test]
async fn without_the_database() {
    let database = TestDatabase::migrated().await;
    let app = TestApp::start(&database, &[("DATABASE_URL", &format!("postgres://nobody@{NOWHERE}/none"))]).await;
    assert_eq!(app.get("/livez").await.status, 200);
    assert_eq!(app.get("/readyz").await.status, 503);
    for path in ["/", "/posts/1"] {
        let page = app.get(path).await;
        assert_eq!((page.status, page.header("retry-after")), (503, "1"), "{path}");
        assert!(page.body.contains("Please try again in a moment.") && !page.body.contains("postgres"));
    }
}

/// A database that fails for another reason is a mistake of ours: 500, and nothing of it reaches the reader.
#[tokio::test]
async fn a_database_without_the_schema() {
    let database = TestDatabase::empty().await;
    let page = TestApp::start(&database, &[]).await.get("/").await;
    assert_eq!(page.status, 500);
    assert!(!page.body.contains("relation") && page.body.contains("Something went wrong on our side."));
}

/// A table that is locked for longer than the limit costs the request, and not the server.
#[tokio::test]
async fn a_lock_that_is_never_released() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let mut blocker = database.pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE posts IN ACCESS EXCLUSIVE MODE").execute(&mut *blocker).await.unwrap();
    assert_eq!(app.get("/").await.status, 503);
    blocker.rollback().await.unwrap();
    assert_eq!(app.get("/").await.status, 200);
}

/// The connections of a server carry its name, and the limits that every request is under.
#[tokio::test]
async fn connections_have_a_name_and_limits() {
    let database = TestDatabase::migrated().await;
    let pool = app::db::Database::connect_lazily(&database.url, "app-1", 1, false).unwrap();
    let settings: (String, String, String) = sqlx::query_as(
        "SELECT current_setting('application_name'), current_setting('statement_timeout'), current_setting('lock_timeout')",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(settings, ("app-1".to_owned(), "5s".to_owned(), "2s".to_owned()));
}

/// Exit codes: 2 for wrong usage or configuration, 1 for what failed.
#[tokio::test]
async fn wrong_starts_say_what_is_wrong() {
    let database = TestDatabase::migrated().await;
    let usual = variables(&database);
    let with = |name: &'static str, value: &str| {
        let others = usual.iter().filter(|(key, _)| *key != name).cloned();
        others.chain([(name, value.to_owned())]).collect::<Vec<_>>()
    };

    let (code, _, error) = run(&["serve"], &[]);
    assert_eq!(code, 2);
    assert!(error.contains("`DATABASE_URL` is not set") && error.contains("`REDIS_URL` is not set"), "{error}");

    let (code, _, error) = run(&["serve"], &with("APP_LISTEN", "0.0.0.0:0"));
    assert_eq!(code, 2);
    assert!(error.contains("`APP_LISTEN` is `0.0.0.0:0`"), "{error}");

    assert_eq!(run(&["bake"], &usual).0, 2);
    assert_eq!(run(&["seed", "--posts", "-1"], &usual).0, 2);

    let (_running, address) = serve(&usual);
    let (code, _, error) = run(&["serve"], &with("APP_LISTEN", address.strip_prefix("http://").unwrap()));
    assert_eq!(code, 1);
    assert!(error.contains("cannot listen on") && error.contains("APP_LISTEN"), "{error}");

    let (code, _, error) = run(&["migrate"], &with("DATABASE_URL", &format!("postgres://nobody@{NOWHERE}/none")));
    assert_eq!(code, 1);
    assert!(error.contains("cannot connect to the database"), "{error}");
}

/// The commands make a database that the server serves.
#[tokio::test]
async fn migrate_seed_serve() {
    let database = TestDatabase::empty().await;
    let variables = variables(&database);
    let seed = ["seed", "--posts", "30", "--comments", "100", "--users", "5", "--tags", "3", "--seed", "7"];
    let (code, _, error) = run(&seed, &variables);
    assert_eq!(code, 1);
    assert!(error.contains("run `app migrate` first"), "{error}");
    assert_eq!(run(&["migrate", "--without-indexes"], &variables).0, 0);
    let (code, output, _) = run(&seed, &variables);
    assert_eq!(code, 0);
    assert!(output.starts_with("30 posts and 100 comments in "), "{output}");
    let (_running, address) = serve(&variables);
    let page = read(client().get(&address)).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("/posts/30") && page.body.contains("Older posts"));
}
