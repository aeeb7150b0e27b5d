//! Loading a server: one thread, so many connections, each with one request under way; the next one
//! is sent as soon as the answer is there.

use super::connection::Connection;
use super::kind::Kind;
use super::process::processor_of;
use super::stock::Stock;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What is not measured at first.
pub const WARM_UP: Duration = Duration::from_secs(1);

/// What was measured.
#[derive(Debug)]
pub struct Ran {
    /// How long that took.
    pub took: Duration,
    /// How long each request took, in nanoseconds.
    pub latencies_ns: Vec<u32>,
    /// Requests there were, those of the warm-up included.
    pub requests: u64,
    /// How long the generator's thread ran, warm-up included.
    pub processor: Duration,
}

impl Ran {
    /// Answers a second.
    pub fn per_second(&self) -> f64 {
        self.latencies_ns.len() as f64 / self.took.as_secs_f64()
    }
}

/// Sends requests of one kind on so many connections, for so long.
///
/// # Panics
/// If a request does not succeed, or the stock is used up.
pub fn run(
    server: SocketAddr,
    kind: Kind,
    stock: &mut Stock,
    connections: usize,
    lasts: Duration,
) -> Ran {
    let mut poll = Poll::new().expect("a poll");
    let mut events = Events::with_capacity(connections);
    let mut all: Vec<Connection> = (0..connections)
        .map(|at| {
            let stream = std::net::TcpStream::connect(server).expect("the server accepts");
            stream.set_nonblocking(true).expect("a socket");
            stream.set_nodelay(true).expect("a socket");
            let mut stream = TcpStream::from_std(stream);
            let registry = poll.registry();
            registry.register(&mut stream, Token(at), Interest::READABLE).expect("a poll");
            Connection::new(stream)
        })
        .collect();
    let before = processor_of("self");
    let began = Instant::now();
    let (mut latencies_ns, mut requests) = (Vec::with_capacity(1 << 20), 0);
    for (at, connection) in all.iter_mut().enumerate() {
        assert!(kind.write(stock, at, &mut connection.request), "the stock is used up");
        connection.send();
    }
    let until = began + WARM_UP + lasts;
    let mut last = began;
    while last < until {
        poll.poll(&mut events, Some(Duration::from_secs(10))).expect("the poll polls");
        assert!(!events.is_empty(), "the server does not answer");
        last = Instant::now();
        for event in &events {
            let at = event.token().0;
            let connection = &mut all[at];
            let Some((status, body, sent_at)) = connection.receive() else { continue };
            let now = Instant::now();
            requests += 1;
            kind.read(stock, at, status, body);
            if now.duration_since(began) >= WARM_UP {
                let took = now.duration_since(sent_at).as_nanos();
                latencies_ns.push(u32::try_from(took).unwrap_or(u32::MAX));
            }
            assert!(kind.write(stock, at, &mut connection.request), "the stock is used up");
            connection.send();
        }
    }
    let took = last.duration_since(began).saturating_sub(WARM_UP);
    let processor = processor_of("self").saturating_sub(before);
    Ran { took, latencies_ns, requests, processor }
}
