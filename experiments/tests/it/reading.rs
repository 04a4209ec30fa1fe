//! The notebook in a browser, over real results: the page holds what the PDF holds, and the server's follows edits and runs.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    os::unix::fs::symlink,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use experiments::{
    results::{Failure, ResultsFolder},
    steps::STEPS,
};
use serde_json::Value;

use crate::{
    html,
    notebook::{experiments, said},
    pdf::{self, Pdf},
    report::ALLOWED,
    support::project_root,
};

/// What is in the PDF is on the page, and the page needs nothing else.
pub(crate) fn the_page_holds_what_the_pdf_holds(results: &Path) {
    let output = experiments(&["html"], results);
    assert!(output.status.success(), "{}", said(&output));
    let page = fs::read_to_string(results.join("report.html")).unwrap();
    let elsewhere = results.with_file_name("copy of the page.html");
    let output = experiments(&["html", "--output", &elsewhere.to_string_lossy()], results);
    assert!(output.status.success(), "{}", said(&output));
    assert!(page == fs::read_to_string(&elsewhere).unwrap(), "the same results gave another page");

    assert_eq!(
        page.matches(">current</span>").count() / 2,
        STEPS.len(),
        "each section and its entry in the contents say so"
    );
    nothing_is_missing(&page, &pdf::read(&results.join("report.pdf")));
}

/// Tables, charts and sections of the PDF are on the page, each number has its address, and nothing is loaded.
fn nothing_is_missing(page: &str, pdf: &Pdf) {
    for kind in ["Table", "Figure"] {
        let is_in = |number: usize| page.contains(&format!("<span class=\"number\">{kind} {number}.</span>"));
        let count = (1..).take_while(|number| pdf.contains(&format!("{kind} {number}."))).count();
        assert!(count > 0 && (1..=count).all(is_in), "not all of {kind} 1 to {count} are on the page");
        assert!(!is_in(count + 1), "{kind} {} is on the page and not in the PDF", count + 1);
    }
    for step in STEPS {
        let title = format!("</span> {}</h2>", step.title());
        assert!(page.contains(&title), "the section `{}` is not on the page", step.title());
        for name in step.figure_names() {
            assert!(
                page.contains(&format!("data-chart=\"{}_{name}\"", step.name())),
                "the chart `{name}` is not on the page"
            );
        }
    }
    assert!(page.contains("not for conclusions"), "a quick run must say what it is");
    assert_eq!(html::loaded(page), Vec::<String>::new());
    assert_eq!(html::broken_links(page), Vec::<String>::new());
    assert_eq!(html::numbers_without_address(page, ALLOWED), Vec::<String>::new());
}

/// A checkout whose templates may be edited; the rest is that of this one.
fn checkout(folder: &Path) {
    for name in ["app", "experiments", "nginx", "Cargo.lock", "Cargo.toml", "rust-toolchain.toml", ".tools"] {
        symlink(project_root().join(name), folder.join(name)).unwrap();
    }
    copy(&project_root().join("report-src"), &folder.join("report-src"));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)
        } else {
            let _ = fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A notebook's server; dropping it ends it.
struct Server {
    child: Child,
    url: String,
    /// What it prints goes on being read, or it would be told that nobody listens.
    _printed: BufReader<ChildStdout>,
}

impl Server {
    fn start(project: &Path, results: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_experiments"))
            .args(["notebook", "--port", "0", "--results"])
            .arg(results)
            .current_dir(project)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut printed = BufReader::new(child.stdout.take().unwrap());
        let url = loop {
            let mut line = String::new();
            assert!(printed.read_line(&mut line).unwrap() > 0, "it ended without an address");
            if let Some((_, rest)) = line.split_once("the notebook is at ") {
                break rest.split('/').take(3).collect::<Vec<_>>().join("/");
            }
        };
        Self { child, url, _printed: printed }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let response = client().get(format!("{}{path}", self.url)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn client() -> reqwest::Client {
    experiments::http::local().build().unwrap()
}

/// The news of a server, as a page hears them.
struct News {
    response: reqwest::Response,
    heard: String,
}

impl News {
    async fn of(server: &Server) -> Self {
        let response = client().get(format!("{}/events", server.url)).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, heard: String::new() }
    }

    /// The next news for which this is so.
    async fn until(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let wait = async {
            loop {
                while let Some((event, rest)) = self.heard.split_once("\n\n") {
                    let told = event.strip_prefix("data: ").map(|told| serde_json::from_str(told).unwrap());
                    self.heard = rest.to_owned();
                    if let Some(told) = told.filter(&is_so) {
                        return told;
                    }
                }
                let chunk = self.response.chunk().await.unwrap().expect("the server goes on");
                self.heard.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(30), wait).await;
        told.unwrap_or_else(|_| panic!("the page was not told in half a minute: {what}"))
    }
}

/// The page, its news after an edit, a mistake and an event of a run, its files, and who is refused.
pub(crate) fn the_notebook_follows_edits_and_runs(results: &Path) {
    let folder = tempfile::tempdir().unwrap();
    checkout(folder.path());
    let own = folder.path().join("results");
    copy(results, &own);
    let server = Server::start(folder.path(), &own);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        files_are_served_by_name(&server, results).await;
        others_are_refused(&server).await;
        edits_are_shown(&server, &folder.path().join("report-src/sections/cache.typ.j2")).await;
        a_run_is_followed(&server, folder.path()).await;
    });
}

async fn files_are_served_by_name(server: &Server, results: &Path) {
    let (status, page) = server.get("/").await;
    assert!(status == 200 && page.contains("data-events=\"/events\"") && page.contains("not for conclusions"));
    assert_eq!(html::loaded(&page), Vec::<String>::new());
    for (address, file) in [
        ("/summary/cache_arms.csv", "summary/cache_arms.csv"),
        ("/csv/cache/trials.csv", "cache/trials.csv"),
        ("/csv/cache/latencies.csv", "cache/latencies.csv"),
        ("/attached/cache_step.json", "cache/step.json"),
    ] {
        assert!(!address.starts_with("/csv/") || page.contains(&format!("href=\"{address}\"")), "no link to {address}");
        let (status, text) = server.get(address).await;
        assert!(status == 200 && text == fs::read_to_string(results.join(file)).unwrap(), "{address}: {status}");
    }
    for address in [
        "/csv/cache/step.json",
        "/csv/cache/..%2f..%2fCargo.lock",
        "/csv/..%2fapp/Cargo.toml",
        "/summary/..%2f.lock",
        "/x",
    ] {
        assert_eq!(server.get(address).await.0, 404, "{address}");
    }
}

async fn others_are_refused(server: &Server) {
    for (host, status) in [("loadbook.example", 421), ("127.0.0.1", 421), ("", 421)] {
        let answer = client().get(&server.url).header("host", host).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{host}");
        assert!(!answer.text().await.unwrap().contains("<html"), "{host}");
    }
    let own = client()
        .get(&server.url)
        .header("host", server.url.replace("http://127.0.0.1", "localhost"))
        .send()
        .await
        .unwrap();
    assert_eq!(own.status().as_u16(), 200);
    assert_eq!(own.headers()["x-content-type-options"], "nosniff");
    let policy = own.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
}

async fn edits_are_shown(server: &Server, template: &Path) {
    let mut news = News::of(server).await;
    let first = news.until("the first page", |told| told["version"].is_string()).await;
    assert_eq!((&first["error"], &first["run"]), (&Value::Null, &Value::Null));
    let whole = fs::read_to_string(template).unwrap();
    fs::write(template, format!("{whole}\nThis was added by an author.\n")).unwrap();
    let second = news.until("an edit", |told| told["version"] != first["version"]).await;
    assert!(server.get("/").await.1.contains("This was added by an author."));
    fs::write(template, "{{ value(\"cache.arms.nobody.p50_us\") }}\n").unwrap();
    let third = news.until("a mistake", |told| !told["error"].is_null()).await;
    let error = third["error"].as_str().unwrap();
    assert!(error.contains("sections/cache.typ.j2:1`: unknown value `cache.arms.nobody.p50_us`"), "{error}");
    assert_eq!(third["version"], second["version"], "the last good page stays");
    assert!(server.get("/").await.1.contains("This was added by an author."));
    fs::write(template, whole).unwrap();
    let last = news.until("its correction", |told| told["error"].is_null()).await;
    assert_eq!(last["version"], first["version"], "the same text gives the same page");
}

/// The log grows as a run writes it, and the lock names a process that lives: this one.
async fn a_run_is_followed(server: &Server, project: &Path) {
    let mut news = News::of(server).await;
    let log = project.join(".run/events-99990101T000000Z-1.jsonl");
    let begin = "{\"at_s\":0.0,\"step\":\"cache\",\"kind\":\"begin\",\"what\":\"preparing\"}\n";
    fs::write(&log, begin).unwrap();
    fs::write(project.join("results/.lock"), std::process::id().to_string()).unwrap();
    let told = news.until("a run", |told| told["run"]["step"] == "cache").await;
    assert_eq!(told["run"]["what"], "preparing");
    let piece = "{\"at_s\":1.5,\"step\":\"cache\",\"kind\":\"piece\",\"what\":\"block 2 of 8, all\",\"share\":0.125,\"anything\":1}\n";
    fs::write(&log, format!("{begin}{piece}")).unwrap();
    let told = news.until("a piece", |told| told["run"]["share"] == 0.125).await;
    assert_eq!(told["run"]["what"], "block 2 of 8, all");
    let failure = Failure {
        step: "cache".to_owned(),
        profile: "quick".to_owned(),
        failed_utc: "2026-01-01T00:00:00Z".to_owned(),
        error: "`nginx` ended with signal 9".to_owned(),
    };
    ResultsFolder::read_only(&project.join("results")).fail(&failure).unwrap();
    news.until("a step that failed", |later| later["version"] != told["version"]).await;
    let (_, page) = server.get("/").await;
    assert!(page.contains("ended with signal 9"));
    assert!(page.contains("<span class=\"state failed\" data-state=\"cache\">failed</span>"));
    fs::write(project.join("results/.lock"), i32::MAX.to_string()).unwrap();
    news.until("the end of the run", |told| told["run"].is_null()).await;
}

#[test]
fn a_notebook_without_results_says_so_and_a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    let output = experiments(&["html", "--output", &page.to_string_lossy()], &folder.path().join("results"));
    assert!(output.status.success(), "{}", said(&output));
    assert!(fs::read_to_string(page).unwrap().contains("There are no results yet. <code>just quick</code>"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = experiments(&["notebook", "--port", &port], folder.path());
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(
        said(&output).contains(&format!("port `{port}` is in use; choose another with `--port`")),
        "{}",
        said(&output)
    );
}
