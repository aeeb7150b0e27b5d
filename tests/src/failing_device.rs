//! A block device whose writes fail when a test says so, with an ext4 on it: an image behind
//! `qemu-storage-daemon`, exported by FUSE, made a block device by a loop that caches nothing.

use crate::file_system::{FileSystem, make_ext4};
use crate::process::{DEADLINE, Process, tool};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

/// The device and what is mounted from it. Fields go in the order of their declaration: the mount
/// first, then the loop, then the daemon.
#[derive(Debug)]
pub struct FailingDevice {
    /// The ext4 on it.
    pub file_system: FileSystem,
    _loop: Loop,
    daemon: Daemon,
}

impl FailingDevice {
    /// One of so many MiB.
    ///
    /// # Errors
    /// What is missing for it on this machine.
    pub fn new(mib: u64) -> Result<Self, String> {
        let daemon = Daemon::start(mib)?;
        daemon.take_turns()?;
        make_ext4(&daemon.export())?;
        let device = Loop::over(daemon.export())?;
        let file_system = FileSystem::on_device(&device.0)?;
        Ok(Self { file_system, _loop: device, daemon })
    }

    /// From now on the next write fails, once.
    ///
    /// # Errors
    /// The daemon's message.
    pub fn fail_next_write(&mut self) -> Result<(), String> {
        self.heal()?;
        self.daemon.ask(
            "blockdev-add",
            "{\"node-name\":\"faults\",\"driver\":\"blkdebug\",\"image\":\"file\",\"inject-error\":\
             [{\"event\":\"none\",\"iotype\":\"write\",\"errno\":5,\"once\":true}]}",
        )?;
        self.daemon.show("faults")
    }

    /// From now on no write fails.
    ///
    /// # Errors
    /// The daemon's message.
    pub fn heal(&mut self) -> Result<(), String> {
        self.daemon.show("file")?;
        // There is none at first.
        let _ = self.daemon.ask("blockdev-del", "{\"node-name\":\"faults\"}");
        Ok(())
    }
}

/// A loop device over a file, given back when this is dropped.
#[derive(Debug)]
struct Loop(String);

impl Loop {
    fn over(file: PathBuf) -> Result<Self, String> {
        let arguments = ["--direct-io=on", "--find", "--show"];
        let made = tool(Command::new("losetup").args(arguments).arg(file));
        let device = made.map_err(|why| format!("there is no loop device ({why})"))?;
        Ok(Self(device.trim().to_owned()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = tool(Command::new("losetup").args(["--detach", &self.0]));
    }
}

#[derive(Debug)]
struct Daemon {
    dir: TempDir,
    process: Process,
    answers: Option<BufReader<UnixStream>>,
}

impl Daemon {
    fn start(mib: u64) -> Result<Self, String> {
        let program = "qemu-storage-daemon";
        let there = tool(Command::new(program).arg("--version"));
        there.map_err(|why| format!("there is no {program} ({why})"))?;
        if !PathBuf::from("/dev/fuse").exists() {
            return Err("there is no /dev/fuse".to_owned());
        }
        let dir = TempDir::new().map_err(|why| why.to_string())?;
        let at = |name: &str| dir.path().join(name).to_str().unwrap_or_default().to_owned();
        fs::File::create(at("image")).and_then(|file| file.set_len(mib << 20)).map_err(text)?;
        fs::File::create(at("export")).map_err(text)?;
        let mut command = Command::new(program);
        command
            .args(["--blockdev", &format!("driver=file,filename={},node-name=file", at("image"))]);
        command.args(["--blockdev", "driver=raw,file=file,node-name=shown"]);
        let export = format!("type=fuse,id=export,node-name=shown,mountpoint={}", at("export"));
        command.args(["--export", &format!("{export},writable=on,allow-other=off")]);
        let socket = format!("socket,path={},server=on,wait=off,id=control", at("control"));
        command.args(["--chardev", &socket, "--monitor", "chardev=control"]);
        let process = Process::start(command.stderr(Stdio::piped()));
        let mut daemon = Self { dir, process, answers: None };
        daemon.connect(mib)?;
        Ok(daemon)
    }

    /// The file that the daemon exports.
    fn export(&self) -> PathBuf {
        self.dir.path().join("export")
    }

    /// Waits until the daemon listens and the file has its length.
    fn connect(&mut self, mib: u64) -> Result<(), String> {
        let started = Instant::now();
        let exported = |daemon: &Self| {
            fs::metadata(daemon.export()).is_ok_and(|export| export.len() == mib << 20)
        };
        while !exported(self) {
            if !self.process.runs() || started.elapsed() > DEADLINE {
                return Err("qemu-storage-daemon does not export by FUSE here".to_owned());
            }
            std::thread::yield_now();
        }
        let stream = UnixStream::connect(self.dir.path().join("control")).map_err(text)?;
        stream.set_read_timeout(Some(DEADLINE)).map_err(text)?;
        let mut answers = BufReader::new(stream);
        answers.read_line(&mut String::new()).map_err(text)?;
        self.answers = Some(answers);
        self.ask("qmp_capabilities", "{}")
    }

    /// Lets one request through at a time: the daemon keeps the bytes of a write where the next
    /// request is read to while it waits for the image (as of version 10.0), and would mix them up.
    fn take_turns(&self) -> Result<(), String> {
        let failed = |why: String| format!("the export cannot be slowed down ({why})");
        let control = self.dir.path().join("connections");
        fs::create_dir(&control).map_err(text)?;
        let mounted = Command::new("mount").args(["-t", "fusectl", "none"]).arg(&control).output();
        mounted.map_err(text)?;
        // The connection has the number of its anonymous device: major 0, so it is the minor.
        let device = fs::metadata(self.export()).map_err(text)?.dev();
        let minor = device & 0xff | device >> 12 & 0xffff_ff00;
        let queue = control.join(minor.to_string()).join("max_background");
        let set = fs::write(queue, "1").map_err(|why| failed(why.to_string()));
        tool(Command::new("umount").arg(&control)).map_err(failed)?;
        set
    }

    /// Makes the export show another node.
    fn show(&mut self, node: &str) -> Result<(), String> {
        let options = "\"node-name\":\"shown\",\"driver\":\"raw\"";
        self.ask("blockdev-reopen", &format!("{{\"options\":[{{{options},\"file\":\"{node}\"}}]}}"))
    }

    fn ask(&mut self, command: &str, arguments: &str) -> Result<(), String> {
        let answers = self.answers.as_mut().ok_or("the daemon is not connected")?;
        let line = format!("{{\"execute\":\"{command}\",\"arguments\":{arguments}}}\n");
        answers.get_mut().write_all(line.as_bytes()).map_err(text)?;
        let mut answer = String::new();
        // Events come in between.
        while !answer.starts_with("{\"return\"") {
            answer.clear();
            if answers.read_line(&mut answer).map_err(text)? == 0 || answer.contains("\"error\"") {
                return Err(format!("{command}: {answer}"));
            }
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Asked to end, it takes its mount along; if it does not, the mount must go.
        let asked = self.ask("quit", "{}").is_ok();
        let started = Instant::now();
        while asked && self.process.runs() && started.elapsed() < DEADLINE / 6 {
            std::thread::yield_now();
        }
        self.process.kill();
        let _ = tool(Command::new("umount").arg("-l").arg(self.export()));
    }
}

fn text(why: std::io::Error) -> String {
    why.to_string()
}
