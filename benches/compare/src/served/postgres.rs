//! The handlers on PostgreSQL: a statement a request, prepared, on connections that are kept.
//!
//! 1. A refresh is one statement: the family's row takes the next digest where it has the presented
//!    one, and only then an access token is put beside it. No index has to follow the rotation, and
//!    pages have room for it (`fillfactor`), so that the row moves within its page.
//! 2. Commits wait for the log (`synchronous_commit`); those of several connections share a sync.
//! 3. An introspection is one statement, which finds the token and its family by their keys.
//! 4. A refresh takes a connection for itself, since a connection has one transaction at a time.
//!    Introspections are sent one behind the other on a few connections, none of which waits for
//!    another's answer.

use super::Tokens;
use super::texts::{Issued, Lifetimes, Told, family, made, now_ms, read};
use crate::engines::postgres::{DATABASE, USER};
use futures_util::future::join_all;
use grantkeep_benches::served::{CLIENT, SCOPE};
use parking_lot::Mutex;
use std::net::Ipv4Addr;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row, Statement};

/// Two tables, and no more indexes than their keys.
pub(crate) const SCHEMA: &str = "
    CREATE TABLE family (
        id bytea PRIMARY KEY, current bytea NOT NULL, client text NOT NULL,
        subject text NOT NULL, scope text NOT NULL, dies bigint NOT NULL, ends bigint NOT NULL
    ) WITH (fillfactor = 50);
    CREATE TABLE access (
        id bytea PRIMARY KEY, family bytea NOT NULL, issued bigint NOT NULL, dies bigint NOT NULL
    );";

const OPEN: &str = "
    WITH opened AS (INSERT INTO family VALUES ($1, $2, $3, $4, $5, $6, $7))
    INSERT INTO access VALUES ($8, $1, $9, $10)";

const REFRESH: &str = "
    WITH rotated AS (
        UPDATE family SET current = $3, dies = LEAST(ends, $5)
        WHERE id = $1 AND current = $2 AND client = $4 AND dies > $7
        RETURNING scope
    ), issued AS (
        INSERT INTO access SELECT $6::bytea, $1, $7, $8::bigint FROM rotated
    )
    SELECT scope FROM rotated";

const END: &str = "DELETE FROM family WHERE id = $1 AND client = $2 AND current <> $3";

const INTROSPECT: &str = "
    SELECT family.scope, family.subject, access.issued, access.dies
    FROM access JOIN family ON family.id = access.family
    WHERE access.id = $1 AND access.dies > $2 AND family.client = $3";

/// Connections for refreshes: as many as requests are under way, so that none waits for another's
/// sync.
const REFRESHING: usize = grantkeep_benches::served::CONNECTIONS;
/// Connections for introspections, each of which takes many requests at a time.
const INTROSPECTING: usize = 4;

/// What is said if a connection fails.
const ANSWERS: &str = "PostgreSQL answers";

pub(crate) struct Postgres {
    refreshing: Pool,
    introspecting: Vec<Connection>,
    next: AtomicUsize,
    lifetimes: Lifetimes,
}

/// Connections that have one request at a time.
struct Pool {
    idle: Mutex<Vec<Connection>>,
    // As many as there are idle connections.
    turns: Semaphore,
}

/// A connection that goes back to its pool.
struct Taken<'p> {
    pool: &'p Pool,
    connection: Option<Connection>,
    // Given back last.
    _turn: SemaphorePermit<'p>,
}

struct Connection {
    client: Client,
    open: Statement,
    refresh: Statement,
    end: Statement,
    introspect: Statement,
}

impl Postgres {
    /// Connects to the server at this port, which has the tables.
    pub(crate) async fn connect(port: u16) -> Self {
        let connections =
            |count| async move { join_all((0..count).map(|_| Connection::new(port))).await };
        Self {
            refreshing: Pool::of(connections(REFRESHING).await),
            introspecting: connections(INTROSPECTING).await,
            next: AtomicUsize::new(0),
            lifetimes: Lifetimes::of_profile(),
        }
    }

    /// One of those that take requests one behind the other.
    fn shared(&self) -> &Connection {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        &self.introspecting[next % self.introspecting.len()]
    }
}

impl Pool {
    fn of(connections: Vec<Connection>) -> Self {
        let turns = Semaphore::new(connections.len());
        Self { idle: Mutex::new(connections), turns }
    }

    /// One that nobody has, as soon as there is one.
    async fn take(&self) -> Taken<'_> {
        let turn = self.turns.acquire().await.expect("the pool is never closed");
        let connection = self.idle.lock().pop();
        Taken { pool: self, connection, _turn: turn }
    }
}

impl Deref for Taken<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("it is there until it goes back")
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.pool.idle.lock().extend(self.connection.take());
    }
}

impl Connection {
    async fn new(port: u16) -> Self {
        let mut config = Config::new();
        config.host(Ipv4Addr::LOCALHOST.to_string()).port(port).user(USER).dbname(DATABASE);
        let (client, connection) = config.connect(NoTls).await.expect("PostgreSQL is listening");
        tokio::spawn(connection);
        let prepare = async |text| client.prepare(text).await.expect("PostgreSQL prepares");
        Self {
            open: prepare(OPEN).await,
            refresh: prepare(REFRESH).await,
            end: prepare(END).await,
            introspect: prepare(INTROSPECT).await,
            client,
        }
    }

    /// The row that a statement answers, if there is one.
    async fn row(&self, statement: &Statement, values: &[&(dyn ToSql + Sync)]) -> Option<Row> {
        self.client.query_opt(statement, values).await.expect(ANSWERS)
    }
}

impl Tokens for Postgres {
    type Issued = Issued;
    type Told = Told;

    async fn open(&self, subject: &str) -> (String, String) {
        let connection = self.refreshing.take().await;
        let (id, now) = (family(), now_ms());
        let ((access, filed), (refresh, current)) = (made(&id), made(&id));
        let (id, filed, current) = (id.as_slice(), filed.as_slice(), current.as_slice());
        let Lifetimes { access_ms, idle_ms, absolute_ms } = self.lifetimes;
        let (ends, dies) = (now + absolute_ms, now + access_ms);
        let idle = ends.min(now + idle_ms);
        let values: [&(dyn ToSql + Sync); 10] =
            [&id, &current, &CLIENT, &subject, &SCOPE, &idle, &ends, &filed, &now, &dies];
        connection.client.execute(&connection.open, &values).await.expect(ANSWERS);
        (access, refresh)
    }

    async fn refresh(&self, client: &str, token: &str) -> Option<Issued> {
        let (id, presented) = read(token)?;
        let connection = self.refreshing.take().await;
        let ((access_token, filed), (refresh_token, next)) = (made(&id), made(&id));
        let (id, presented) = (id.as_slice(), presented.as_slice());
        let (filed, next, now) = (filed.as_slice(), next.as_slice(), now_ms());
        let Lifetimes { access_ms, idle_ms, .. } = self.lifetimes;
        let (idle, dies) = (now + idle_ms, now + access_ms);
        let values: [&(dyn ToSql + Sync); 8] =
            [&id, &presented, &next, &client, &idle, &filed, &now, &dies];
        let Some(row) = connection.row(&connection.refresh, &values).await else {
            // A spent one ends its family; of one that nobody issued there is none.
            let values: [&(dyn ToSql + Sync); 3] = [&id, &client, &presented];
            connection.client.execute(&connection.end, &values).await.expect(ANSWERS);
            return None;
        };
        let (token_type, expires_in) = ("Bearer", access_ms / 1_000);
        Some(Issued { access_token, token_type, expires_in, refresh_token, scope: row.get(0) })
    }

    async fn introspect(&self, client: &str, token: &str) -> Option<Told> {
        let (_, filed) = read(token)?;
        let connection = self.shared();
        let (filed, now) = (filed.as_slice(), now_ms());
        let row = connection.row(&connection.introspect, &[&filed, &now, &client]).await?;
        let seconds = |at: usize| row.get::<_, i64>(at) / 1_000;
        Some(Told {
            active: true,
            scope: row.get(0),
            client_id: client.to_owned(),
            token_type: "Bearer",
            exp: seconds(3),
            iat: seconds(2),
            sub: row.get(1),
        })
    }
}
