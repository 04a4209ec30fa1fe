//! NGINX over two small servers that say their names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

use experiments::stack::{Balancing, Nginx, NginxOptions, PortInUse, RunFolder};
use reqwest::Client;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::support::{open_folder, processes_in, project_root, run_folder};

/// A server that answers every request with its name, on connections that are kept. Aborting it closes them all.
async fn named_server(name: &'static str) -> (SocketAddr, AbortHandle) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(answer(stream, name));
        }
    });
    (address, task.abort_handle())
}

async fn answer(mut stream: TcpStream, name: &'static str) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece).await? {
            0 => return Ok(()),
            count => request.extend_from_slice(&piece[..count]),
        }
        if request.ends_with(b"\r\n\r\n") {
            stream.write_all(&reply(name, &request)).await?;
            request.clear();
        }
    }
}

/// What NGINX sent is the body, so that a test can look at it; 304 for whoever knows the page, no body for HEAD, and 503 for
/// the page that asks for it.
fn reply(name: &str, request: &[u8]) -> Vec<u8> {
    let request = String::from_utf8_lossy(request);
    let status = match () {
        () if request.contains("if-none-match: \"page\"") => "304 Not Modified",
        () if request.starts_with("GET /unavailable ") => "503 Service Unavailable",
        () => "200 OK",
    };
    let length =
        if status.starts_with("304") { String::new() } else { format!("Content-Length: {}\r\n", request.len()) };
    let body = if request.starts_with("HEAD ") || status.starts_with("304") { "" } else { &*request };
    format!("HTTP/1.1 {status}\r\nX-Served-By: {name}\r\nETag: \"page\"\r\n{length}\r\n{body}").into_bytes()
}

/// Sends a request, and returns who answered and the cookie that was set.
async fn ask(client: &Client, nginx: &Nginx, cookie: Option<&str>) -> (String, Option<String>) {
    let mut request = client.get(format!("{}/page", nginx.url()));
    if let Some(cookie) = cookie {
        request = request.header("Cookie", cookie);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    (header("x-served-by").unwrap(), header("set-cookie"))
}

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

async fn pair() -> (Vec<SocketAddr>, [AbortHandle; 2]) {
    let ((a, stop_a), (b, stop_b)) = (named_server("app-1").await, named_server("app-2").await);
    (vec![a, b], [stop_a, stop_b])
}

async fn start(folder: &RunFolder, upstreams: Vec<SocketAddr>, balancing: Balancing) -> Nginx {
    let template = project_root().join("nginx/nginx.conf.template");
    let options = NginxOptions { balancing, access_log: true, workers: 2, ..NginxOptions::new(template, upstreams) };
    Nginx::start(folder, &options).await.unwrap()
}

#[tokio::test]
async fn round_robin_spreads_evenly_and_ignores_the_cookie() {
    let runs = open_folder();
    let folder = run_folder(&runs);
    let (upstreams, _servers) = pair().await;
    let nginx = start(&folder, upstreams, Balancing::RoundRobin).await;
    let client = client();
    let mut counts = BTreeMap::<String, u32>::new();
    for _ in 0..100 {
        let (server, cookie) = ask(&client, &nginx, Some("srv=a")).await;
        assert_eq!(cookie, None);
        *counts.entry(server).or_default() += 1;
    }
    assert_eq!(counts, BTreeMap::from([("app-1".to_owned(), 50), ("app-2".to_owned(), 50)]));

    let status = client.get(nginx.status_url()).send().await.unwrap().text().await.unwrap();
    assert!(status.starts_with("Active connections:"), "{status}");
    let log = nginx.log_path();
    nginx.stop().await.unwrap();
    let lines = std::fs::read_to_string(log).unwrap();
    assert_eq!(lines.lines().count(), 100, "the access log is complete after the stop");
    for line in lines.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(entry["status"], 200);
        assert_eq!(entry["pool"], "app");
    }
    assert_eq!(processes_in(runs.path()), Vec::<String>::new());
}

#[tokio::test]
async fn the_configuration_is_told_without_the_place_where_it_ran() {
    let runs = open_folder();
    let (upstreams, _servers) = pair().await;
    let nginx = start(&run_folder(&runs), upstreams.clone(), Balancing::Sticky).await;
    let configuration = nginx.configuration().unwrap();
    assert!(configuration.contains(&format!("server {}", upstreams[0])), "{configuration}");
    assert!(configuration.contains("pid \"${NGINX_FOLDER}/nginx.pid\";"), "{configuration}");
    assert!(!configuration.contains(&*runs.path().to_string_lossy()), "{configuration}");
}

#[tokio::test]
async fn sticky_keeps_a_client_and_survives_its_server() {
    let runs = open_folder();
    let (upstreams, [stop_first, _]) = pair().await;
    let nginx = start(&run_folder(&runs), upstreams, Balancing::Sticky).await;
    let client = client();
    for (cookie, server) in [("srv=a", "app-1"), ("x=1; srv=b", "app-2")] {
        for _ in 0..20 {
            assert_eq!(ask(&client, &nginx, Some(cookie)).await, (server.to_owned(), None));
        }
    }
    // Whoever has no session, or forges one, is served in turn, and gets no cookie from the balancer.
    for cookie in [None, Some("srv=forged"), Some("srv=")] {
        let mut servers = BTreeSet::new();
        for _ in 0..20 {
            let (server, set) = ask(&client, &nginx, cookie).await;
            assert_eq!(set, None);
            servers.insert(server);
        }
        assert_eq!(servers.len(), 2, "{cookie:?} was served by {servers:?} alone");
    }

    stop_first.abort();
    for _ in 0..20 {
        assert_eq!(ask(&client, &nginx, Some("srv=a")).await, ("app-2".to_owned(), None));
    }
}

#[tokio::test]
async fn the_app_learns_who_asks() {
    let runs = open_folder();
    let (mut upstreams, _servers) = pair().await;
    upstreams.truncate(1);
    let nginx = start(&run_folder(&runs), upstreams, Balancing::RoundRobin).await;
    let request = client().get(format!("{}/page?x=%20y", nginx.url())).header("X-Forwarded-For", "1.2.3.4");
    let response = request.send().await.unwrap();
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let body = response.text().await.unwrap();
    let has = |line: &str| assert!(body.lines().any(|found| found == line), "`{line}` is not in\n{body}");
    has("GET /page?x=%20y HTTP/1.1");
    has(&format!("Host: {}", nginx.address()));
    has(&format!("X-Request-Id: {id}"));
    has("X-Forwarded-For: 127.0.0.1");
    has("X-Real-IP: 127.0.0.1");
    assert!(!body.contains("Connection:"), "{body}");
}

/// The balancer changes nothing of a conditional request, of HEAD, and of what a server says of itself.
#[tokio::test]
async fn questions_about_a_page_reach_the_app() {
    let runs = open_folder();
    let (upstreams, _servers) = pair().await;
    let nginx = start(&run_folder(&runs), upstreams, Balancing::RoundRobin).await;
    let (client, url) = (client(), format!("{}/page", nginx.url()));
    let head = client.head(&url).send().await.unwrap();
    assert_eq!((head.status().as_u16(), &head.headers()["etag"]), (200, &"\"page\"".parse().unwrap()));
    assert!(head.headers()["content-length"].to_str().unwrap().parse::<u32>().unwrap() > 0);
    let known = client.get(&url).header("If-None-Match", "\"page\"").send().await.unwrap();
    assert_eq!((known.status().as_u16(), &known.headers()["etag"]), (304, &"\"page\"".parse().unwrap()));
    let compressed = client.get(&url).header("Accept-Encoding", "gzip").send().await.unwrap();
    assert!(compressed.headers().get("content-encoding").is_none());
    assert!(
        compressed.text().await.unwrap().contains("accept-encoding: gzip"),
        "the app compresses, so it has to know"
    );
}

/// A server that answers 503 is there: it is not left out, and nobody asks the other one the same.
#[tokio::test]
async fn an_overloaded_server_keeps_its_place() {
    let runs = open_folder();
    let (upstreams, _servers) = pair().await;
    let nginx = start(&run_folder(&runs), upstreams, Balancing::RoundRobin).await;
    let client = client();
    for _ in 0..20 {
        let response = client.get(format!("{}/unavailable", nginx.url())).send().await.unwrap();
        assert_eq!(response.status(), 503);
    }
    let mut counts = BTreeMap::<String, u32>::new();
    for _ in 0..20 {
        *counts.entry(ask(&client, &nginx, None).await.0).or_default() += 1;
    }
    assert_eq!(counts.values().copied().collect::<Vec<_>>(), [10, 10]);
}

#[tokio::test]
async fn what_is_not_for_the_public_ends_at_the_balancer() {
    let runs = open_folder();
    let (upstreams, _servers) = pair().await;
    let nginx = start(&run_folder(&runs), upstreams, Balancing::RoundRobin).await;
    let client = client();
    for (path, status, from_app) in [
        ("/metrics", 404, false),
        ("/metrics?x=1", 404, false),
        ("/%6Detrics", 404, false),
        ("//metrics", 404, false),
        ("/metrics/", 200, true),
        ("/posts/metrics", 200, true),
    ] {
        let response = client.get(format!("{}{path}", nginx.url())).send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.headers().contains_key("x-served-by")),
            (status, from_app),
            "{path}"
        );
    }
    let too_long = client.post(format!("{}/page", nginx.url())).body("x".repeat(1280 * 1024 + 1)).send().await.unwrap();
    assert_eq!(too_long.status(), 413);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let runs = open_folder();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let listen = listener.local_addr().unwrap();
    let (upstreams, _servers) = pair().await;
    let template = project_root().join("nginx/nginx.conf.template");
    let options = NginxOptions { listen, ..NginxOptions::new(template, upstreams) };
    let error = Nginx::start(&run_folder(&runs), &options).await.unwrap_err();
    assert_eq!(error.downcast_ref::<PortInUse>().unwrap().port, listen.port());
    let remedy = "choose another with `--port` or stop what listens there";
    assert_eq!(error.to_string(), format!("port `{}` is in use; {remedy}", listen.port()));
}
