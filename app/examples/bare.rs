//! The floor: a bare axum server that returns one captured response, byte for byte, with the same headers. What the app costs more than
//! this is what its routes, its cache and its edge cost. It knows nothing of the app, and leaves out everything that a server on the
//! open internet needs: no limits, no time-outs, no request ids, no metrics, no log, no orderly stop.
//!
//! `bare --listen 127.0.0.1:0 --response FILE [--redis URL --key K…]`, where `FILE` is what `curl -si` wrote. It prints
//! `listening on http://ADDRESS`, as the app does. With `--redis`, each request waits for one `MGET` of the keys first, and the answer
//! is thrown away: that is the least that a page from a shared cache can cost.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use bytes::Bytes;
use clap::Parser;
use redis::IntoConnectionInfo;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use tokio::net::TcpListener;

/// Returns one captured response to every request.
#[derive(Parser)]
struct Arguments {
    /// Address and port; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The response, head and body, as `curl -si` writes it
    #[arg(long)]
    response: PathBuf,
    /// Ask this Redis server before each response
    #[arg(long, requires = "key")]
    redis: Option<String>,
    /// A key to ask for; may be given several times
    #[arg(long, requires = "redis")]
    key: Vec<String>,
    /// How many threads serve
    #[arg(long, env = "APP_WORKER_THREADS", default_value_t = 1)]
    worker_threads: usize,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let captured = std::fs::read(&arguments.response)
        .with_context(|| format!("cannot read `{}`", arguments.response.display()))?;
    let page = Page::parse(&captured).with_context(|| {
        format!("`{}` is not a response with its head; write it with `curl -si`", arguments.response.display())
    })?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(arguments.worker_threads).enable_all().build()?.block_on(serve(arguments, page))
}

async fn serve(arguments: Arguments, page: Page) -> anyhow::Result<()> {
    let router = match &arguments.redis {
        None => {
            let state = Arc::new(page);
            Router::new().route("/", get(answer)).fallback(get(answer)).with_state(state)
        }
        Some(redis_url) => {
            let mut question = redis::cmd("MGET");
            question.arg(&arguments.key);
            let state = Arc::new(AfterRedis { page, connection: connect(redis_url).await?, question });
            Router::new().route("/", get(answer_after_redis)).fallback(get(answer_after_redis)).with_state(state)
        }
    };
    let listener = TcpListener::bind(arguments.listen).await.context("cannot bind the address")?;
    println!("listening on http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, router).await?)
}

async fn answer(State(page): State<Arc<Page>>) -> Response {
    page.response()
}

async fn answer_after_redis(State(state): State<Arc<AfterRedis>>) -> Response {
    let answer: redis::RedisResult<Vec<Option<Vec<u8>>>> =
        state.question.query_async(&mut state.connection.clone()).await;
    match answer {
        Ok(values) if values.iter().all(Option::is_some) => state.page.response(),
        // A key that is gone would make the comparison too easy, so it must not pass as a success.
        Ok(_) => (StatusCode::BAD_GATEWAY, "a key is missing\n").into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

async fn connect(redis_url: &str) -> anyhow::Result<MultiplexedConnection> {
    let info = redis_url.into_connection_info().context("`--redis` is not a Redis address")?;
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    redis::Client::open(info)?.get_multiplexed_async_connection().await.context("cannot connect to Redis")
}

struct AfterRedis {
    page: Page,
    connection: MultiplexedConnection,
    question: redis::Cmd,
}

/// A response that can be given away many times.
struct Page {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Page {
    fn response(&self) -> Response {
        // Not as a tuple: that would put every header into another map, one by one, which costs more than all the rest.
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }

    /// Reads a head and a body. What the server itself writes for each response is left out, so that it is not there twice.
    fn parse(captured: &[u8]) -> anyhow::Result<Self> {
        let end =
            captured.windows(4).position(|window| window == b"\r\n\r\n").context("there is no end of the head")?;
        let head = std::str::from_utf8(&captured[..end]).context("the head is not text")?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("there is no status")?;
        let mut headers = HeaderMap::new();
        for line in lines {
            let Some((name, value)) = line.split_once(':') else { bail!("`{line}` is not a header") };
            headers.append(HeaderName::try_from(name)?, HeaderValue::try_from(value.trim())?);
        }
        for name in [CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING] {
            headers.remove(name);
        }
        Ok(Self { status: status.parse()?, headers, body: Bytes::copy_from_slice(&captured[end + 4..]) })
    }
}
