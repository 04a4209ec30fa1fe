//! Everything together: the app's own servers behind NGINX, on PostgreSQL and Redis.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use app::db::{Indexes, migrate};
use experiments::stack::{
    AppOptions, AppServer, CacheLevels, Ended, Nginx, NginxOptions, PostgresSettings, RedisSettings, RunFolder, Stack,
};
use sqlx::PgPool;

use crate::support::{open_folder, processes_in, project_root, run_folder};

/// The app is built beside the program under test.
fn app_binary() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_experiments")).with_file_name("app");
    assert!(binary.is_file(), "`{}` is missing; run `cargo build --release --workspace`", binary.display());
    binary
}

fn app_options(stack: &Stack, name: &str) -> AppOptions {
    let caches = CacheLevels { view: false, fragment: true, value: true };
    let (database, redis) = (stack.postgres.url("blog"), stack.redis.url());
    AppOptions { caches, ..AppOptions::new(app_binary(), name, database, redis) }
}

async fn site(folder: &RunFolder) -> Stack {
    let mut stack = Stack::start(folder, &PostgresSettings::default(), &RedisSettings::default()).await.unwrap();
    stack.postgres.create_database("blog", None).await.unwrap();
    let pool = PgPool::connect(&stack.postgres.url("blog")).await.unwrap();
    migrate(&pool, Indexes::With).await.unwrap();
    pool.close().await;
    for name in ["app-1", "app-2"] {
        stack.apps.push(AppServer::start(folder, &app_options(&stack, name)).await.unwrap());
    }
    let upstreams = stack.apps.iter().map(AppServer::address).collect();
    let options = NginxOptions::new(project_root().join("nginx/nginx.conf.template"), upstreams);
    stack.nginx = Some(Nginx::start(folder, &options).await.unwrap());
    stack
}

#[tokio::test]
async fn a_site_answers_from_both_servers_and_leaves_nothing() {
    let runs = open_folder();
    let stack = site(&run_folder(&runs)).await;
    let names: Vec<String> = stack.components().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["nginx", "app-1", "app-2", "redis", "postgres"]);

    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = stack.nginx.as_ref().unwrap().url();
    let mut servers = BTreeSet::new();
    for _ in 0..4 {
        let response = client.get(&url).send().await.unwrap();
        assert_eq!(response.status(), 200);
        servers.insert(response.headers()["x-served-by"].to_str().unwrap().to_owned());
    }
    assert_eq!(servers.into_iter().collect::<Vec<_>>(), ["app-1", "app-2"]);
    stack.stop().await.unwrap();
    assert_eq!(processes_in(runs.path()), Vec::<String>::new());
}

#[tokio::test]
async fn an_app_that_refuses_its_configuration_shows_why() {
    let runs = open_folder();
    let folder = run_folder(&runs);
    let options = AppOptions::new(app_binary(), "app-1", "nonsense".to_owned(), "redis://127.0.0.1:1/0".to_owned());
    let error = AppServer::start(&folder, &options).await.unwrap_err();
    let ended: &Ended = error.downcast_ref().unwrap();
    assert_eq!(ended.name, "app-1");
    assert!(ended.tail.contains("DATABASE_URL"), "{error}");
}
