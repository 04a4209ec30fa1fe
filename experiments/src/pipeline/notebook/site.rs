//! What the notebook's server answers: the page, its news, and the files of the results that records and summaries name. It reads no
//! path from a request, and answers nobody who came under another name than that of this machine.

use std::{
    convert::Infallible,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    extract::{Path, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{
        Html, IntoResponse as _, Response, Sse,
        sse::{Event, KeepAlive},
    },
    routing::get,
};
use futures_core::Stream;
use tokio::sync::{mpsc, watch::Receiver};

use super::watch::Shown;
use crate::{
    report::Document,
    results::{ResultsFolder, hash_bytes},
    steps::STEPS,
};

/// What every answer needs.
#[derive(Debug, Clone)]
pub(super) struct Site {
    /// The port, which is part of the name under which readers come.
    pub(super) port: u16,
    /// The folder of results.
    pub(super) results: PathBuf,
    /// What is shown, always the newest.
    pub(super) shown: Receiver<Arc<Shown>>,
}

impl Site {
    pub(super) fn router(self) -> Router {
        Router::new()
            .route("/", get(page))
            .route("/events", get(events))
            .route("/summary/{file}", get(summary))
            .route("/attached/{name}", get(attached))
            .route("/csv/{step}/{file}", get(rows))
            .layer(middleware::from_fn_with_state(self.clone(), guard))
            .with_state(self)
    }

    fn document(&self) -> Option<Arc<Document>> {
        self.shown.borrow().document.clone()
    }
}

/// Another site may have its own name lead to this machine, so that its scripts could read the notebook; they come under that name.
async fn guard(State(site): State<Site>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let own = ["127.0.0.1", "localhost"].map(|name| format!("{name}:{}", site.port));
    if !own.iter().any(|name| name == host) {
        let remedy = format!("the notebook is at http://{}/ and has no other name\n", own[0]);
        return (StatusCode::MISDIRECTED_REQUEST, remedy).into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static("default-src 'none'"));
    response
}

async fn page(State(site): State<Site>) -> Response {
    let shown = site.shown.borrow().clone();
    let Some(page) = &shown.page else {
        return (StatusCode::INTERNAL_SERVER_ERROR, Html(without_page(shown.error.as_deref()))).into_response();
    };
    let policy = format!("{}; frame-ancestors 'none'", page.policy);
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(page.html.clone())).into_response()
}

/// What is shown before a first page could be made: the reason, and another attempt every other second.
fn without_page(error: Option<&str>) -> String {
    let escaped = error.unwrap_or("there is no page yet").replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"2\"><title>Loadbook</title>\
         </head><body><h1>The page could not be made</h1><pre>{escaped}</pre></body></html>"
    )
}

async fn events(State(site): State<Site>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (sender, receiver) = mpsc::channel(1);
    let mut shown = site.shown;
    tokio::spawn(async move {
        loop {
            let told = serde_json::to_string(&shown.borrow_and_update().told()).unwrap_or_default();
            let is_gone = sender.send(Event::default().data(told)).await.is_err();
            if is_gone || shown.changed().await.is_err() {
                return;
            }
        }
    });
    Sse::new(News(receiver)).keep_alive(KeepAlive::default())
}

/// The events for one reader.
struct News(mpsc::Receiver<Event>);

impl Stream for News {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|event| event.map(Ok))
    }
}

async fn summary(State(site): State<Site>, Path(file): Path<String>) -> Response {
    let document = site.document();
    let table = document.iter().flat_map(|document| &document.tables).find(|table| table.file() == file);
    match table.map(|table| table.to_csv()) {
        Some(Ok(bytes)) => download(&file, "text/csv; charset=utf-8", bytes),
        Some(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
        None => unknown(&file),
    }
}

async fn attached(State(site): State<Site>, Path(name): Path<String>) -> Response {
    let document = site.document();
    let attachments = document.iter().flat_map(|document| &document.attachments);
    match attachments.into_iter().find(|attachment| attachment.name == name) {
        Some(attachment) => download(&name, &attachment.media_type, attachment.bytes.clone()),
        None => unknown(&name),
    }
}

/// What was measured, row by row: a file that the step's record names, with the bytes that the record vouches for.
async fn rows(State(site): State<Site>, Path((step, file)): Path<(String, String)>) -> Response {
    let results = ResultsFolder::read_only(&site.results);
    let is_step = STEPS.iter().any(|known| known.name() == step);
    let record = if is_step { results.record(&step).ok().flatten() } else { None };
    let Some(table) = record.iter().flat_map(|record| &record.tables).find(|table| table.file == file) else {
        return unknown(&format!("{step}/{file}"));
    };
    match tokio::fs::read(results.step(&step).join(&table.file)).await {
        Ok(bytes) if hash_bytes(&bytes) == table.sha256 => {
            download(&format!("{step}_{file}"), "text/csv; charset=utf-8", bytes)
        }
        Ok(_) => {
            let words = format!(
                "`results/{step}/{file}` is not what was measured; measure again with `just all --force {step}`\n"
            );
            (StatusCode::CONFLICT, words).into_response()
        }
        Err(error) => {
            (StatusCode::NOT_FOUND, format!("cannot read `results/{step}/{file}`: {error}\n")).into_response()
        }
    }
}

fn download(name: &str, media_type: &str, bytes: Vec<u8>) -> Response {
    let disposition = format!("attachment; filename=\"{}\"", name.replace(['"', '\\', '\n', '\r'], "_"));
    ([(header::CONTENT_TYPE, media_type.to_owned()), (header::CONTENT_DISPOSITION, disposition)], bytes).into_response()
}

fn unknown(name: &str) -> Response {
    let name: String = name.chars().take(80).collect();
    (StatusCode::NOT_FOUND, format!("the results have no file `{name}`\n")).into_response()
}
