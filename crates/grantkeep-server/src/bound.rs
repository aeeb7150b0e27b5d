//! What a server takes of its machine before there is a store: so that whoever starts it is told at
//! once what is wrong, and nothing is made or left behind.

use crate::failure::Failure;
use crate::listen::{CONNECTIONS_MAX, Limits};
use crate::pages::market::OneClick;
use crate::server::{Config, Operators, Server, Stop};
use crate::systems::System;
use crate::users::Users;
use crate::{issuer, tls};
use grantkeep::Store;
use grantkeep_grants::Policy;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::TlsAcceptor;

/// Connections that wait to be accepted; the operating system may have fewer wait.
const QUEUE: u32 = 1_024;
/// What the kernel keeps for a connection in each direction; it takes as much again for its own
/// account of it.
const KERNEL_BUFFER_BYTES: u32 = 64 << 10;

/// A server that listens and has no store yet: whoever connects waits.
pub struct Bound {
    pub(crate) system: &'static System,
    pub(crate) policy: Option<Policy>,
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) origin: String,
    pub(crate) tls: Option<TlsAcceptor>,
    /// Where operators are listened to, and what opens their API.
    pub(crate) operators: Option<(TcpListener, SocketAddr, Option<String>)>,
    pub(crate) audit: Option<PathBuf>,
    pub(crate) one_click: BTreeMap<String, OneClick>,
    pub(crate) proxies: Vec<IpAddr>,
    pub(crate) limits: Limits,
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Bound {
    /// Checks what a server is made of, and has it listen.
    ///
    /// # Errors
    /// For a number of connections out of bounds, an address that is in use or is not this
    /// machine's own without TLS, one of all addresses without an issuer, an issuer that is no
    /// origin, and files that cannot be used.
    #[expect(
        clippy::unused_async,
        reason = "has to be called where tokio runs, as what follows it"
    )]
    pub async fn take(config: Config) -> Result<Self, Failure> {
        let Config { system, policy, listen, issuer, tls, operators, audit, .. } = config;
        let Config { one_click, proxies, limits, .. } = config;
        let connections = limits.connections;
        if !(1..=CONNECTIONS_MAX).contains(&connections) {
            return Err(Failure::new(format!(
                "a server cannot have {connections} connections at once: give 1 to \
                 {CONNECTIONS_MAX}"
            )));
        }
        if tls.is_none() && !listen.ip().is_loopback() {
            return Err(Failure::new(format!(
                "without TLS the server listens on this machine alone, and {listen} is reached \
                 from others: give a certificate, or listen on 127.0.0.1"
            )));
        }
        if issuer.is_none() && listen.ip().is_unspecified() {
            return Err(Failure::new(format!(
                "{listen} stands for all addresses of this machine, and clients need one: name the \
                 issuer, such as https://auth.example"
            )));
        }
        if let Some(Operators { listen, .. }) = &operators
            && !listen.ip().is_loopback()
        {
            return Err(Failure::new(format!(
                "operators are served on this machine alone, and {listen} is reached from others: \
                 listen on 127.0.0.1, behind a tunnel or a proxy of theirs"
            )));
        }
        let secret = operators.as_ref().and_then(|operators| operators.secret.as_deref());
        secret.map(grantkeep_axum::check_operator_secret).transpose()?;
        let origin = issuer.as_deref().map(issuer::origin).transpose()?;
        let tls = tls.map(|files| tls::acceptor(&files.certificates, &files.key)).transpose()?;
        if let Some(path) = &audit {
            appendable(path).map_err(|cause| {
                let what = format!("cannot write the audit log {}", path.display());
                Failure::new(what).because(cause)
            })?;
        }
        let (listener, address) = listen_on(listen)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let origin = origin.unwrap_or_else(|| format!("{scheme}://{address}"));
        let operators = match operators {
            None => None,
            Some(Operators { listen, secret }) => {
                let (listener, at) = listen_on(listen)?;
                Some((listener, at, secret))
            }
        };
        Ok(Self {
            system,
            policy,
            listener,
            address,
            origin,
            tls,
            operators,
            audit,
            one_click,
            proxies,
            limits,
        })
    }

    /// Puts the server together on a store.
    ///
    /// # Errors
    /// For a policy out of the store's bounds, an audit log that cannot be appended to, and
    /// whatever the store answers.
    pub async fn with(
        self,
        store: Store,
        users: Arc<dyn Users>,
        stop: &Stop,
    ) -> Result<Server, Failure> {
        Server::assembled(self, store, users, stop).await
    }
}

/// Listens there.
fn listen_on(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    let failed = |cause: io::Error| {
        let why = match cause.kind() {
            io::ErrorKind::AddrInUse => ": another program does, so end it or take another port",
            _ => "",
        };
        Failure::new(format!("cannot listen on {address}{why}")).because(cause)
    };
    let listener = listening(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// A listener whose connections have bounded buffers in the kernel too, which would grow to
/// megabytes each for a client that sends and does not read.
fn listening(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_recv_buffer_size(KERNEL_BUFFER_BYTES)?;
    socket.set_send_buffer_size(KERNEL_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

/// Whether a file can be appended to, or made; it is neither written nor made.
fn appendable(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        // What is no regular file may hold up whoever opens it.
        Ok(known) if known.is_file() => fs::OpenOptions::new().append(true).open(path).map(drop),
        Ok(known) if known.is_dir() => Err(io::Error::other("it is a directory: name a file")),
        Ok(_) => Err(io::Error::other("it is no regular file: name one")),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            let within = path.parent().filter(|within| !within.as_os_str().is_empty());
            tempfile::tempfile_in(within.unwrap_or(Path::new("."))).map(drop)
        }
        Err(cause) => Err(cause),
    }
}
