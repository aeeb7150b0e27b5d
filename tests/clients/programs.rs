//! The clients that are programs in other languages: where they are, what they need, and how many
//! of their checks passed.
//!
//! `install` puts what they need beside this workspace's own build. A program whose language or
//! library is not there is skipped, and the reason is said.

use crate::world::World;
use grantkeep_tests::process::{Process, tool};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A client that is a program.
pub(crate) struct Program {
    /// The library, and so what is said of it.
    pub(crate) name: &'static str,
    language: Language,
    file: &'static str,
    /// The systems that it can do nothing with: those without this flow.
    needs: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Language {
    Python,
    Node,
    Go,
}

/// All of them.
pub(crate) const PROGRAMS: [Program; 7] = [
    Program { name: "authlib", language: Language::Python, file: "authlib_client.py", needs: "" },
    Program {
        name: "requests-oauthlib",
        language: Language::Python,
        file: "requests_oauthlib_client.py",
        needs: "",
    },
    Program { name: "oauth4webapi", language: Language::Node, file: "oauth4webapi.mjs", needs: "" },
    Program {
        name: "openid-client",
        language: Language::Node,
        file: "openid_client.mjs",
        needs: "",
    },
    Program {
        name: "simple-oauth2",
        language: Language::Node,
        file: "simple_oauth2.mjs",
        needs: "",
    },
    Program {
        name: "passport-oauth2",
        language: Language::Node,
        file: "passport_oauth2.mjs",
        needs: "code",
    },
    Program { name: "x/oauth2", language: Language::Go, file: "client.go", needs: "" },
];

/// Where the sources of the programs are.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Where `install` has put what they need: beside the build.
pub(crate) fn installed() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients")
}

/// What is said of a part that is not there.
pub(crate) fn missing(what: &str) -> String {
    format!("{what} is missing: run tests/clients/install")
}

/// Makes a program of these files ready to run that needs this package.
///
/// # Errors
/// What is missing.
pub(crate) fn node(package: &str, files: &[&str]) -> Result<(), String> {
    tool(Command::new("node").arg("--version")).map_err(|_| missing("node"))?;
    if !installed().join("node/node_modules").join(package).exists() {
        return Err(missing(package));
    }
    // Modules are looked for above the file that imports them.
    for file in files {
        let from = sources().join("node").join(file);
        std::fs::copy(from, installed().join("node").join(file))
            .map_err(|cause| cause.to_string())?;
    }
    Ok(())
}

impl Program {
    /// Whether it has anything to do with this system.
    pub(crate) fn serves(&self, world: &World) -> bool {
        self.needs.is_empty() || world.flows().contains(&self.needs)
    }

    /// Makes it ready to run.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn prepare(&self) -> Result<(), String> {
        let there = |path: PathBuf| path.exists();
        match self.language {
            Language::Python if !there(installed().join("python/bin/python")) => {
                Err(missing("a Python with its packages"))
            }
            Language::Python => Ok(()),
            Language::Node => node(self.name, &["suite.mjs", self.file]),
            Language::Go => {
                tool(Command::new("go").arg("version")).map_err(|_| missing("go"))?;
                if !there("/usr/share/gocode/src/golang.org/x/oauth2".into()) {
                    return Err(missing("golang.org/x/oauth2"));
                }
                let mut build = Command::new("go");
                build.args(["build", "-o"]).arg(installed().join("go-client"));
                build.arg(sources().join("go").join(self.file));
                build.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode");
                build.env("GOCACHE", installed().join("go-cache")).env("GOFLAGS", "");
                tool(&mut build).map(|_| ()).map_err(|wrong| panic!("{wrong}"))
            }
        }
    }

    /// Runs it against a system; how many of its checks passed.
    ///
    /// # Errors
    /// What it said last, where one has failed.
    pub(crate) fn run(&self, world: &World) -> Result<u64, String> {
        let mut command = match self.language {
            Language::Python => {
                let mut python = Command::new(installed().join("python/bin/python"));
                python.arg("-B").arg(sources().join("python").join(self.file));
                python
            }
            Language::Node => {
                let mut node = Command::new("node");
                node.arg(installed().join("node").join(self.file));
                node
            }
            Language::Go => Command::new(installed().join("go-client")),
        };
        if let Some(certificate) = world.certificate() {
            for name in ["REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"] {
                command.env(name, certificate);
            }
        }
        let mut process = Process::start(command.env("GRANTKEEP_CLIENTS", world.settings()));
        let mut last = String::new();
        while let Some(line) = process.line() {
            last = line;
        }
        let status = process.wait();
        let what = || format!("{}, {}: {status}, and said last: {last}", self.name, world.name());
        if !status.success() {
            return Err(what());
        }
        let passed = last.strip_suffix(" checks passed").and_then(|count| count.parse().ok());
        passed.filter(|count| *count > 0).ok_or_else(what)
    }
}
