//! Starting, health, failures, the log: the program as it is run.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{NOWHERE, TestApp, TestDatabase, client, read, variables};

/// The real program with nothing in its environment but these variables.
pub(crate) fn program(arguments: &[&str], variables: &[(&'static str, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_app"));
    command.args(arguments).env_clear().envs(variables.iter().cloned()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str], variables: &[(&'static str, String)]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = program(arguments, variables).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Kills a program whose test failed.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the server and gives the address that it prints.
pub(crate) fn serve(variables: &[(&'static str, String)]) -> (Running, String) {
    let mut running = Running(program(&["serve"], variables).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address =
        line.trim_end().strip_prefix("listening on ").unwrap_or_else(|| panic!("the server printed `{line}`"));
    (running, address.to_owned())
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
    let app = TestApp::start_without_database(&database).await;
    assert_eq!(app.get("/livez").await.status, 200);
    assert_eq!(app.get("/readyz").await.status, 503);
    for path in ["/", "/posts/1"] {
        // The first one finds out, which may take a moment; the others know.
        for may_take in [Duration::from_millis(1000), Duration::from_millis(100), Duration::from_millis(100)] {
            let started = Instant::now();
            let page = app.get(path).await;
            assert!(started.elapsed() < may_take, "{path} took {:?}", started.elapsed());
            assert_eq!((page.status, page.header("retry-after")), (503, "1"), "{path}");
            assert!(page.body.contains("Please try again in a moment.") && !page.body.contains("postgres"));
        }
    }
    assert!(app.get("/metrics").await.body.contains("\ndatabase_away 1.0\n"));
}

/// PostgreSQL drops every connection, again and again, as a restart does: requests get their page or a 503 and nothing else, and soon after
/// the last time every request gets its page.
#[tokio::test]
async fn connections_that_break_under_load() {
    let database = TestDatabase::tiny().await;
    let no_cache = [("APP_CACHE_VIEW", "off"), ("APP_CACHE_FRAGMENT", "off"), ("APP_CACHE_VALUE", "off")];
    let app = TestApp::start(&database, &no_cache).await;
    let is_over = AtomicBool::new(false);
    let load = async {
        let (mut pages, mut refused) = (0, 0);
        while !is_over.load(Ordering::Relaxed) {
            match app.get("/").await.status {
                200 => pages += 1,
                503 => refused += 1,
                status => panic!("status {status}"),
            }
        }
        (pages, refused)
    };
    let breaking = async {
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            database
                .execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                          WHERE datname = current_database() AND application_name = 'app-1'",
                )
                .await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        for _ in 0..50 {
            assert_eq!(app.get("/").await.status, 200);
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let ((pages, refused), ()) = tokio::join!(load, breaking);
    // One connection is used at a time here, so that each time costs at most the request that has it and the one that finds out.
    assert!(pages > 50 && refused <= 60, "{pages} pages, {refused} refused");
}

/// Two servers that start at once migrate one after the other.
#[tokio::test]
async fn two_migrations_at_once() {
    let database = TestDatabase::empty().await;
    let variables = variables(&database);
    let mut both: Vec<Child> = (0..2).map(|_| program(&["migrate"], &variables).spawn().unwrap()).collect();
    for child in &mut both {
        let code = child.wait().unwrap().code();
        let mut error = String::new();
        child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        assert_eq!(code, Some(0), "{error}");
    }
    let (count,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM _sqlx_migrations").fetch_one(&database.pool).await.unwrap();
    assert!(count >= 5, "{count}");
}

/// One name leads from the answer to the log of the app and to the statement in the database.
#[tokio::test]
async fn a_request_can_be_followed() {
    let database = TestDatabase::tiny().await;
    let mut with = variables(&database);
    with.extend([
        ("APP_TRUSTED_PROXIES", "127.0.0.1".to_owned()),
        ("APP_SQL_COMMENTS", "on".to_owned()),
        ("RUST_LOG", "app=debug".to_owned()),
    ]);
    let (mut running, address) = serve(&with);
    let mut blocker = database.pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE posts IN ACCESS EXCLUSIVE MODE").execute(&mut *blocker).await.unwrap();
    let name = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
    let request = read(client().get(format!("{address}/posts/1")).header("x-request-id", name));
    let looking = async {
        let question =
            "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%' || $1 || '%'
                        AND pid <> pg_backend_pid()";
        let mut found: Option<(String,)> = None;
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            found = sqlx::query_as(question).bind(name).fetch_optional(&database.pool).await.unwrap();
            if found.is_some() {
                break;
            }
        }
        blocker.rollback().await.unwrap();
        found.expect("no statement carries the name").0
    };
    let (page, statement) = tokio::join!(request, looking);
    assert_eq!((page.status, page.header("x-request-id")), (200, name));
    assert!(statement.ends_with(&format!("/* request_id='{name}' */")), "{statement}");
    assert_eq!(read(client().get(format!("{address}/posts/x")).header("x-request-id", "b")).await.status, 404);
    terminate(&running);
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    let mut log = String::new();
    running.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = |name: &str| {
        let mut of_request = lines.iter().filter(|line| line["request_id"] == name && line["route"] != Value::Null);
        of_request.next().unwrap_or_else(|| panic!("no line of `{name}` in {log}"))
    };
    assert_eq!((&line(name)["route"], &line(name)["status"]), (&"/posts/{id}".into(), &200.into()));
    assert_eq!((&line(name)["path"], &line(name)["method"]), (&"/posts/1".into(), &"GET".into()));
    assert!(line(name)["duration_ms"].as_f64().unwrap() > 1.0);
    assert_eq!(line("b")["status"], 404);
}

/// Every variable is in the README, in the words of the configuration.
#[test]
fn the_table_of_variables_is_current() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(manifest.join("src/config.rs")).unwrap();
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut is_open = false;
    for line in source.lines().take_while(|line| !line.starts_with("/// One or more variables are wrong")) {
        let Some(text) = line.strip_prefix("    /// ") else {
            is_open = false;
            continue;
        };
        let begins = text.strip_prefix('`').and_then(|rest| rest.split_once("`: "));
        match begins.filter(|(name, _)| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')) {
            Some((name, meaning)) => {
                rows.push((name.to_owned(), meaning.to_owned()));
                is_open = true;
            }
            None if is_open => rows.last_mut().unwrap().1.push_str(&format!(" {text}")),
            None => {}
        }
    }
    assert!(rows.len() > 20, "{rows:?}");
    let table: Vec<String> = rows
        .iter()
        .map(|(name, meaning)| format!("| `{name}` | {} |", meaning.replace("[`LocalCache`]", "`LocalCache`")))
        .collect();
    let readme = fs::read_to_string(manifest.join("README.md")).unwrap();
    let found: Vec<&str> = readme
        .lines()
        .skip_while(|line| *line != "| variable | meaning |")
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert_eq!(found, table, "put this into app/README.md:\n{}\n", table.join("\n"));
}

/// Asks a program to stop.
pub(crate) fn terminate(running: &Running) {
    let process_id = running.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &process_id]).status().unwrap().success());
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
