//! Connections of clients: HTTP/1.1, one request at a time, each from an address of its own.

use serde_json::Value;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// Longer than any answer takes, so that no test hangs.
const DEADLINE: Duration = Duration::from_secs(60);

/// An address of this machine that nobody here has come from before: servers limit how often one
/// may guess.
fn fresh_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(1 << 16);
    let [_, a, b, c] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    Ipv4Addr::new(127, a, b, c)
}

/// What a server answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether the server says that the connection ends with it.
    pub(crate) is_last: bool,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A member of the object that it is; empty where there is none.
    pub(crate) fn member(&self, name: &str) -> String {
        let read: Value = serde_json::from_slice(&self.body).unwrap_or(Value::Null);
        read[name].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn is_active(&self) -> bool {
        assert_eq!(self.status, 200, "{}", self.text());
        let read: Value = serde_json::from_slice(&self.body).unwrap();
        read["active"].as_bool().unwrap()
    }

    pub(crate) fn text(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

/// A connection that stays open.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(server: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((fresh_address(), 0).into())?;
        let stream = timeout(DEADLINE, socket.connect(server)).await??;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::new() })
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Posts a form whose values need no escapes.
    pub(crate) async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> io::Result<Answer> {
        let form: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let form = form.join("&");
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: \
             application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
            form.len()
        );
        self.send(request.as_bytes()).await?;
        timeout(DEADLINE, self.answer()).await?
    }

    /// Gets what a token opens.
    pub(crate) async fn get(&mut self, path: &str, token: &str) -> io::Result<Answer> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        self.send(request.as_bytes()).await?;
        timeout(DEADLINE, self.answer()).await?
    }

    /// Waits until the server ends the connection without another answer.
    pub(crate) async fn ends(&mut self) -> io::Result<()> {
        let mut rest = [0; 1];
        match timeout(DEADLINE, self.stream.read(&mut rest)).await? {
            Ok(1..) => Err(io::ErrorKind::InvalidData.into()),
            // Reset where what was sent was not read.
            Ok(0) | Err(_) => Ok(()),
        }
    }

    /// What the server says to whatever was sent.
    pub(crate) async fn told(&mut self) -> io::Result<Answer> {
        timeout(DEADLINE, self.answer()).await?
    }

    /// Sends until it is taken no more: whether all of it was taken.
    pub(crate) async fn send_what_is_taken(&mut self, bytes: &[u8], patience: Duration) -> bool {
        matches!(timeout(patience, self.stream.write_all(bytes)).await, Ok(Ok(())))
    }

    async fn answer(&mut self) -> io::Result<Answer> {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8_lossy(&self.read[..end]).to_ascii_lowercase();
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let fields: Vec<_> = lines.filter_map(|line| line.split_once(": ")).collect();
        let field = |name| fields.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let len: usize = field("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
        let is_last = field("connection") == Some("close");
        while self.read.len() < end + len {
            self.more().await?;
        }
        let body = self.read[end..end + len].to_vec();
        self.read.drain(..end + len);
        let status = status.ok_or(io::ErrorKind::InvalidData)?;
        Ok(Answer { status, is_last, body })
    }

    async fn more(&mut self) -> io::Result<()> {
        if self.stream.read_buf(&mut self.read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}
