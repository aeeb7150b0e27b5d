//! Servers that a run starts for itself on the loopback interface, and ends.

use parking_lot::Mutex;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START_MAX: Duration = Duration::from_secs(30);

/// A server process that ends with this value.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Server {
    /// Starts what `command` makes for a free port, and waits until somebody listens there.
    pub(super) fn start(log: &Path, command: impl FnOnce(u16) -> Command) -> Self {
        let port = free_port();
        let log = std::fs::File::create(log).expect("a log for the server");
        let mut command = command(port);
        command.stdin(Stdio::null()).stderr(log.try_clone().expect("a log")).stdout(log);
        let mut child = command.spawn().expect("the server starts");
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = child.try_wait().expect("the server can be watched");
            assert!(ended.is_none(), "the server ended: {ended:?}");
            assert!(started.elapsed() < START_MAX, "the server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It keeps nothing that is needed after the run.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its number").port()
}

/// Where a program is, in the paths that are searched and in these folders.
pub(super) fn program(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let all: Vec<PathBuf> = std::env::split_paths(&paths).collect();
    all.iter().chain(folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Connections that callers take in turns.
pub(super) struct Pool<C> {
    idle: Mutex<Vec<C>>,
    connect: Box<dyn Fn() -> C + Send + Sync>,
}

/// A connection that goes back to its pool.
pub(super) struct Taken<'p, C> {
    pool: &'p Pool<C>,
    connection: Option<C>,
}

impl<C> Pool<C> {
    pub(super) fn new(connect: impl Fn() -> C + Send + Sync + 'static) -> Self {
        Self { idle: Mutex::new(Vec::new()), connect: Box::new(connect) }
    }

    /// One that nobody has, or a new one.
    pub(super) fn take(&self) -> Taken<'_, C> {
        let idle = self.idle.lock().pop();
        Taken { pool: self, connection: Some(idle.unwrap_or_else(|| (self.connect)())) }
    }
}

impl<C> Deref for Taken<'_, C> {
    type Target = C;

    fn deref(&self) -> &C {
        self.connection.as_ref().expect("it is there until it goes back")
    }
}

impl<C> DerefMut for Taken<'_, C> {
    fn deref_mut(&mut self) -> &mut C {
        self.connection.as_mut().expect("it is there until it goes back")
    }
}

impl<C> Drop for Taken<'_, C> {
    fn drop(&mut self) {
        self.pool.idle.lock().extend(self.connection.take());
    }
}
