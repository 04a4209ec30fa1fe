//! What the server counts, and to whom it tells.

use std::fs;
use std::path::Path;

use crate::harness::{TestApp, TestDatabase, read};

/// The value of one line of the metrics.
fn value(metrics: &str, line: &str) -> f64 {
    let value = metrics.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no `{line}` in:\n{metrics}")).parse().unwrap()
}

/// Requests are counted by the template of their address, whatever it was filled with.
#[tokio::test]
async fn requests_are_counted() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    for path in ["/posts/1", "/posts/2", "/posts/3", "/posts/999", "/posts/x", "/nowhere", "/else/where", "/livez"] {
        app.get(path).await;
    }
    let metrics = app.get("/metrics").await;
    assert_eq!(metrics.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(metrics.header("cache-control"), "no-store");
    let metrics = metrics.body;
    for (line, expected) in [
        (r#"http_requests_total{route="/posts/{id}",method="GET",status="2xx"}"#, 3.0),
        (r#"http_requests_total{route="/posts/{id}",method="GET",status="4xx"}"#, 2.0),
        (r#"http_requests_total{route="other",method="GET",status="4xx"}"#, 2.0),
        (r#"http_request_duration_seconds_count{route="/posts/{id}"}"#, 5.0),
        ("http_requests_in_flight", 1.0),
        ("http_requests_shed_total", 0.0),
        ("http_panics_total", 0.0),
        ("database_away", 0.0),
        ("sessions_begun_total", 0.0),
        ("passwords_in_work", 0.0),
        (r#"app_build_info{version="0.0.0",name="app-1"}"#, 1.0),
    ] {
        assert_eq!(value(&metrics, line), expected, "{line}");
    }
    assert!(value(&metrics, "database_connections_open") >= 1.0);
    assert!(value(&metrics, "process_cpu_seconds_total") >= 0.0);
    assert!(value(&metrics, "process_resident_memory_bytes") > 1e6);
    assert!(!metrics.contains("/posts/1\"") && !metrics.contains("nowhere"));
    assert!(metrics.ends_with("# EOF\n"));
}

/// Two servers in one process do not count for each other.
#[tokio::test]
async fn each_server_counts_for_itself() {
    let database = TestDatabase::migrated().await;
    let one = TestApp::start(&database, &[]).await;
    let other = TestApp::start(&database, &[]).await;
    one.get("/livez").await;
    let line = r#"http_requests_total{route="/livez""#;
    assert!(one.get("/metrics").await.body.contains(line));
    assert!(!other.get("/metrics").await.body.contains(line));
}

/// What came through a proxy came from outside, and there is no such page for it.
#[tokio::test]
async fn the_counts_are_not_for_the_world() {
    let database = TestDatabase::migrated().await;
    let app = TestApp::start(&database, &[("APP_TRUSTED_PROXIES", "127.0.0.1")]).await;
    assert_eq!(app.get("/metrics").await.status, 200);
    for header in ["x-real-ip", "x-forwarded-for", "forwarded", "x-forwarded-proto"] {
        let page = read(app.client.get(format!("{}/metrics", app.base_url)).header(header, "127.0.0.1")).await;
        assert_eq!(page.status, 404, "{header}");
        assert!(!page.body.contains("http_requests"));
    }
}

/// Every address that a router is given is one that the metrics know, so that no route is counted as `other`.
#[test]
fn every_route_has_a_label() {
    let mut files = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/routes")];
    let mut missing = Vec::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let source: String = fs::read_to_string(&path).unwrap().split_whitespace().collect();
        for rest in source.split(".route(\"").skip(1) {
            let template = rest.split('"').next().unwrap().to_owned();
            if !app::routes::ADDRESSES.contains(&template.as_str()) {
                missing.push(template);
            }
        }
    }
    assert!(missing.is_empty(), "add {missing:?} to `ADDRESSES` in `src/routes/mod.rs`");
}
