//! `grantkeep serve`: an authorization server on a store, as one of four real systems.

mod files;
mod lines;

use files::ClientsFile;
use grantkeep::Store;
use grantkeep_grants::{Creation, Grants, NewClient, Policy};
use grantkeep_server::{
    Bound, Config, KnownUsers, Limits, Operators, SYSTEMS, Server, Stop, System, TlsFiles,
    Users as _,
};
use std::error::Error;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

/// The redirect URI of the client that is made for a try-out.
const DEMO_REDIRECT: &str = "https://app.example/cb";

/// The person who is made for a try-out.
const DEMO_USER: &str = "alice";

/// What opens the JSON API for operators; an argument would be seen by every user of the machine.
const OPERATORS_SECRET: &str = "GRANTKEEP_OPERATORS_SECRET";

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArguments {
    /// Which system it is: hourfleet, `rest_api_v1`, hospitable, hapn
    #[arg(long)]
    profile: String,
    /// A file with another policy than the profile's
    #[arg(long)]
    policy: Option<PathBuf>,
    /// The store's directory, made if it is not there; a temporary one by default, which goes with
    /// the command
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Where it listens; without a certificate on this machine alone
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// How it is reached, where that is not where it listens, or it listens on all addresses
    #[arg(long)]
    issuer: Option<String>,
    /// A proxy of your own before the server, by the address that it connects from; may be given
    /// several times. The last address of `X-Forwarded-For` that is none of theirs is the client's;
    /// no header is believed from anybody else
    #[arg(long, value_name = "ADDRESS")]
    proxy: Vec<IpAddr>,
    /// A certificate and those it is signed by, PEM
    #[arg(long, requires = "key")]
    cert: Option<PathBuf>,
    /// The certificate's key, PEM
    #[arg(long, requires = "cert")]
    key: Option<PathBuf>,
    /// A file of clients that are registered unless they are already: TOML, `[[client]]` with `id`,
    /// `name`, `secret`, `redirect_uris`, `grants`, `scopes`, `public`, `one_click_redirect_uri`,
    /// `one_click_page`
    #[arg(long)]
    clients: Option<PathBuf>,
    /// A file of people: TOML, `[[user]]` with `name`, `password_hash` (Argon2, as a PHC string),
    /// `operator`; new passwords are put into it
    #[arg(long)]
    users: Option<PathBuf>,
    /// Makes a user and a client for this run, and prints commands to try them with
    #[arg(long)]
    demo_users: bool,
    /// Where operators reach metrics, health, and, with the environment variable
    /// `GRANTKEEP_OPERATORS_SECRET` as its bearer token, the JSON API; on this machine alone
    #[arg(long)]
    operators: Option<SocketAddr>,
    /// A file to append events to, as JSON lines
    #[arg(long)]
    audit: Option<PathBuf>,
    /// What is logged to standard error: `off`, `error`, `warn`, `info` (a line for each request),
    /// `debug`, or `trace`
    #[arg(long, default_value_t = LevelFilter::WARN)]
    log: LevelFilter,
    /// Connections at once, at least 1
    #[arg(long, default_value_t = Limits::default().connections)]
    connections: usize,
}

/// Serves until it is told to end by Ctrl-C, SIGTERM, or SIGHUP.
pub(crate) fn run(arguments: &ServeArguments) -> Result<(), Box<dyn Error>> {
    let system = System::named(&arguments.profile).ok_or_else(|| {
        let known = SYSTEMS.map(|system| system.name).join(", ");
        format!("there is no profile {:?}: take one of {known}", arguments.profile)
    })?;
    let policy = arguments.policy.as_ref().map(Policy::load).transpose()?;
    let clients = arguments.clients.as_deref().map(ClientsFile::read).transpose()?;
    let users = Arc::new(KnownUsers::new()?.keeping(keeper(arguments)));
    if let Some(path) = &arguments.users {
        files::add_users(path, &users)?;
    }
    if arguments.demo_users && users.is_known(DEMO_USER) {
        let why = format!(
            "--demo-users makes a user {DEMO_USER}, whom the file of users has as well: leave one \
             of them out"
        );
        return Err(why.into());
    }
    let temporary = match arguments.dir {
        None => Some(tempfile::Builder::new().prefix("grantkeep-serve-").tempdir()?),
        Some(_) => None,
    };
    let path = match (&arguments.dir, &temporary) {
        (Some(dir), _) => dir.clone(),
        (None, Some(made)) => made.path().join("store"),
        (None, None) => PathBuf::new(),
    };
    tracing_subscriber::fmt().with_max_level(arguments.log).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let read = Read { system, policy, clients, users };
    let served = runtime.block_on(serve(arguments, read, path));
    // Whatever is left has no connection any more.
    runtime.shutdown_background();
    served
}

/// Keeps new passwords in the file of people. That of a try-out goes with the run, as its user
/// does.
fn keeper(arguments: &ServeArguments) -> impl Fn(&str, &str) -> io::Result<()> + use<> {
    let path = arguments.users.clone();
    let demo = arguments.demo_users;
    move |name, hash| match &path {
        Some(path) if !(demo && name == DEMO_USER) => files::keep_password(path, name, hash),
        _ => Ok(()),
    }
}

/// What was read before anything is made.
struct Read {
    system: &'static System,
    policy: Option<Policy>,
    clients: Option<ClientsFile>,
    users: Arc<KnownUsers>,
}

async fn serve(
    arguments: &ServeArguments,
    read: Read,
    path: PathBuf,
) -> Result<(), Box<dyn Error>> {
    let Read { system, policy, clients, users } = read;
    let one_click = clients.as_ref().map(|file| file.one_click(system)).transpose()?;
    let one_click = one_click.unwrap_or_default();
    let shown = path.display().to_string();
    let tls = match (&arguments.cert, &arguments.key) {
        (Some(certificates), Some(key)) => {
            Some(TlsFiles { certificates: certificates.clone(), key: key.clone() })
        }
        _ => None,
    };
    let operators = arguments.operators.map(|listen| Operators {
        listen,
        secret: std::env::var(OPERATORS_SECRET).ok().filter(|secret| !secret.is_empty()),
    });
    let limits = Limits { connections: arguments.connections, ..Limits::default() };
    let config = Config {
        policy,
        issuer: arguments.issuer.clone(),
        tls,
        operators,
        audit: arguments.audit.clone(),
        one_click,
        proxies: arguments.proxy.clone(),
        limits: limits.within_open_files(),
        ..Config::new(system, arguments.listen)
    };
    // Before there is a store: what is wrong with these leaves none.
    let bound = Bound::take(config).await?;
    let store = tokio::task::spawn_blocking(move || Store::open(path)).await??;
    let stop = Stop::new();
    let server = bound.with(store, Arc::clone(&users) as _, &stop).await?;
    say(&format!("{} at {}, on the store in {shown}\n", system.title, server.issuer()))?;
    if let Some(clients) = &clients {
        let files::Registered { new, known } = clients.register(server.grants()).await?;
        say(&format!("Clients of the file: {new} new, {known} already registered, unchanged.\n"))?;
    }
    if arguments.dir.is_none() {
        say("The store is in a temporary directory, which is deleted when this command ends.\n")?;
    }
    if arguments.demo_users {
        let demo = demo(&server, &users, system).await?;
        say(&lines::lines(system, server.issuer(), &demo))?;
        if arguments.dir.is_some() {
            say(&format!(
                "# The client {}, and what it was given, stay in the store until it is deleted.\n",
                demo.client
            ))?;
        }
    }
    let mut told = ToldToEnd::listening()?;
    say("Ctrl-C ends it.\n")?;
    tokio::spawn(async move {
        told.again().await;
        eprintln!("stopping: finishing requests in progress; press Ctrl-C again to stop at once");
        stop.stop();
        told.again().await;
        eprintln!("stopping at once: requests in progress are not answered");
        stop.hasten();
    });
    server.run().await?;
    Ok(())
}

/// Tells whoever started the server. It serves on where nobody reads that any more.
///
/// # Errors
/// Where it cannot be written for another reason: what nobody was told of is not served.
fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => {
            Err(io::Error::new(cause.kind(), format!("cannot write to standard output: {cause}")))
        }
        _ => Ok(()),
    }
}

/// Who and what is made for a try-out. None of it is known before.
pub(crate) struct Demo {
    pub(crate) user: &'static str,
    pub(crate) password: String,
    pub(crate) client: String,
    pub(crate) secret: String,
    pub(crate) code: Option<String>,
    pub(crate) personal: Option<String>,
}

async fn demo(
    server: &Server,
    users: &KnownUsers,
    system: &System,
) -> Result<Demo, Box<dyn Error>> {
    let grants: &Grants = server.grants();
    let new = NewClient::confidential(None)
        .name("Demo app")
        .redirect_uri(DEMO_REDIRECT)
        .grants(system.grants.iter().cloned())
        .scopes(system.scopes.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    let Creation::Created(made) = grants.create_client(new).await? else {
        return Err("a client id was taken that nobody knew".into());
    };
    let client = made.client.id;
    let secret = made.secret.ok_or("a confidential client has a secret")?.expose().to_owned();
    let password = grantkeep_server::random_password()?;
    users.add(DEMO_USER, &grantkeep_server::hash(&password)?, true)?;
    let code = if system.asks() {
        let asked = grantkeep_grants::Authorize::new(&client, DEMO_USER)
            .scopes(system.scopes.iter().map(|(name, _)| *name).collect::<Vec<_>>())
            .lifetime(grants.policy().code_lifetime_max);
        Some(grants.authorize(asked).await?.expose().to_owned())
    } else {
        None
    };
    let personal = if system.personal {
        let new = grantkeep_grants::NewPersonal::new(DEMO_USER, "demo");
        Some(grants.create_personal(new).await?.token.expose().to_owned())
    } else {
        None
    };
    Ok(Demo { user: DEMO_USER, password, client, secret, code, personal })
}

/// Ctrl-C, SIGTERM, and SIGHUP, none of which ends the process by itself any more.
struct ToldToEnd([Signal; 3]);

impl ToldToEnd {
    /// # Errors
    /// Where the operating system refuses to say so.
    fn listening() -> std::io::Result<Self> {
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    /// Waits for the next of them.
    async fn again(&mut self) {
        let Self([interrupt, terminate, hangup]) = self;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
