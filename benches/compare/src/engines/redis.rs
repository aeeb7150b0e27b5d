//! Redis over the loopback interface, which syncs before it answers, and expires by itself.

use super::server::{Pool, Server, Taken, program};
use crate::engine::{Contender, Engine, Reader, Setup};
use crate::workload::{Change, Family, Text, row};
use redis::{Client, Connection, Pipeline};
use std::process::Command;

pub(crate) const CONTENDER: Contender = Contender {
    name: "Redis",
    open: |setup| Box::new(Redis::open(setup)),
    server: true,
    missing: || {
        let found = program("redis-server", &[]);
        found.is_none().then(|| "there is no redis-server on this machine".to_owned())
    },
    settings: "appendonly, appendfsync=always, no snapshots; a transaction a pair, one connection \
               a caller; expiry by Redis itself",
};

/// Pairs of one pipeline while loading.
const LOAD_PAIRS: usize = 1_000;

struct Redis {
    // Before the server: its connections end first.
    pool: Pool<Connection>,
    _server: Server,
}

/// What a connection says.
const ANSWERS: &str = "Redis answers";

/// Starts a server of its own in a directory.
pub(crate) fn start(setup: &Setup) -> Server {
    let dir = setup.dir.join("redis");
    std::fs::create_dir_all(&dir).expect("a directory for Redis");
    Server::start(&dir.join("log"), |port| {
        let mut command = Command::new(program("redis-server", &[]).expect("Redis is there"));
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
        command.arg("--dir").arg(&dir);
        command
    })
}

impl Redis {
    fn open(setup: &Setup) -> Self {
        let server = start(setup);
        let client =
            Client::open(format!("redis://127.0.0.1:{}/", server.port)).expect("an address");
        let pool = Pool::new(move || client.get_connection().expect("Redis is listening"));
        Self { pool, _server: server }
    }

    fn add(connection: &mut Connection, pipeline: &mut Pipeline, change: &Change) {
        let token = &change.token;
        let row = match &change.what {
            Family::Opened(opened) => opened.clone(),
            Family::Rotated => {
                let get = redis::cmd("GET").arg(&change.family).query(connection);
                row::next(&get.map(|held: Vec<u8>| held).expect(ANSWERS), change.family_dies_ms)
            }
        };
        let mut set = |key: &[u8], row: &[u8], dies_ms: u64| {
            pipeline.cmd("SET").arg(key).arg(row).arg("PXAT").arg(dies_ms).ignore();
        };
        set(&token.text.digest(), &token.row, token.dies_ms);
        set(&change.family, &row, change.family_dies_ms);
    }
}

impl Engine for Redis {
    fn write(&self, change: Change) {
        let mut connection = self.pool.take();
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        Self::add(&mut connection, &mut pipeline, &change);
        pipeline.query::<()>(&mut *connection).expect(ANSWERS);
    }

    fn load(&self, changes: Vec<Change>) {
        let mut connection = self.pool.take();
        for part in changes.chunks(LOAD_PAIRS) {
            let mut pipeline = redis::pipe();
            part.iter().for_each(|change| Self::add(&mut connection, &mut pipeline, change));
            pipeline.query::<()>(&mut *connection).expect(ANSWERS);
        }
    }

    fn reader(&self) -> Box<dyn Reader + '_> {
        Box::new(self.pool.take())
    }

    fn sweep(&self, _: u64) -> u64 {
        0
    }

    fn sweeps_by_itself(&self) -> bool {
        true
    }
}

impl Reader for Taken<'_, Connection> {
    fn look_up(&mut self, text: &Text) -> Option<u64> {
        let get = redis::cmd("GET").arg(&text.digest()).query(&mut **self);
        get.map(|held: Option<Vec<u8>>| held).expect(ANSWERS).map(|held| row::dies_ms(&held))
    }
}
