//! A database of its own for each test, and the app on top of it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use app::cache::Cache;
use app::config::Config;
use app::db::{self, Indexes};
use app::server::Server;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

/// An address at which nothing listens: port 1 needs privileges that no test has.
pub(crate) const NOWHERE: &str = "127.0.0.1:1";

fn service(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("`{variable}` is not set; run the tests with `./just test`, which starts the services")
    })
}

/// The Redis server for tests.
pub(crate) fn redis_url() -> String {
    service("TEST_REDIS_URL")
}

/// A database that lives as long as the test.
pub(crate) struct TestDatabase {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) pool: PgPool,
}

impl TestDatabase {
    /// A database without a schema.
    pub(crate) async fn empty() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("app_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        // A database of this name is left over from a process of the same number that was killed.
        maintain(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        maintain(&format!("CREATE DATABASE {name}")).await;
        let url = with_database(&service("TEST_DATABASE_URL"), &name);
        let options: PgConnectOptions = url.parse().unwrap();
        let pool = PgPoolOptions::new().max_connections(3).connect_with(options).await.unwrap();
        Self { name, url, pool }
    }

    /// A database with the schema and no rows.
    pub(crate) async fn migrated() -> Self {
        let database = Self::empty().await;
        db::migrate(&database.pool, Indexes::With).await.unwrap();
        database
    }

    /// A database with the few fixed rows of [`TINY`].
    pub(crate) async fn tiny() -> Self {
        let database = Self::migrated().await;
        sqlx::raw_sql(TINY).execute(&database.pool).await.unwrap();
        database
    }

    pub(crate) async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.pool).await.unwrap();
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let drop_database = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // `drop` cannot wait for a future of the test's own runtime, and must wait, or the process would end first.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(maintain(&drop_database));
        });
        let _ = dropping.join();
    }
}

async fn maintain(sql: &str) {
    let mut connection = PgConnection::connect(&service("TEST_DATABASE_URL")).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// The same server, another database: the last part of the path is replaced, parameters stay.
fn with_database(url: &str, name: &str) -> String {
    let (address, parameters) =
        url.split_once('?').map_or((url, String::new()), |(address, rest)| (address, format!("?{rest}")));
    let (server, _) = address.rsplit_once('/').expect("`TEST_DATABASE_URL` names no database");
    format!("{server}/{name}{parameters}")
}

/// Two authors, three posts of which two are of the same instant, and comments on one of them.
pub(crate) const TINY: &str = "
    INSERT INTO users (username, email, password_hash, bio) VALUES
        ('Ada', 'ada@example.org', '!', 'Writes about engines.'), ('grace', 'grace@example.org', '!', '');
    INSERT INTO tags (name) VALUES ('notes'), ('engines');
    INSERT INTO posts (author_id, title, content, created_at) VALUES
        (1, 'On the engine', E'It weaves patterns.\\n\\nIt originates nothing.', '2025-03-01 10:00:00+00'),
        (2, 'A moth in the relay', 'It was found at 15:45.', '2025-03-02 10:00:00+00'),
        (1, '<b>Bold</b> & \"quoted\"', '<script>alert(1)</script>', '2025-03-02 10:00:00+00');
    INSERT INTO post_tags (post_id, tag_id) VALUES (1, 1), (1, 2), (2, 1);
    INSERT INTO comments (post_id, author_id, content, created_at) VALUES
        (1, 2, 'First.', '2025-03-01 11:00:00+00'), (1, 1, '<i>Second</i> & last.', '2025-03-01 12:00:00+00');
";

/// The variables of a server on this database: all levels of the cache on, under a prefix of their own.
pub(crate) fn variables(database: &TestDatabase) -> Vec<(&'static str, String)> {
    vec![
        ("APP_MODE", "development".to_owned()),
        // Hashing as production does it would be most of what the tests do.
        ("APP_PASSWORD_MEMORY_KIB", "64".to_owned()),
        ("APP_NAME", "app-1".to_owned()),
        ("APP_LISTEN", "127.0.0.1:0".to_owned()),
        ("APP_CACHE_PREFIX", database.name.clone()),
        ("APP_WORKER_THREADS", "1".to_owned()),
        ("DATABASE_URL", database.url.clone()),
        ("REDIS_URL", redis_url()),
    ]
}

/// The usual configuration of a server on this database, with some variables replaced.
pub(crate) fn config(database: &TestDatabase, replaced: &[(&str, &str)]) -> Config {
    let usual = variables(database);
    let config = Config::from_lookup(|name| {
        let replacement = replaced.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        replacement.or_else(|| usual.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone()))
    });
    config.unwrap()
}

/// The app, serving in the background of the test.
pub(crate) struct TestApp {
    pub(crate) base_url: String,
    pub(crate) client: reqwest::Client,
    pub(crate) cache: Cache,
}

/// A response that was read to its end.
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl TestApp {
    /// Starts the app with the usual variables, some of them replaced, and waits until it listens to the database: it serves after a
    /// second all the same, and one that is late forgets everything once more, in the midst of what a test looks at.
    pub(crate) async fn start(database: &TestDatabase, replaced: &[(&str, &str)]) -> Self {
        let app = Self::serve(Server::bind(config(database, replaced)).await.unwrap());
        let started = Instant::now();
        // The first thing that is invalidated is everything, by who begins to listen.
        while app.cache.breaker_state().is_some() && app.cache.counters().total("cache_bumps") == 0 {
            assert!(started.elapsed() < Duration::from_secs(10), "the app does not listen to the database");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        app
    }

    /// Starts the app as [`Self::start`] does, but the database is away.
    pub(crate) async fn start_without_database(database: &TestDatabase) -> Self {
        let url = format!("postgres://nobody@{NOWHERE}/none");
        Self::serve(Server::bind(config(database, &[("DATABASE_URL", &url)])).await.unwrap())
    }

    /// Lets a server that is bound already serve.
    pub(crate) fn serve(server: Server) -> Self {
        let base_url = format!("http://{}", server.address());
        let cache = server.state().cache.clone();
        tokio::spawn(server.run(std::future::pending()));
        Self { base_url, client: client(), cache }
    }

    pub(crate) async fn get(&self, path: &str) -> Page {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Page {
        let request = self.client.get(format!("{}{path}", self.base_url));
        read(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    /// Where it listens.
    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Sends a form; the values may hold any character.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.post_raw(path, "application/x-www-form-urlencoded", form(fields)).await
    }

    /// Any request.
    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Page {
        let mut request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.base_url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.body(body)).await
    }

    pub(crate) async fn post_raw(&self, path: &str, content_type: &str, body: String) -> Page {
        let request = self.client.post(format!("{}{path}", self.base_url));
        read(request.header("content-type", content_type).body(body)).await
    }
}

/// The body of a form.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let mut body = String::new();
    for (name, value) in fields {
        let separator = if body.is_empty() { "" } else { "&" };
        body.push_str(&format!("{separator}{name}="));
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() {
                body.push(char::from(byte))
            } else {
                body.push_str(&format!("%{byte:02x}"))
            }
        }
    }
    body
}

/// A client that shows redirects instead of following them.
pub(crate) fn client() -> reqwest::Client {
    // Compressed only where a test asks: other crates of the workspace switch that on for every client.
    reqwest::Client::builder().no_gzip().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

pub(crate) async fn read(request: reqwest::RequestBuilder) -> Page {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Page { status, headers, body: response.text().await.unwrap() }
}
