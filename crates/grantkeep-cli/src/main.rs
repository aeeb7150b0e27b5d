//! The command line of Grantkeep.

mod clock;
mod copies;
mod demo;
mod hash;
mod keys;
mod made;
mod policy;
mod serve;
mod stats;
mod verify;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// A request takes some dozen allocations, several of a kilobyte and more, at which the C library
/// is slow: a refresh by HTTP takes about a sixth less of the processors with this, and an
/// introspection a fifth (`--bench serve`, of the program with it and without, in turns).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(name = "grantkeep", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays the flows of four real systems on a store on disk, kills a process that is at work,
    /// and shows that nothing acknowledged is lost
    Demo(DemoArguments),
    /// Serves one of four real systems on a store: token, authorization, introspection, revocation,
    /// and its pages
    Serve(Box<serve::ServeArguments>),
    /// Prints what a store holds; nothing of it is changed for that, and no key is needed
    Stats {
        /// The store's directory, or a backup's; no other process may have it open to write
        dir: PathBuf,
    },
    /// Reads everything that a store holds again, and names what is damaged; nothing of it is
    /// changed for that, and no key is needed
    Verify {
        /// The store's directory, or a backup's; no other process may have it open to write
        dir: PathBuf,
    },
    /// Copies a store that no other process has open into a new directory; a running server calls
    /// `Store::backup` itself
    Backup {
        /// The store's directory
        dir: PathBuf,
        /// The directory to be made; it must not be there yet
        to: PathBuf,
    },
    /// Makes a backup a store again: everything that was issued before it is refused, since it may
    /// have been revoked or spent after the backup was made, and every client waits until it is
    /// enabled
    Restore {
        /// The backup's directory, with the keyring put back into it
        dir: PathBuf,
        /// Does the same to a directory that holds no backup which is still to be restored: to a
        /// copy that was made by other means
        #[arg(long)]
        force: bool,
    },
    /// Has a store go by a clock that is further ahead than it believes by itself: one that was
    /// made under a wrong clock, or was closed for long
    AcceptClock {
        /// The store's directory; it must not be open in another process
        dir: PathBuf,
    },
    /// Lists, adds, and removes the root keys in a store's keyring file
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Prints the Argon2id hash of a password, for the file of `serve --users`; the password is
    /// asked for, or is the one line of standard input
    HashPassword,
    /// Prints a shipped policy as TOML, or checks one of your own
    Policy(PolicyArguments),
    /// The process that the demonstration kills
    #[command(hide = true)]
    Victim {
        dir: PathBuf,
        /// Milliseconds that the clock is ahead of the system's
        ahead_ms: u64,
    },
}

#[derive(Debug, clap::Args)]
struct DemoArguments {
    /// A directory to be made for the store, and kept afterwards; it must not be there yet. A
    /// temporary one by default
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Flows of each system
    #[arg(long, default_value_t = 25_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(10..=10_000_000))]
    count: u64,
    /// Flows at work at the same time
    #[arg(long, default_value_t = 64)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=4_096))]
    tasks: u64,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct PolicyArguments {
    /// The name of a shipped one: hourfleet, `rest_api_v1`, hospitable, hapn
    name: Option<String>,
    /// The file of one of your own
    #[arg(long)]
    check: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A server is told to end by the same signals, and ends what is under way first.
    if !matches!(arguments.command, Command::Serve(_))
        && let Err(cause) = made::remove_when_interrupted()
    {
        eprintln!("error: cannot be told of an interruption: {cause}");
        return ExitCode::FAILURE;
    }
    let done = match arguments.command {
        Command::Demo(arguments) => {
            demo::run(arguments.dir.as_deref(), arguments.count, arguments.tasks)
        }
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Stats { dir } => stats::print(&dir).map_err(Into::into),
        Command::Verify { dir } => verify::verify(&dir).map_err(Into::into),
        Command::Backup { dir, to } => copies::backup(&dir, &to).map_err(Into::into),
        Command::Restore { dir, force } => copies::restore(&dir, force).map_err(Into::into),
        Command::AcceptClock { dir } => clock::accept(&dir).map_err(Into::into),
        Command::Keys(keys) => keys::run(&keys).map_err(Into::into),
        Command::HashPassword => hash::print(),
        Command::Policy(PolicyArguments { name, check }) => {
            policy::print(name.as_deref(), check.as_deref()).map_err(Into::into)
        }
        Command::Victim { dir, ahead_ms } => demo::victim::run(&dir, ahead_ms).map_err(Into::into),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            made::check_interrupted();
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(inner) = cause {
                eprintln!("  because: {inner}");
                cause = inner.source();
            }
            ExitCode::FAILURE
        }
    }
}
