//! HTTP/1.1 by hand, for what a well-behaved client does not show: half requests, slow ones, and on which connection an answer came.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// One connection, which nothing is sent on twice.
pub(crate) struct Wire(BufReader<TcpStream>);

/// An answer with its head as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim)
    }

    /// Whether this was the last answer on its connection.
    pub(crate) fn is_last(&self) -> bool {
        self.header("connection") == Some("close")
    }
}

impl Wire {
    /// Connects to `http://ADDRESS`.
    pub(crate) async fn connect(base_url: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(base_url.strip_prefix("http://").unwrap()).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    pub(crate) async fn send(&mut self, text: &str) -> io::Result<()> {
        self.0.get_mut().write_all(text.as_bytes()).await
    }

    /// What is under it.
    pub(crate) fn stream(&mut self) -> &mut BufReader<TcpStream> {
        &mut self.0
    }

    /// Reads one answer, to the length that its head says.
    pub(crate) async fn receive(&mut self) -> io::Result<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head).await? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("closed after `{head}`")));
            }
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let mut answer = Answer { status, head, body: String::new() };
        let length = answer.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await?;
        answer.body = String::from_utf8(body).unwrap();
        Ok(answer)
    }

    pub(crate) async fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")).await?;
        self.receive().await
    }
}
