//! One connection of the generator: HTTP/1.1, one request under way.

use mio::net::TcpStream;
use std::io::{self, Read as _, Write as _};
use std::time::Instant;

/// No answer is longer, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 10;

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) request: Vec<u8>,
    read: Vec<u8>,
    filled: usize,
    sent_at: Instant,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        let (request, read) = (Vec::with_capacity(4 << 10), vec![0; ANSWER_BYTES_MAX]);
        Self { stream, request, read, filled: 0, sent_at: Instant::now() }
    }

    /// Sends the request. It is far shorter than what a socket takes at once.
    pub(crate) fn send(&mut self) {
        self.sent_at = Instant::now();
        let sent = self.stream.write(&self.request).expect("a request is sent");
        assert_eq!(sent, self.request.len(), "a request was cut short");
    }

    /// Reads what there is; once the answer is whole, its status, its body, and when its request
    /// was sent.
    pub(crate) fn receive(&mut self) -> Option<(u16, &[u8], Instant)> {
        loop {
            let room = &mut self.read[self.filled..];
            let len = room.len();
            match self.stream.read(room) {
                Ok(0) => panic!("the server ended a connection"),
                Ok(read) => {
                    self.filled += read;
                    if read < len {
                        break;
                    }
                }
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => break,
                Err(cause) => panic!("a connection failed: {cause}"),
            }
        }
        let read = &self.read[..self.filled];
        let head = read.windows(4).position(|four| four == b"\r\n\r\n")?;
        let (status, len) = parse(&read[..head]);
        let whole = head + 4 + len;
        if read.len() < whole {
            return None;
        }
        assert_eq!(read.len(), whole, "more than one answer came");
        self.filled = 0;
        Some((status, &self.read[head + 4..whole], self.sent_at))
    }
}

/// The status of an answer, and how long its body is.
fn parse(head: &[u8]) -> (u16, usize) {
    let number =
        |text: &[u8]| -> Option<usize> { std::str::from_utf8(text).ok()?.trim().parse().ok() };
    let status = head.get(9..12).and_then(number).expect("a status");
    const NAME: &[u8] = b"content-length:";
    let lines = head.split(|byte| *byte == b'\n');
    let len = lines
        .filter_map(|line| line.split_at_checked(NAME.len()))
        .find_map(|(name, value)| name.eq_ignore_ascii_case(NAME).then(|| number(value)).flatten());
    (status as u16, len.expect("a length"))
}
