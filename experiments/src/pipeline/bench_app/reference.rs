//! Those that the blog is held against: a server that only answers, perhaps after one question to Redis, and NGINX with the page as a
//! file. They answer with the very bytes that the blog has sent.

use std::{
    ffi::OsString,
    fs,
    net::SocketAddr,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::site::started;
use crate::{
    stack::{Launch, Process, Redis},
    steps::{Blog, Programs},
};

const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(10);
const ANNOUNCEMENT: &str = "listening on http://";

/// What the generator sends besides; a browser does too.
pub(super) const ACCEPT_ENCODING: (&str, &str) = ("Accept-Encoding", "gzip");

/// The program that only answers; it is an example of the app, so that it is compiled in the same way.
pub(super) fn program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell this program's own path")?;
    let path = own.with_file_name("examples").join("bare");
    ensure!(
        path.is_file(),
        "`{}` is missing; run `cargo build --release --package app --example bare`",
        path.display()
    );
    Ok(path)
}

/// A page as the blog answers with it on a hit.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// Names and values, without those that belong to one connection or moment.
    headers: Vec<(String, String)>,
    /// The body as sent, compressed.
    pub(super) body: Vec<u8>,
}

impl Page {
    /// Asks twice, because the first answer may be a miss, and takes the second.
    pub(super) async fn fetch(server: SocketAddr) -> Result<Self> {
        exchange(server).await?;
        let raw = exchange(server).await?;
        let end = raw.windows(4).position(|bytes| bytes == b"\r\n\r\n").context("the answer has no end of its head")?;
        let head = std::str::from_utf8(&raw[..end]).context("the head of the answer is not text")?;
        let mut lines = head.lines();
        let status = lines.next().unwrap_or_default();
        ensure!(status.starts_with("HTTP/1.1 200"), "`{server}` answers `{status}`");
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let is = |name: &str, value: &str| headers.iter().any(|(key, found)| key == name && found.contains(value));
        ensure!(is("cache-status", "hit"), "`{server}` does not answer from its cache: {head}");
        ensure!(is("content-encoding", "gzip"), "`{server}` does not compress: {head}");
        let of_the_moment = ["connection", "date", "transfer-encoding"];
        let headers = headers.into_iter().filter(|(name, _)| !of_the_moment.contains(&name.as_str())).collect();
        Ok(Self { headers, body: raw[end + 4..].to_vec() })
    }

    /// The answer as it is sent.
    fn raw(&self) -> Vec<u8> {
        let mut raw = b"HTTP/1.1 200 OK\r\n".to_vec();
        for (name, value) in &self.headers {
            raw.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        raw.extend_from_slice(b"\r\n");
        raw.extend_from_slice(&self.body);
        raw
    }
}

async fn exchange(server: SocketAddr) -> Result<Vec<u8>> {
    let (name, value) = ACCEPT_ENCODING;
    let request = format!("GET / HTTP/1.1\r\nHost: {server}\r\n{name}: {value}\r\nConnection: close\r\n\r\n");
    let mut stream = TcpStream::connect(server).await.with_context(|| format!("cannot connect to `{server}`"))?;
    stream.write_all(request.as_bytes()).await?;
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw).await.with_context(|| format!("cannot read the answer of `{server}`"))?;
    Ok(raw)
}

/// The keys that a hit asks Redis for, overheard with `MONITOR`. More than one command on a hit is a fault of the blog.
pub(super) async fn keys_of_a_hit(redis: &Redis, server: SocketAddr) -> Result<Vec<OsString>> {
    exchange(server).await?;
    let mut monitor =
        BufReader::new(TcpStream::connect(("127.0.0.1", redis.port())).await.context("cannot connect to Redis")?);
    monitor.write_all(b"MONITOR\r\n").await?;
    let mut line = Vec::new();
    monitor.read_until(b'\n', &mut line).await?;
    ensure!(line.starts_with(b"+OK"), "Redis does not let its commands be watched");
    exchange(server).await?;
    let mut overheard = Vec::new();
    loop {
        let mut line = Vec::new();
        match tokio::time::timeout(Duration::from_millis(200), monitor.read_until(b'\n', &mut line)).await {
            Ok(read) => drop(read?),
            Err(_) => break,
        }
        let command = words(&line);
        if command.first().is_some_and(|name| name.eq_ignore_ascii_case(b"mget")) {
            overheard.push(command);
        }
    }
    ensure!(overheard.len() == 1, "a hit sends {} MGET to Redis, not one", overheard.len());
    Ok(overheard.remove(0).into_iter().skip(1).map(OsString::from_vec).collect())
}

/// The quoted words of a line such as `+1767225600.5 [0 127.0.0.1:6379] "mget" "a" "\x01"`.
fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = line.iter().copied();
    while rest.by_ref().any(|byte| byte == b'"') {
        let mut word = Vec::new();
        while let Some(byte) = rest.next().filter(|byte| *byte != b'"') {
            if byte != b'\\' {
                word.push(byte);
                continue;
            }
            match rest.next() {
                Some(b'x') => {
                    let digits: Vec<u8> = rest.by_ref().take(2).collect();
                    word.extend(
                        std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok()),
                    );
                }
                Some(b'n') => word.push(b'\n'),
                Some(b'r') => word.push(b'\r'),
                Some(b't') => word.push(b'\t'),
                Some(other) => word.push(other),
                None => {}
            }
        }
        words.push(word);
    }
    words
}

/// A server that answers every request with one page.
pub(super) struct Bare {
    /// Its name in tables.
    pub(super) name: &'static str,
    /// Its process.
    pub(super) process: Process,
    /// Where it listens.
    pub(super) address: SocketAddr,
}

impl Bare {
    pub(super) async fn start(
        blog: &Blog,
        program: &Path,
        name: &'static str,
        page: &Page,
        keys: &[OsString],
    ) -> Result<Self> {
        let file = blog.folder.path().join(format!("{name}.response"));
        fs::write(&file, page.raw()).with_context(|| format!("cannot write `{}`", file.display()))?;
        let mut arguments: Vec<OsString> =
            vec!["--listen".into(), "127.0.0.1:0".into(), "--response".into(), file.into()];
        if !keys.is_empty() {
            arguments.extend(["--redis".into(), blog.stack.redis.url().into()]);
            arguments.extend(keys.iter().flat_map(|key| ["--key".into(), key.clone()]));
        }
        let process = Process::start(&blog.folder, launch(blog, name, program, arguments, false))?;
        let find = async || announced(&process.log_text()).context("it has not said where it listens");
        let address = process.wait_ready(START_LIMIT, async || find().await.map_err(|error| error.to_string())).await?;
        started(&process, blog)?;
        Ok(Self { name, process, address })
    }
}

fn announced(log: &str) -> Option<SocketAddr> {
    let (_, rest) = log.split_once(ANNOUNCEMENT)?;
    let (address, _) = rest.split_once('\n')?;
    address.trim().parse().ok()
}

/// NGINX with the page as a file, configured as one would for speed, with the same headers.
pub(super) struct FileServer {
    /// The master.
    pub(super) process: Process,
    /// Where it listens.
    pub(super) address: SocketAddr,
}

impl FileServer {
    pub(super) async fn start(blog: &Blog, programs: &Programs, page: &Page) -> Result<Self> {
        let home = blog.folder.service_folder("nginx_file")?;
        // Between the choice of the port and its use somebody else may take it; that is an error, and the bench is started again.
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let configuration = home.join("nginx.conf");
        fs::write(home.join("page"), &page.body)?;
        fs::write(&configuration, file_configuration(&home, address, page))?;
        let arguments = vec![
            "-p".into(),
            home.into(),
            "-c".into(),
            configuration.into(),
            "-e".into(),
            "stderr".into(),
            "-g".into(),
            "daemon off;".into(),
        ];
        let process = Process::start(&blog.folder, launch(blog, "nginx_file", &programs.stack.nginx, arguments, true))?;
        let ask = async || exchange(address).await.map_err(|error| format!("{error:#}"));
        let answer = process.wait_ready(START_LIMIT, ask).await?;
        ensure!(answer.ends_with(&page.body), "NGINX does not answer with the page");
        started(&process, blog)?;
        Ok(Self { process, address })
    }
}

fn file_configuration(home: &Path, address: SocketAddr, page: &Page) -> String {
    // NGINX sets these itself.
    let own =
        ["accept-ranges", "connection", "content-length", "content-type", "date", "etag", "last-modified", "server"];
    let headers: String = page
        .headers
        .iter()
        .filter(|(name, value)| !own.contains(&name.as_str()) && !value.contains(['"', '$', '\\']))
        .map(|(name, value)| format!("            add_header {name} \"{value}\";\n"))
        .collect();
    let home = home.display();
    format!(
        "worker_processes 1;
pid \"{home}/nginx.pid\";
error_log stderr warn;
events {{
    worker_connections 4096;
}}
http {{
    access_log off;
    server_tokens off;
    client_body_temp_path \"{home}/client_body\";
    proxy_temp_path \"{home}/proxy\";
    fastcgi_temp_path \"{home}/fastcgi\";
    uwsgi_temp_path \"{home}/uwsgi\";
    scgi_temp_path \"{home}/scgi\";
    default_type \"text/html; charset=utf-8\";
    sendfile on;
    tcp_nopush on;
    open_file_cache max=16 inactive=1h;
    open_file_cache_valid 1h;
    keepalive_requests 10000000;
    server {{
        listen {address} backlog=4096;
        root \"{home}\";
        location = / {{
            try_files /page =404;
{headers}        }}
    }}
}}
"
    )
}

fn launch(blog: &Blog, name: &str, program: &Path, arguments: Vec<OsString>, unprivileged: bool) -> Launch {
    Launch {
        name: name.to_owned(),
        program: program.to_owned(),
        arguments,
        environment: Vec::new(),
        unprivileged,
        stop_signal: Signal::SIGTERM,
        abandon_signal: if unprivileged { Signal::SIGTERM } else { Signal::SIGKILL },
        stop_limit: STOP_LIMIT,
        processors: blog.placement.system().map(<[usize]>::to_vec),
        cpu_share: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_from_what_redis_shows() {
        let line = br#"+1767225600.123456 [0 127.0.0.1:51234] "mget" "blog:\"x\"" "\x00\xff\n" """#;
        let expected: [&[u8]; 4] = [b"mget", b"blog:\"x\"", b"\x00\xff\n", b""];
        assert_eq!(words(line), expected);
        assert_eq!(words(b"+OK\r\n"), Vec::<Vec<u8>>::new());
    }
}
