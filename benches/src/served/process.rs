//! A server in a process of its own: `grantkeep serve` in release mode, as anybody starts it, or
//! another one that says where it listens.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// A server that runs.
#[derive(Debug)]
pub struct Served {
    process: Child,
    address: SocketAddr,
    /// Kept, so that what the server prints later does not end it.
    _out: BufReader<std::process::ChildStdout>,
}

impl Served {
    /// Starts `grantkeep serve` on the store of a directory.
    pub fn start(dir: &Path) -> Self {
        let mut command = Command::new(program());
        command.args(["serve", "--profile", "hourfleet", "--listen", "127.0.0.1:0", "--dir"]);
        command.arg(dir.join("store")).stderr(Stdio::null());
        Self::started(command)
    }

    /// Starts another one, whose first line has its address behind `http://`.
    pub fn started(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut out = BufReader::new(process.stdout.take().expect("its output"));
        let mut first = String::new();
        out.read_line(&mut first).expect("its first line");
        let address =
            first.split_once("http://").and_then(|(_, rest)| rest.split([',', '\n']).next());
        let address = address.and_then(|text| text.parse().ok()).expect("its address");
        Self { process, address, _out: out }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How long its threads have run.
    pub fn processor(&self) -> Duration {
        processor_of(&self.process.id().to_string())
    }

    /// Has it end in order.
    pub fn stop(mut self) {
        let told = Command::new("kill").arg(self.process.id().to_string()).status();
        assert!(told.is_ok_and(|told| told.success()), "the server is not to be told");
        assert!(self.process.wait().is_ok_and(|ended| ended.success()), "it ended with an error");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How long the threads of a process have run, in hundredths of a second.
pub fn processor_of(process: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // Behind the name, which may have spaces: the 12th and the 13th field.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks =
        rest.split_whitespace().skip(11).take(2).filter_map(|text| text.parse::<u64>().ok());
    Duration::from_millis(10 * ticks.sum::<u64>())
}

/// The program, built; `GRANTKEEP_PROGRAM` names another one.
fn program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        if let Some(named) = std::env::var_os("GRANTKEEP_PROGRAM") {
            return named.into();
        }
        let build = ["build", "--release", "-p", "grantkeep-cli", "--bin", "grantkeep"];
        let built = Command::new(env!("CARGO")).args(build).status();
        assert!(built.is_ok_and(|built| built.success()), "the server is not to be built");
        let own = std::env::current_exe().expect("the path of this program");
        let beside = own.parent().expect("the directory of this program");
        // What cargo builds to be run at once lies one folder further down.
        let is_inner = beside.file_name().is_some_and(|name| name == "deps");
        let beside = if is_inner { beside.parent().unwrap_or(beside) } else { beside };
        beside.join("grantkeep")
    })
}
