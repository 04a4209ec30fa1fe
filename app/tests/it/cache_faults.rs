//! A Redis that hangs, is dead, or comes back, and many who want one page at once.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use app::cache::{BreakerState, Tag};
use sqlx::AssertSqlSafe;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::browser::Browser;
use crate::harness::{NOWHERE, TestApp, TestDatabase, client, read, redis_url, variables};
use crate::operation::serve;

/// A Redis of the test's own, which it may kill.
struct OwnRedis {
    process: Child,
    port: u16,
}

impl OwnRedis {
    async fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let redis = Self { process: Self::launch(port), port };
        redis.wait().await;
        redis
    }

    fn launch(port: u16) -> Child {
        let arguments = format!("--port {port} --bind 127.0.0.1 --save {} --appendonly no", "\"\"");
        let arguments = arguments.split(' ').map(|argument| argument.trim_matches('"'));
        let started = Command::new("redis-server").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        started.expect("cannot start `redis-server`; run `./just setup`, which installs it")
    }

    async fn wait(&self) {
        while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Comes back, empty.
    async fn restart(&mut self) {
        self.process = Self::launch(self.port);
        self.wait().await;
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// How many commands it has done, without those that ask for this.
    async fn commands(&self) -> u64 {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let information: String = redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await.unwrap();
        let calls = information.lines().filter_map(|line| {
            let (command, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let is_ours = !["info", "client", "hello", "select", "ping"].iter().any(|other| command.starts_with(other));
            is_ours.then(|| rest.split(',').next().unwrap().parse::<u64>().unwrap())
        });
        calls.sum()
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Something between the app and Redis that can stop passing on what is sent.
struct Wire {
    url: String,
    is_cut: Arc<AtomicBool>,
}

impl Wire {
    async fn to(redis_url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}/0", listener.local_addr().unwrap());
        let target = redis_url.strip_prefix("redis://").unwrap().split('/').next().unwrap().to_owned();
        let is_cut = Arc::new(AtomicBool::new(false));
        let cut = Arc::clone(&is_cut);
        tokio::spawn(async move {
            while let Ok((mut inside, _)) = listener.accept().await {
                let (target, cut) = (target.clone(), Arc::clone(&cut));
                tokio::spawn(async move {
                    let mut outside = TcpStream::connect(&target).await.unwrap();
                    let (mut from_app, mut to_app) = inside.split();
                    let (mut from_redis, mut to_redis) = outside.split();
                    tokio::select! {
                        () = pass_on(&mut from_app, &mut to_redis, &cut) => (),
                        () = pass_on(&mut from_redis, &mut to_app, &cut) => (),
                    }
                });
            }
        });
        Self { url, is_cut }
    }

    fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
    }
}

async fn pass_on(
    from: &mut (impl tokio::io::AsyncRead + Unpin),
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    cut: &AtomicBool,
) {
    let mut bytes = [0; 65_536];
    loop {
        let Ok(length @ 1..) = tokio::io::AsyncReadExt::read(from, &mut bytes).await else { return };
        while cut.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}

/// How often the database was asked for a list of posts, by its own count.
async fn list_queries(database: &TestDatabase) -> i64 {
    let counted = "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements JOIN pg_database ON oid = dbid
        WHERE datname = '{}' AND query LIKE '-- One page of the list of posts, newest first%'"
        .replace("{}", &database.name);
    let pool = sqlx::PgPool::connect(&std::env::var("TEST_DATABASE_URL").unwrap()).await.unwrap();
    sqlx::query_scalar(AssertSqlSafe(counted)).fetch_one(&pool).await.unwrap()
}

/// A thousand who want one page that nobody has, through two servers: the database is asked once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_at_once_cost_one_query() {
    let database = TestDatabase::tiny().await;
    for local in ["off", "strict", "fast"] {
        let variables = |name: &str| {
            let mut variables = variables(&database);
            variables.retain(|(variable, _)| !["APP_NAME", "APP_CACHE_PREFIX"].contains(variable));
            variables.push(("APP_NAME", name.to_owned()));
            variables.push(("APP_CACHE_LOCAL", local.to_owned()));
            variables.push(("APP_CACHE_PREFIX", format!("{}_{local}", database.name)));
            variables
        };
        let servers = [serve(&variables("app-1")), serve(&variables("app-2"))];
        let before = list_queries(&database).await;
        // The first one gets stuck, so that all of them meet.
        let mut blocker = database.pool.begin().await.unwrap();
        sqlx::raw_sql("LOCK TABLE posts IN ACCESS EXCLUSIVE MODE").execute(&mut *blocker).await.unwrap();
        let client = client();
        let many = (0..1000).map(|number| {
            let request = client.get(format!("{}/", servers[number % 2].1));
            tokio::spawn(read(request))
        });
        let many: Vec<_> = many.collect();
        tokio::time::sleep(Duration::from_millis(700)).await;
        blocker.rollback().await.unwrap();
        let mut bodies = std::collections::BTreeSet::new();
        for one in many {
            let page = one.await.unwrap();
            assert_eq!(page.status, 200);
            bodies.insert(page.body);
        }
        assert_eq!(bodies.len(), 1);
        assert_eq!(list_queries(&database).await - before, 1, "{local}");
    }
}

/// A hit is one command to Redis, however many parts a page has; in fast mode it is none.
#[tokio::test]
async fn a_hit_is_one_round_trip() {
    let redis = OwnRedis::start().await;
    let database = TestDatabase::tiny().await;
    for (local, expected) in [("off", 1), ("strict", 1), ("fast", 0)] {
        let app = TestApp::start(&database, &[("REDIS_URL", &redis.url()), ("APP_CACHE_LOCAL", local)]).await;
        // A post that is not there was looked for in three parts, of which one is kept: that it is not there.
        for (path, expected) in [("/", expected), ("/posts/1", expected), ("/authors/1", expected), ("/posts/99", 1)] {
            app.get(path).await;
            app.get(path).await;
            let before = redis.commands().await;
            app.get(path).await;
            assert_eq!(redis.commands().await - before, expected, "{path} {local}");
        }
    }
}

/// A reader that asked the database before a comment and stores its answer after the invalidation stores something dead.
#[tokio::test]
async fn a_slow_reader_cannot_bring_back_what_is_old() {
    let database = TestDatabase::tiny().await;
    for local in ["off", "strict", "fast"] {
        let app = TestApp::start(&database, &[("APP_CACHE_LOCAL", local)]).await;
        app.cache.clear().await;
        // The reader waits for the table of comments, behind a lock that it has already passed for the post.
        let mut blocker = database.pool.begin().await.unwrap();
        sqlx::raw_sql("LOCK TABLE comments IN ACCESS EXCLUSIVE MODE").execute(&mut *blocker).await.unwrap();
        let reader = app.get("/posts/1");
        let writer = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            // The invalidation reaches Redis before the reader goes on.
            app.cache.invalidate(&[Tag::Post(1)]).await;
            blocker.rollback().await.unwrap();
        };
        let (page, ()) = tokio::join!(reader, writer);
        assert_eq!(page.header("cache-status"), "app-fragment; fwd=miss; stored, app-value; fwd=miss; stored");
        let next = app.get("/posts/1").await;
        assert_eq!(next.header("cache-status"), "app-fragment; fwd=miss; stored, app-value; fwd=miss; stored");
    }
}

/// Without Redis every page still comes, and says that nothing was kept; after a few failures Redis costs nothing any more.
#[tokio::test]
async fn without_redis_the_pages_still_come() {
    let database = TestDatabase::tiny().await;
    for local in ["off", "strict"] {
        let variables = [("REDIS_URL", format!("redis://{NOWHERE}")), ("APP_CACHE_LOCAL", local.to_owned())];
        let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
        let app = TestApp::start(&database, &[&variables[..], &[("APP_SESSION_STORE", "memory")]].concat()).await;
        for _ in 0..3 {
            let list = app.get("/").await;
            assert_eq!((list.status, list.header("cache-status")), (200, "app; fwd=bypass"));
            let post = app.get("/posts/1").await;
            assert_eq!(
                (post.status, post.header("cache-status")),
                (200, "app-fragment; fwd=bypass, app-value; fwd=bypass")
            );
        }
        let before = app.get("/posts/1").await.body.matches("A third one.").count();
        let mut writer = Browser::registered(&app, &format!("writer-{local}")).await;
        assert_eq!(writer.post("/posts/1/comments", &[("content", "A third one.")]).await.status, 303);
        assert_eq!(app.get("/posts/1").await.body.matches("A third one.").count(), before + 1);
        assert_eq!(app.get("/readyz").await.status, 200);
        assert_ne!(app.cache.breaker_state(), Some(BreakerState::Closed));
    }
}

/// A Redis that accepts and never answers costs a few pages a time-out of 50 ms, and then none.
#[tokio::test]
async fn a_redis_that_hangs_does_not_hang_the_pages() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let redis_url = format!("redis://{}", silent.local_addr().unwrap());
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[("REDIS_URL", &redis_url), ("APP_SESSION_STORE", "memory")]).await;
    for path in ["/", "/posts/1", "/"] {
        let started = Instant::now();
        let page = app.get(path).await;
        assert_eq!(page.status, 200);
        assert!(page.header("cache-status").contains("fwd=bypass"));
        assert!(started.elapsed() < Duration::from_secs(1), "{path} took {:?}", started.elapsed());
    }
    for _ in 0..5 {
        app.get("/").await;
    }
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..20 {
        let started = Instant::now();
        app.get("/").await;
        times.push(started.elapsed());
    }
    times.sort();
    assert!(times[10] < Duration::from_millis(40), "half of the pages waited for a Redis that hangs: {times:?}");
}

/// A write whose invalidation does not reach Redis is seen on its own server at once, and on the other when Redis is back.
#[tokio::test]
async fn a_lost_invalidation_is_made_up_for() {
    let database = TestDatabase::tiny().await;
    for local in ["off", "strict", "fast"] {
        let wire = Wire::to(&redis_url()).await;
        let prefix = format!("{}_{local}", database.name);
        let usual =
            [("APP_CACHE_LOCAL", local), ("APP_CACHE_PREFIX", prefix.as_str()), ("APP_SESSION_STORE", "memory")];
        let cut = TestApp::start(&database, &[&usual[..], &[("REDIS_URL", &wire.url)]].concat()).await;
        let other = TestApp::start(&database, &usual).await;
        for app in [&cut, &other] {
            app.get("/posts/1").await;
            assert!(app.get("/posts/1").await.header("cache-status").starts_with("app-fragment; hit"));
        }
        let before = other.get("/posts/1").await.body.matches("A third one.").count();
        let mut writer = Browser::registered(&cut, &format!("writer-{local}")).await;
        wire.cut(true);
        assert_eq!(writer.post("/posts/1/comments", &[("content", "A third one.")]).await.status, 303);
        assert_eq!(cut.get("/posts/1").await.body.matches("A third one.").count(), before + 1, "{local}");
        // The other server hears it from the database.
        let started = Instant::now();
        while other.get("/posts/1").await.body.matches("A third one.").count() == before {
            assert!(started.elapsed() < Duration::from_secs(1), "the other server does not hear the database");
        }
        wire.cut(false);
        let started = Instant::now();
        while !cut.get("/posts/1").await.header("cache-status").starts_with("app-fragment; hit") {
            assert!(started.elapsed() < Duration::from_secs(3), "the cache did not come back");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(cut.get("/posts/1").await.body.matches("A third one.").count(), before + 1);
    }
}

/// Redis is killed and comes back, empty, while pages are asked for: every page comes, what was written meanwhile is shown, and within two
/// seconds of the return pages come from the cache again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_dies_and_comes_back() {
    let database = TestDatabase::tiny().await;
    for local in ["off", "strict", "fast"] {
        let mut redis = OwnRedis::start().await;
        let url = redis.url();
        let variables = [("REDIS_URL", url.as_str()), ("APP_CACHE_LOCAL", local), ("APP_SESSION_STORE", "memory")];
        let servers = [TestApp::start(&database, &variables).await, TestApp::start(&database, &variables).await];
        let is_over = Arc::new(AtomicBool::new(false));
        let readers = (0..4).map(|number| {
            let is_over = Arc::clone(&is_over);
            let url = format!("{}{}", servers[number % 2].base_url, ["/", "/posts/1"][number / 2]);
            tokio::spawn(async move {
                let client = client();
                let (mut count, mut failed, mut slowest) = (0, 0, Duration::ZERO);
                while !is_over.load(Ordering::Relaxed) {
                    let started = Instant::now();
                    let page = read(client.get(&url)).await;
                    count += 1;
                    failed += u32::from(page.status != 200);
                    slowest = slowest.max(started.elapsed());
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                (count, failed, slowest)
            })
        });
        let readers: Vec<_> = readers.collect();
        let mut writer = Browser::registered(&servers[0], &format!("writer-{local}")).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        redis.kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let before = servers[0].get("/posts/1").await.body.matches("A third one.").count();
        assert_eq!(writer.post("/posts/1/comments", &[("content", "A third one.")]).await.status, 303);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(servers[0].cache.breaker_state().map(|state| state == BreakerState::Closed), Some(false));
        redis.restart().await;
        let started = Instant::now();
        for app in &servers {
            for path in ["/", "/posts/1"] {
                while !app.get(path).await.header("cache-status").contains("; hit") {
                    assert!(started.elapsed() < Duration::from_secs(2), "{path} is not kept again");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            assert_eq!(app.get("/posts/1").await.body.matches("A third one.").count(), before + 1, "{local}");
        }
        println!("{local}: pages come from the cache {:?} after the return of Redis", started.elapsed());
        is_over.store(true, Ordering::Relaxed);
        for reader in readers {
            let (count, failed, slowest) = reader.await.unwrap();
            println!("{local}: {count} pages, {failed} failed, the slowest took {slowest:?}");
            assert_eq!(failed, 0);
        }
    }
}

/// In fast mode a page that many want costs the database one query a second while Redis is away, not one per reader.
#[tokio::test]
async fn fast_mode_shields_the_database_without_redis() {
    let database = TestDatabase::tiny().await;
    let variables =
        [("REDIS_URL", &*format!("redis://{NOWHERE}")), ("APP_CACHE_LOCAL", "fast"), ("APP_SESSION_STORE", "memory")];
    let app = TestApp::start(&database, &variables).await;
    let before = app.cache.counters().total("local");
    for _ in 0..50 {
        assert_eq!(app.get("/").await.status, 200);
    }
    assert!(app.cache.counters().total("local") - before >= 45);
    // It is told by the database what no longer counts.
    database.execute("UPDATE posts SET title = 'Another title' WHERE id = 1").await;
    let started = Instant::now();
    while !app.get("/").await.body.contains("Another title") {
        assert!(started.elapsed() < Duration::from_millis(900), "only time made it notice");
    }
}
