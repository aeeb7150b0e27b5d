//! The handlers on Redis with `appendfsync always`: a command a request, on one connection that all
//! requests share.
//!
//! 1. A family is one value: the digest of its present refresh token, when it ends at last, and
//!    what was granted. An access token is another: when it was issued and when it ends. Redis
//!    removes both when they expire.
//! 2. A refresh is one script, so nothing comes between the look and the write. What it wrote is in
//!    the file, synced, before it is answered; the commands that Redis has read together share the
//!    sync.
//! 3. An introspection is one `MGET` of the token and of its family, whose id is in the text.

use super::Tokens;
use super::texts::{Digest, FamilyId, Issued, Lifetimes, Told, family, made, now_ms, read};
use grantkeep_benches::served::{CLIENT, SCOPE};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};

/// The family and the access token to be; the presented digest, the client, the next digest, when
/// the family dies if nobody uses it, the access token's value, and when that dies. Times have 13
/// digits, so they compare as texts. Answers what was granted.
const REFRESH: &str = "
    local held = redis.call('GET', KEYS[1])
    if not held then return false end
    local client = ARGV[2] .. '\\n'
    if string.sub(held, 46, 45 + #client) ~= client then return false end
    if string.sub(held, 1, 32) ~= ARGV[1] then
        redis.call('DEL', KEYS[1])
        return false
    end
    local rest = string.sub(held, 33)
    local dies, ends = ARGV[4], string.sub(held, 33, 45)
    if ends < dies then dies = ends end
    redis.call('SET', KEYS[1], ARGV[3] .. rest, 'PXAT', dies)
    redis.call('SET', KEYS[2], ARGV[5], 'PXAT', ARGV[6])
    return string.sub(held, 46)";

/// Digits of a time in milliseconds.
const DIGITS: usize = 13;
/// What is said if a connection fails.
const ANSWERS: &str = "Redis answers";

pub(crate) struct Redis {
    connection: MultiplexedConnection,
    refresh: String,
    lifetimes: Lifetimes,
}

fn family_key(id: &FamilyId) -> Vec<u8> {
    [b"f".as_slice(), id].concat()
}

fn access_key(filed: &Digest) -> Vec<u8> {
    [b"a".as_slice(), filed].concat()
}

/// What was granted, as it is kept: client, subject, scope.
fn granted(text: &[u8]) -> Option<[&str; 3]> {
    let mut parts = std::str::from_utf8(text).ok()?.split('\n');
    Some([parts.next()?, parts.next()?, parts.next()?])
}

fn seconds(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse::<i64>().ok().map(|ms| ms / 1_000)
}

impl Redis {
    /// Connects to the server at this port.
    pub(crate) async fn connect(port: u16) -> Self {
        let client = Client::open(format!("redis://127.0.0.1:{port}/")).expect("an address");
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let connected = client.get_multiplexed_async_connection_with_config(&config).await;
        let mut connection = connected.expect("Redis is listening");
        let mut load = redis::cmd("SCRIPT");
        let load = load.arg("LOAD").arg(REFRESH);
        let refresh = load.query_async(&mut connection).await.expect("Redis takes the script");
        Self { connection, refresh, lifetimes: Lifetimes::of_profile() }
    }
}

impl Tokens for Redis {
    type Issued = Issued;
    type Told = Told;

    async fn open(&self, subject: &str) -> (String, String) {
        let (id, now) = (family(), now_ms());
        let ((access, filed), (refresh, current)) = (made(&id), made(&id));
        let Lifetimes { access_ms, idle_ms, absolute_ms } = self.lifetimes;
        let (ends, dies) = (now + absolute_ms, now + access_ms);
        let mut held = current.to_vec();
        held.extend(format!("{ends}{CLIENT}\n{subject}\n{SCOPE}").bytes());
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        let idle = ends.min(now + idle_ms);
        pipeline.cmd("SET").arg(family_key(&id)).arg(held).arg("PXAT").arg(idle).ignore();
        let value = format!("{now}{dies}");
        pipeline.cmd("SET").arg(access_key(&filed)).arg(value).arg("PXAT").arg(dies).ignore();
        pipeline.query_async::<()>(&mut self.connection.clone()).await.expect(ANSWERS);
        (access, refresh)
    }

    async fn refresh(&self, client: &str, token: &str) -> Option<Issued> {
        let (id, presented) = read(token)?;
        let ((access_token, filed), (refresh_token, next)) = (made(&id), made(&id));
        let now = now_ms();
        let Lifetimes { access_ms, idle_ms, .. } = self.lifetimes;
        let dies = now + access_ms;
        let mut script = redis::cmd("EVALSHA");
        script.arg(&self.refresh).arg(2).arg(family_key(&id)).arg(access_key(&filed));
        script.arg(&presented).arg(client).arg(&next).arg(now + idle_ms);
        script.arg(format!("{now}{dies}")).arg(dies);
        let answered = script.query_async::<Option<Vec<u8>>>(&mut self.connection.clone()).await;
        let text = answered.expect(ANSWERS)?;
        let [_, _, scope] = granted(&text)?;
        let (token_type, expires_in) = ("Bearer", access_ms / 1_000);
        Some(Issued { access_token, token_type, expires_in, refresh_token, scope: scope.into() })
    }

    async fn introspect(&self, client: &str, token: &str) -> Option<Told> {
        let (id, filed) = read(token)?;
        let mut both = redis::cmd("MGET");
        both.arg(access_key(&filed)).arg(family_key(&id));
        let found = both.query_async(&mut self.connection.clone()).await;
        let (access, held): (Option<Vec<u8>>, Option<Vec<u8>>) = found.expect(ANSWERS);
        let (access, held) = (access?, held?);
        let (iat, exp) = access.split_at_checked(DIGITS)?;
        let [owner, subject, scope] = granted(held.get(size_of::<Digest>() + DIGITS..)?)?;
        (owner == client).then_some(())?;
        Some(Told {
            active: true,
            scope: scope.to_owned(),
            client_id: owner.to_owned(),
            token_type: "Bearer",
            exp: seconds(exp)?,
            iat: seconds(iat)?,
            sub: subject.to_owned(),
        })
    }
}
