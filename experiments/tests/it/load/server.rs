//! A small HTTP server that does what a test tells it to, and remembers what it was asked.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What was asked.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub cookie: Option<String>,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Counted from 0.
    pub number: usize,
    /// Since the first request.
    pub elapsed: Duration,
}

/// What to answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: String,
    pub body: String,
    /// Before the headers.
    pub wait: Duration,
    /// Between the headers and the body.
    pub body_wait: Duration,
    /// Whether the connection ends in the middle of the body.
    pub breaks_off: bool,
}

impl Reply {
    pub fn ok(body: &str) -> Self {
        Self {
            status: 200,
            headers: String::new(),
            body: body.to_owned(),
            wait: Duration::ZERO,
            body_wait: Duration::ZERO,
            breaks_off: false,
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers += &format!("{name}: {value}\r\n");
        self
    }
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// The server; it ends with the test's runtime.
pub struct Server {
    address: std::net::SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub async fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (handler, kept): (Arc<Handler>, _) = (Arc::new(handler), Arc::clone(&seen));
        let first = Arc::new(std::sync::OnceLock::new());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve(stream, Arc::clone(&handler), Arc::clone(&kept), Arc::clone(&first)));
            }
        });
        Self { address, seen }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub fn paths(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|request| request.path.clone()).collect()
    }

    pub fn cookies(&self) -> Vec<Option<String>> {
        self.seen.lock().unwrap().iter().map(|request| request.cookie.clone()).collect()
    }

    /// What each request said under this name.
    pub fn header(&self, name: &str) -> Vec<Option<String>> {
        let seen = self.seen.lock().unwrap();
        let of =
            |request: &Request| request.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        seen.iter().map(of).collect()
    }

    pub fn bodies(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|request| request.body.clone()).collect()
    }
}

async fn serve(
    stream: TcpStream,
    handler: Arc<Handler>,
    seen: Arc<Mutex<Vec<Request>>>,
    first: Arc<std::sync::OnceLock<Instant>>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let path = line.split(' ').nth(1)?.to_owned();
        let (mut cookie, mut length, mut headers) = (None, 0, Vec::new());
        loop {
            let mut header = String::new();
            stream.read_line(&mut header).await.ok()?;
            let Some((name, value)) = header.trim_end().split_once(": ") else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
            match name.to_ascii_lowercase().as_str() {
                "cookie" => cookie = Some(value.to_owned()),
                "content-length" => length = value.parse().ok()?,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let elapsed = first.get_or_init(Instant::now).elapsed();
        let request = {
            let mut seen = seen.lock().unwrap();
            let request = Request {
                path,
                cookie,
                headers,
                body: String::from_utf8_lossy(&body).into_owned(),
                number: seen.len(),
                elapsed,
            };
            seen.push(request.clone());
            request
        };
        answer(&mut stream, &handler(&request)).await?;
    }
}

async fn answer(stream: &mut BufReader<TcpStream>, reply: &Reply) -> Option<()> {
    if !reply.wait.is_zero() {
        tokio::time::sleep(reply.wait).await;
    }
    let head = format!("HTTP/1.1 {} X\r\ncontent-length: {}\r\n{}\r\n", reply.status, reply.body.len(), reply.headers);
    if reply.breaks_off {
        stream.write_all(format!("{head}{}", &reply.body[..1]).as_bytes()).await.ok()?;
        return None;
    }
    if reply.body_wait.is_zero() {
        return stream.write_all(format!("{head}{}", reply.body).as_bytes()).await.ok();
    }
    stream.write_all(head.as_bytes()).await.ok()?;
    tokio::time::sleep(reply.body_wait).await;
    stream.write_all(reply.body.as_bytes()).await.ok()
}
