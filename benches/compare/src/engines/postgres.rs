//! PostgreSQL over the loopback interface: prepared statements, one a pair.

use super::server::{Pool, Server, Taken, program};
use crate::engine::{Contender, Engine, Reader, Setup};
use crate::workload::{Change, Family, Text, row};
use grantkeep_benches::Scratch;
use postgres::{Client, Config, NoTls, Statement};
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const CONTENDER: Contender = Contender {
    name: "PostgreSQL",
    open: |setup| Box::new(Postgres::open(setup)),
    server: true,
    missing: || {
        if binary("initdb").is_none() || owner().is_none() {
            return Some("there is no PostgreSQL server on this machine".to_owned());
        }
        let closed = rustix::process::getuid().is_root() && !is_open_to_all(&Scratch::new());
        closed.then(|| "the user postgres cannot reach the directory of the run".to_owned())
    },
    settings: "15; synchronous_commit, prepared statements, a statement a pair, one connection a \
               caller, shared_buffers set, max_wal_size 4GB",
};

const SCHEMA: &str = "
    CREATE TABLE token (id bytea PRIMARY KEY, dies bigint NOT NULL, row bytea NOT NULL);
    CREATE TABLE family (id bytea PRIMARY KEY, dies bigint NOT NULL, row bytea NOT NULL);
    CREATE INDEX ON token (dies);
    CREATE INDEX ON family (dies);";

/// Rows that one statement of a sweep removes from each table.
const SWEEP_ROWS: usize = crate::tables::SWEEP_ROWS / 2;
/// Pairs of one statement while loading.
const LOAD_PAIRS: usize = 10_000;
/// What a connection says.
const ANSWERS: &str = "PostgreSQL answers";

struct Postgres {
    // Before the server: its connections end first.
    pool: Pool<Connection>,
    _cluster: Cluster,
}

/// A server of its own, with an empty database, that ends with this value.
pub(crate) struct Cluster {
    server: Server,
    config: Config,
}

/// Whom the server takes for the owner of everything, without a password.
pub(crate) const USER: &str = "tokens";
/// The database.
pub(crate) const DATABASE: &str = "postgres";

struct Connection {
    client: Client,
    open: Statement,
    family: Statement,
    rotate: Statement,
    token: Statement,
}

fn binary(name: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    program(name, &folders)
}

/// Whether others than the owner can go through this directory and all above it.
fn is_open_to_all(scratch: &Scratch) -> bool {
    let open = |dir: &Path| dir.metadata().is_ok_and(|found| found.permissions().mode() & 1 == 1);
    scratch.path("").ancestors().filter(|dir| !dir.as_os_str().is_empty()).all(open)
}

/// The user that the server runs as, since it refuses to be root: user and group id.
fn owner() -> Option<(u32, u32)> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = passwd.lines().find(|line| line.starts_with("postgres:"))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// A program of the server, run as its user if this one is root.
fn command(name: &str) -> Command {
    let mut command = Command::new(binary(name).expect("PostgreSQL is there"));
    command.current_dir("/");
    if rustix::process::getuid().is_root() {
        let (user, group) = owner().expect("the user postgres is there");
        command.uid(user).gid(group);
    }
    command
}

fn make_cluster(dir: &Path) {
    std::fs::create_dir_all(dir).expect("a directory for PostgreSQL");
    if rustix::process::getuid().is_root() {
        let (user, group) = owner().expect("the user postgres is there");
        chown(dir, Some(user), Some(group)).expect("the directory is given away");
    }
    let mut initdb = command("initdb");
    initdb.args(["--auth=trust", "--username=tokens", "--no-sync", "--no-locale", "-E", "UTF8"]);
    let made = initdb.arg("--pgdata").arg(dir).output().expect("initdb runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

impl Cluster {
    /// Starts one in a directory, and makes these tables in it.
    pub(crate) fn start(setup: &Setup, schema: &str) -> Self {
        let dir = setup.dir.join("postgresql");
        make_cluster(&dir);
        let server = Server::start(&setup.dir.join("postgresql.log"), |port| {
            let mut command = command("postgres");
            command.arg("-D").arg(&dir).args(["-h", "127.0.0.1", "-p", &port.to_string()]);
            let megabytes = setup.cache_bytes >> 20;
            for set in [
                &format!("shared_buffers={megabytes}MB"),
                "max_wal_size=4GB",
                "unix_socket_directories=",
                "max_connections=1100",
            ] {
                command.args(["-c", set]);
            }
            command
        });
        let mut config = Config::new();
        config.host(&Ipv4Addr::LOCALHOST.to_string()).port(server.port);
        config.user(USER).dbname(DATABASE);
        let mut first = loop {
            // It listens some time before it takes connections.
            match config.connect(NoTls) {
                Ok(client) => break client,
                Err(error) => assert!(error.as_db_error().is_some(), "{error}"),
            }
        };
        first.batch_execute(schema).expect("PostgreSQL makes tables");
        Self { server, config }
    }

    /// Where it listens on the loopback interface.
    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }
}

impl Postgres {
    fn open(setup: &Setup) -> Self {
        let cluster = Cluster::start(setup, SCHEMA);
        let config = cluster.config.clone();
        Self { pool: Pool::new(move || Connection::new(&config)), _cluster: cluster }
    }
}

impl Connection {
    fn new(config: &Config) -> Self {
        let mut client = config.connect(NoTls).expect("PostgreSQL is listening");
        let mut prepare = |text| client.prepare(text).expect("PostgreSQL prepares");
        Self {
            open: prepare(
                "WITH issued AS (INSERT INTO token VALUES ($1, $2, $3))
                 INSERT INTO family VALUES ($4, $5, $6)",
            ),
            family: prepare("SELECT row FROM family WHERE id = $1"),
            rotate: prepare(
                "WITH issued AS (INSERT INTO token VALUES ($1, $2, $3))
                 UPDATE family SET dies = $5, row = $6 WHERE id = $4",
            ),
            token: prepare("SELECT row FROM token WHERE id = $1"),
            client,
        }
    }

    fn write(&mut self, change: &Change) {
        let held;
        let (statement, row) = match &change.what {
            Family::Opened(opened) => (&self.open, opened),
            Family::Rotated => {
                let id = change.family.as_slice();
                let found = self.client.query_one(&self.family, &[&id]).expect(ANSWERS);
                held = row::next(found.get(0), change.family_dies_ms);
                (&self.rotate, &held)
            }
        };
        let token = &change.token;
        let (digest, dies) = (token.text.digest(), signed(token.dies_ms));
        let (family, family_dies) = (change.family.as_slice(), signed(change.family_dies_ms));
        let values: [&(dyn postgres::types::ToSql + Sync); 6] =
            [&digest.as_slice(), &dies, &token.row, &family, &family_dies, row];
        let written = self.client.execute(statement, &values).expect(ANSWERS);
        assert_eq!(written, 1, "no family was written");
    }

    /// Puts one table's rows: keys, deaths, values.
    fn put(&mut self, table: &str, rows: (&[&[u8]], &[i64], &[&[u8]])) {
        let put = format!(
            "INSERT INTO {table} SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::bytea[])"
        );
        self.client.execute(&put, &[&rows.0, &rows.1, &rows.2]).expect(ANSWERS);
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

impl Engine for Postgres {
    fn write(&self, change: Change) {
        self.pool.take().write(&change);
    }

    fn load(&self, changes: Vec<Change>) {
        let mut connection = self.pool.take();
        for part in changes.chunks(LOAD_PAIRS) {
            let digests: Vec<[u8; 32]> = part.iter().map(|c| c.token.text.digest()).collect();
            let keys: Vec<&[u8]> = digests.iter().map(<[u8; 32]>::as_slice).collect();
            let dies: Vec<i64> = part.iter().map(|c| signed(c.token.dies_ms)).collect();
            let rows: Vec<&[u8]> = part.iter().map(|c| c.token.row.as_slice()).collect();
            connection.put("token", (&keys, &dies, &rows));
            let opened = |change: &'_ Change| match &change.what {
                Family::Opened(opened) => opened.clone(),
                Family::Rotated => panic!("only pairs are loaded"),
            };
            let opened: Vec<Vec<u8>> = part.iter().map(opened).collect();
            let keys: Vec<&[u8]> = part.iter().map(|c| c.family.as_slice()).collect();
            let dies: Vec<i64> = part.iter().map(|c| signed(c.family_dies_ms)).collect();
            let rows: Vec<&[u8]> = opened.iter().map(Vec::as_slice).collect();
            connection.put("family", (&keys, &dies, &rows));
        }
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(self.pool.take())
    }

    fn sweep(&self, now_ms: u64) -> u64 {
        let mut connection = self.pool.take();
        let mut swept = 0;
        loop {
            let mut part = 0;
            for table in ["token", "family"] {
                let delete = format!(
                    "DELETE FROM {table} WHERE id = ANY (ARRAY(
                         SELECT id FROM {table} WHERE dies < $1 ORDER BY dies LIMIT {SWEEP_ROWS}))"
                );
                part += connection.client.execute(&delete, &[&signed(now_ms)]).expect(ANSWERS);
            }
            if part == 0 {
                return swept;
            }
            swept += part;
        }
    }

    fn settle(&self) {
        self.pool.take().client.batch_execute("CHECKPOINT").expect(ANSWERS);
    }
}

impl Reader for Taken<'_, Connection> {
    fn look_up(&mut self, text: &Text) -> Option<u64> {
        let Connection { client, token, .. } = &mut **self;
        let found = client.query_opt(&*token, &[&text.digest().as_slice()]).expect(ANSWERS);
        found.map(|found| row::dies_ms(found.get(0)))
    }
}
