use super::connection::Connection;
use super::ledger::{Broken, Lineage, Race, Standing, count};
use super::server::{CLIENT, Place, REVOKE, Server, all, code, open, present};
use futures_util::future::{join, join_all};
use grantkeep::Wait as _;
use grantkeep_grants::Introspection;
use grantkeep_tests::files::copy_dir;
use grantkeep_tests::pseudorandom::Pseudorandom;
use grantkeep_tests::{fresh_seed, setting};
use std::cell::RefCell;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

const KILLS: u64 = 20;
/// Pairs of connections that race for codes, and as many that race for refreshes.
const PAIRS: usize = 256;
/// Families of each pair that refreshes.
const FAMILIES: usize = 4;
/// Codes that are made for each kill, more than are redeemed before it.
const CODES: usize = 4_000;
/// Kills until the server ends in order, and the store is read as a whole.
const ERA: u64 = 5;
/// How long the load lasts at most before the server is killed.
const WORK_MS: u64 = 1_000;
/// How long it lasts before a server that forgets is killed: everything has to happen in it.
const FORGOTTEN_WORK: Duration = Duration::from_secs(3);
/// One of so many refreshes of a family is a revocation of it, and of those that are forgotten.
const REVOKED_OF: u64 = 64;
const FORGOTTEN_REVOKED_OF: u64 = 4;
/// Connections that audit at once, and what each asks about: servers limit how often one may guess.
const AUDITORS: usize = 64;
const ASKED_ABOUT: usize = 24;

/// All that clients were told, and how the servers kept it.
#[derive(Default)]
struct Kept {
    codes: Vec<String>,
    races: Vec<Race>,
    families: Vec<Lineage>,
    ended: Vec<Lineage>,
    acknowledged: u64,
    unanswered: u64,
    redeemed: u64,
    broken: Broken,
}

// Goal: P1, P2, P3, P7, P8 over HTTP: with a thousand connections that exchange codes and refresh
// (RFC 6749 sections 4.1.3 and 6) the server is killed, and one that is started on its directory
// says what was said before: a code has one winner, a generation is accepted once, no token is
// lost, nothing that was revoked is accepted. Method: each code and each generation is presented by
// two connections at once; SIGKILL at a random moment; everything touched is asked for again, by
// HTTP after each kill, and in the store itself after every fifth.
#[test]
fn nothing_acknowledged_is_lost_to_a_kill_under_load() {
    let kills = setting("GRANTKEEP_SERVER_KILLS", KILLS);
    let seed = fresh_seed("GRANTKEEP_KILL_SEED");
    println!("seed {seed}");
    let mut random = Pseudorandom::new(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let place = Place::new();
    place.start(&[]).stop();
    let (mut kept, mut done) = (Kept::default(), 0);
    while done < kills {
        let kills = ERA.min(kills - done);
        kept.supply(&place, kills as usize);
        let mut server = place.start(&[]);
        for _ in 0..kills {
            let lasts = Duration::from_micros(WORK_MS * 200 + random.below(WORK_MS * 800));
            runtime.block_on(kept.work(&mut server, &mut random, lasts, REVOKED_OF));
            server = place.start(&[]);
            runtime.block_on(kept.audit_all(server.address));
        }
        done += kills;
        server.stop();
        kept.audit_store(&place);
    }
    let Kept { acknowledged, unanswered, redeemed, broken, .. } = &kept;
    println!(
        "{unanswered} requests were under way at a kill, {redeemed} codes were won, {} families \
         were revoked or lost to their clients",
        kept.ended.len()
    );
    println!(
        "kill under load: {kills} kills, {acknowledged} exchanges and refreshes acknowledged, lost \
         {}, twice spent {}, revived {}",
        broken.lost, broken.twice_spent, broken.revived
    );
    assert!(broken.none(), "{broken:?}");
    assert!(*acknowledged > kills * 100 && *unanswered > kills, "hardly any load");
}

// Goal: the test above would notice a server that acknowledges what it has not stored. Method: what
// such a server leaves behind a kill: the store as it was before the load, under one that was told
// of the load; the audit finds tokens lost, codes and generations spent twice, revocations undone.
#[test]
fn a_server_that_forgets_what_it_acknowledged_is_noticed() {
    let mut random = Pseudorandom::new(fresh_seed("GRANTKEEP_KILL_SEED"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let place = Place::new();
    place.start(&[]).stop();
    let mut kept = Kept::default();
    kept.supply(&place, 1);
    copy_dir(&place.path("store"), &place.path("before"));
    let mut server = place.start(&[]);
    let load = kept.work(&mut server, &mut random, FORGOTTEN_WORK, FORGOTTEN_REVOKED_OF);
    runtime.block_on(load);
    assert!(kept.broken.none(), "broken before the store was: {:?}", kept.broken);
    drop(server);
    fs::remove_dir_all(place.path("store")).unwrap();
    fs::rename(place.path("before"), place.path("store")).unwrap();
    let server = place.start(&[]);
    runtime.block_on(kept.audit_all(server.address));
    let Broken { lost, twice_spent, revived } = kept.broken;
    println!("a store that forgets: lost {lost}, twice spent {twice_spent}, revived {revived}");
    assert!(lost > 0 && twice_spent > 0 && revived > 0, "not noticed: {:?}", kept.broken);
}

impl Kept {
    /// Makes what the next lives present.
    fn supply(&mut self, place: &Place, kills: usize) {
        let grants = place.grants();
        // What was left of them may be too old.
        self.codes = all((0..kills * CODES).map(async |at| {
            let subject = format!("person-{}", at % 1_000);
            code(&grants, &subject).await
        }));
        let missing = self.families.len()..PAIRS * FAMILIES;
        let opened = all(missing.map(async |at| open(&grants, &format!("person-{at}")).await));
        self.families.extend(opened.into_iter().map(|pair| {
            let refresh = pair.refresh.unwrap().expose().to_owned();
            Lineage::new(pair.access.expose().to_owned(), refresh)
        }));
        grants.store().close().unwrap();
    }

    /// Loads a server, and kills it in the middle.
    async fn work(
        &mut self,
        server: &mut Server,
        random: &mut Pseudorandom,
        lasts: Duration,
        revoked_of: u64,
    ) {
        let address = server.address;
        let opened = (0..2 * PAIRS).map(|_| pair(address));
        let mut pairs = join_all(opened).await;
        let refreshing = pairs.split_off(PAIRS);
        let mut own: Vec<Vec<Lineage>> = (0..PAIRS).map(|_| Vec::new()).collect();
        for (at, family) in self.families.drain(..).enumerate() {
            own[at % PAIRS].push(family);
        }
        let codes = RefCell::new(std::mem::take(&mut self.codes));
        let redeem = join_all(pairs.into_iter().map(|pair| redeem(pair, &codes)));
        let refresh = refreshing
            .into_iter()
            .zip(own)
            .map(|(pair, own)| refresh(pair, own, Pseudorandom::new(random.number()), revoked_of));
        let kill = async {
            tokio::time::sleep(lasts).await;
            assert!(server.process.runs(), "the server ended by itself");
            server.process.kill();
        };
        let ((races, refreshed), ()) = join(join(redeem, join_all(refresh)), kill).await;
        self.codes = codes.into_inner();
        self.families.clear();
        for Refreshed { own, granted, unanswered, broken } in refreshed {
            self.families.extend(own);
            self.acknowledged += granted;
            self.unanswered += unanswered;
            self.broken.add(broken);
        }
        self.races = races.into_iter().flatten().collect();
        for race in &self.races {
            let (granted, nothing) = race.count();
            self.acknowledged += granted;
            self.redeemed += granted;
            self.unanswered += nothing;
        }
    }

    /// Holds a server that was started again against what was told before.
    async fn audit_all(&mut self, server: SocketAddr) {
        let mut races = std::mem::take(&mut self.races);
        let of_codes = async |asked: &mut Connection, race: &mut Race| race.audit(asked).await;
        self.broken.add(spread(server, &mut races, of_codes).await);
        let of_families = async |asked: &mut Connection, family: &mut Lineage| {
            if family.touched { family.audit(asked).await } else { Broken::default() }
        };
        self.broken.add(spread(server, &mut self.families, of_families).await);
        let is_over = |family: &mut Lineage| family.standing != Standing::InForce;
        self.ended.extend(self.families.extract_if(.., is_over));
    }

    /// Holds the store itself against it, and reads all of it.
    fn audit_store(&mut self, place: &Place) {
        let grants = place.grants();
        let is_active = |token: &str| {
            matches!(grants.introspect(token).wait().unwrap(), Introspection::Active(_))
        };
        for family in &self.families {
            self.broken.lost += u64::from(!is_active(&family.access));
        }
        let revoked = |family: &&Lineage| family.standing == Standing::Revoked;
        for family in self.ended.iter().filter(revoked) {
            self.broken.revived += u64::from(is_active(&family.access));
        }
        let found = grants.store().verify(|_| {}).wait().unwrap();
        assert_eq!(found.damages, 0, "{:?}", found.named);
        grants.store().close().unwrap();
    }
}

/// Asks a server about each of these, on several connections.
async fn spread<T>(
    server: SocketAddr,
    items: &mut [T],
    ask: impl AsyncFn(&mut Connection, &mut T) -> Broken,
) -> Broken {
    let share = items.len().div_ceil(AUDITORS).max(1);
    let ask = &ask;
    let asked = items.chunks_mut(share).map(|own| async move {
        let mut broken = Broken::default();
        for own in own.chunks_mut(ASKED_ABOUT) {
            let mut connection = Connection::open(server).await.unwrap();
            for item in own {
                broken.add(ask(&mut connection, item).await);
            }
        }
        broken
    });
    let mut all = Broken::default();
    join_all(asked).await.into_iter().for_each(|broken| all.add(broken));
    all
}

/// Two connections to a server.
async fn pair(server: SocketAddr) -> [Connection; 2] {
    let (first, second) = join(Connection::open(server), Connection::open(server)).await;
    [first.unwrap(), second.unwrap()]
}

/// Presents codes on two connections at once, until the server is gone.
async fn redeem([mut one, mut other]: [Connection; 2], codes: &RefCell<Vec<String>>) -> Vec<Race> {
    let mut races = Vec::new();
    loop {
        let Some(code) = codes.borrow_mut().pop() else { return races };
        let both = join(present(&mut one, ("code", &code)), present(&mut other, ("code", &code)));
        let told = <[_; 2]>::from(both.await);
        let race = Race { code, told };
        let (_, unanswered) = race.count();
        races.push(race);
        if unanswered > 0 {
            return races;
        }
    }
}

/// What a pair of connections did that refreshes.
struct Refreshed {
    own: Vec<Lineage>,
    granted: u64,
    unanswered: u64,
    broken: Broken,
}

/// Refreshes families on two connections at once, and revokes one now and then, until the server
/// is gone.
async fn refresh(
    [mut one, mut other]: [Connection; 2],
    own: Vec<Lineage>,
    mut random: Pseudorandom,
    revoked_of: u64,
) -> Refreshed {
    let mut done = Refreshed { own, granted: 0, unanswered: 0, broken: Broken::default() };
    for turn in 0.. {
        let Some(at) = (0..done.own.len())
            .map(|step| (turn + step) % done.own.len())
            .find(|at| done.own[*at].standing == Standing::InForce)
        else {
            break;
        };
        let family = &mut done.own[at];
        if random.below(revoked_of) == 0 {
            let form = [CLIENT[0], CLIENT[1], ("token", &family.refresh)];
            let revoked = one.post(REVOKE, &form).await;
            family.touched = true;
            family.standing = match &revoked {
                Ok(answer) if answer.status == 200 => Standing::Revoked,
                Ok(answer) => panic!("{}", answer.text()),
                Err(_) => Standing::Doubtful,
            };
            done.unanswered += u64::from(revoked.is_err());
            if revoked.is_err() {
                break;
            }
            continue;
        }
        let presented = ("refresh_token", family.refresh.clone());
        let presented = (presented.0, presented.1.as_str());
        let told = join(present(&mut one, presented), present(&mut other, presented)).await;
        let told = <[_; 2]>::from(told);
        let (granted, unanswered) = count(&told);
        done.broken.add(family.note(told));
        done.granted += granted;
        done.unanswered += unanswered;
        if unanswered > 0 {
            break;
        }
    }
    done
}
