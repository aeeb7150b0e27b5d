//! A client: it does what it can as fast as it is answered, and holds each answer against its book.

use super::book::{Around, Book, Expiry, Known, KnownCode, KnownGrant, Standing};
use super::world::{LIVES_S, Session, World};
use crate::pseudorandom::Pseudorandom;
use futures_util::future::{join, join_all};
use grantkeep::{Burned, Clock as _, Error, Result, Timestamp, Wait as _};
use grantkeep_grants::{
    Authorize, ClientCredentials, Introspection, Issued, NewPersonal, Once, Presented, Redeemed,
    RefreshRequest, Refreshed,
};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Names that a client issues for.
const SUBJECTS: u64 = 12;
const CLIENTS: u64 = 3;
/// Issues at one time.
const BURST: u64 = 8;
const PAYLOAD_BYTES: u64 = 4_000;
/// What a client remembers of each kind at most.
const REMEMBERED: usize = 2_000;
/// How long what carries a burnt value lives.
const BURNT: Duration = Duration::from_secs(300);
/// How long it rests after a refusal: one costs nothing, and a real client would wait as well.
const REST: Duration = Duration::from_millis(1);

/// One client.
#[derive(Debug)]
pub struct Client<'a> {
    world: &'a World,
    number: usize,
    random: Pseudorandom,
    made: u64,
    /// What it was told.
    pub book: Book,
}

/// What was answered to one of two who present a code.
enum Presentation {
    Granted(Box<Issued>),
    /// Its family is revoked.
    Replayed,
    Refused,
    Failed,
}

impl<'a> Client<'a> {
    /// The client of this number.
    pub fn new(world: &'a World, number: usize, seed: u64) -> Self {
        let (random, book) = (Pseudorandom::new(seed), Book::default());
        Self { world, number, random, made: 0, book }
    }

    /// Issues the first tokens, and answers them: none where the room is too small for any.
    pub fn begin(&mut self) -> Vec<String> {
        let _ = self.issue().and_then(|()| self.issue_for_good());
        self.book.tokens.iter().map(|known| known.text.clone()).collect()
    }

    /// Issues once more.
    ///
    /// # Panics
    /// If that is refused.
    pub fn issue_at_last(&mut self) {
        self.issue().unwrap();
        self.authorize().unwrap();
    }

    /// Works until the round is over.
    pub fn work(&mut self) {
        while !self.world.is_over() {
            if self.step().is_err() {
                std::thread::sleep(REST);
            }
            self.forget();
        }
    }

    fn step(&mut self) -> Result<()> {
        match self.random.below(200) {
            0..=69 => self.issue(),
            70..=79 => self.issue_for_good(),
            80..=99 => self.authorize(),
            100..=119 => self.redeem(),
            120..=134 => self.refresh(),
            135..=164 => self.look_up_some(),
            165..=186 => self.revoke_one(),
            187..=191 => self.burn(),
            192..=197 => self.revoke_subject(),
            _ => self.revoke_client(),
        }
    }

    fn around<T>(
        &self,
        session: &Session,
        call: impl FnOnce() -> Result<T>,
    ) -> (Around, Result<T>) {
        let steps = self.world.steps.load(Ordering::SeqCst);
        let before = session.store.now();
        let done = call();
        let after = session.store.now();
        let still = self.world.steps.load(Ordering::SeqCst) == steps && steps.is_multiple_of(2);
        (Around { before, after, still }, done)
    }

    fn names(&self, (subject, client): (usize, usize)) -> (String, String) {
        (format!("subject-{}-{subject}", self.number), format!("client-{}-{client}", self.number))
    }

    fn owner(&mut self) -> (usize, usize) {
        let mut draw = |end| usize::try_from(self.random.below(end)).unwrap_or(0);
        (draw(SUBJECTS), draw(CLIENTS))
    }

    fn life(&mut self) -> usize {
        usize::try_from(self.random.below(LIVES_S.len() as u64)).unwrap_or(0)
    }

    fn pick(&mut self, count: usize) -> Option<usize> {
        let at = self.random.below((count as u64).max(1));
        usize::try_from(at).ok().filter(|_| count > 0)
    }

    /// Issues several tokens at once.
    fn issue(&mut self) -> Result<()> {
        let (session, owner, life) = (self.world.session(), self.owner(), self.life());
        let (subject, client) = self.names(owner);
        let payload = vec![7; usize::try_from(self.random.below(PAYLOAD_BYTES)).unwrap_or(0)];
        let grants = &session.grants[life];
        let requests = (0..1 + self.random.below(BURST)).map(|_| {
            let request = ClientCredentials::new(&client).subject(&subject).payload(&payload);
            grants.client_credentials(request)
        });
        let all = || Ok(join_all(requests).wait());
        let (around, issued) =
            self.around(&session, || self.world.call(self.number, "issue", true, all));
        let mut refused = Ok(());
        for issued in issued? {
            match issued {
                Ok(issued) => {
                    let expiry = around.plus(LIVES_S[life]);
                    self.note(issued.access.expose(), owner, None, expiry);
                }
                Err(error) => refused = self.told("issue", error),
            }
        }
        refused
    }

    /// Notes a refusal within a call of several.
    fn told(&self, what: &str, error: Error) -> Result<()> {
        self.world.call(self.number, what, true, || Err(error))
    }

    fn note(
        &mut self,
        text: &str,
        owner: (usize, usize),
        family: Option<grantkeep::FamilyId>,
        expiry: Expiry,
    ) {
        let (text, standing) = (text.to_owned(), Standing::InForce);
        self.book.tokens.push(Known { text, owner, family, standing, expiry });
    }

    /// Issues a token that lives until it is revoked.
    fn issue_for_good(&mut self) -> Result<()> {
        let (session, owner) = (self.world.session(), self.owner());
        let (subject, client) = self.names(owner);
        self.made += 1;
        let name = format!("personal {}", self.made);
        let new = NewPersonal::new(&subject, &name).client(&client).without_expiry();
        let made = session.grants[3].create_personal(new);
        let issued = self.world.call(self.number, "issue for good", true, || made.wait())?;
        let never = Expiry { earliest: Timestamp::MAX, latest: Timestamp::MAX };
        self.note(issued.token.expose(), owner, None, never);
        Ok(())
    }

    fn authorize(&mut self) -> Result<()> {
        let (session, owner, life) = (self.world.session(), self.owner(), self.life());
        let (subject, client) = self.names(owner);
        let code = session.grants[life].authorize(Authorize::new(&client, &subject));
        let call = || self.world.call(self.number, "authorize", true, || code.wait());
        let (around, code) = self.around(&session, call);
        let expiry = around.plus(LIVES_S[life].min(600));
        let (text, standing) = (code?.expose().to_owned(), Standing::InForce);
        let known = Known { text, owner, family: None, standing, expiry };
        self.book.codes.push(KnownCode { known, life, granted: false });
        Ok(())
    }

    /// Presents a code once, or twice at the same moment: at most one is granted, ever.
    fn redeem(&mut self) -> Result<()> {
        let Some(at) = self.pick(self.book.codes.len()) else { return Ok(()) };
        let session = self.world.session();
        let KnownCode { known, life, granted } = self.book.codes[at].clone();
        let (_, client) = self.names(known.owner);
        let (grants, twice) = (&session.grants[life], self.random.below(2) == 0);
        let by = Presented::by(&client);
        let present = async || grants.redeem(&known.text, &by).await;
        let both = || match twice {
            true => {
                let (one, other) = join(present(), present()).wait();
                Ok(vec![one, other])
            }
            false => Ok(vec![present().wait()]),
        };
        let (around, all) =
            self.around(&session, || self.world.call(self.number, "redeem", true, both));
        let mut refused = Ok(());
        let (mut pairs, mut failed, mut replayed) = (Vec::new(), false, false);
        for answer in all? {
            match self.presentation(answer, &mut refused) {
                Presentation::Granted(pair) => pairs.push(pair),
                Presentation::Replayed => replayed = true,
                Presentation::Refused => {}
                Presentation::Failed => failed = true,
            }
        }
        // What a replay has made of the family.
        let family = match (replayed, failed) {
            (true, _) => Some(Standing::Ended),
            (false, true) => Some(Standing::Either),
            (false, false) => None,
        };
        let count = pairs.len() + usize::from(granted);
        assert!(count <= 1, "a code was granted {count} times: {known:?} {around:?}");
        match around.must_be_in_force(known.standing, known.expiry) {
            Some(false) => assert!(pairs.is_empty(), "granted too late: {known:?}, {around:?}"),
            Some(true) if !failed && !granted => {
                assert_eq!(
                    pairs.len(),
                    1,
                    "a code that is good was refused: {known:?}, {around:?}"
                );
            }
            _ => {}
        }
        if let (Some(id), Some(standing)) = (known.family.filter(|_| granted), family) {
            self.book.end_family(id, standing);
        }
        for pair in pairs {
            self.book.codes[at].granted = true;
            self.book.codes[at].known.family = pair.family;
            self.open_family(&pair, known.owner, life, around);
            if let Some(standing) = family {
                self.book.end_family(pair.family.unwrap(), standing);
            }
        }
        if failed && !self.book.codes[at].granted && known.standing == Standing::InForce {
            self.book.codes[at].known.standing = Standing::Either;
        }
        refused
    }

    fn presentation(&self, answer: Result<Redeemed>, refused: &mut Result<()>) -> Presentation {
        match answer {
            Ok(Redeemed::Granted(pair)) => Presentation::Granted(pair),
            Ok(Redeemed::Mismatch(what)) => panic!("a code does not fit: {what:?}"),
            Ok(Redeemed::Replayed { .. }) => Presentation::Replayed,
            Ok(_) => Presentation::Refused,
            Err(error) => {
                *refused = self.told("redeem", error);
                Presentation::Failed
            }
        }
    }

    fn open_family(&mut self, pair: &Issued, owner: (usize, usize), life: usize, around: Around) {
        let life_s = LIVES_S[life];
        self.note(pair.access.expose(), owner, pair.family, around.plus(life_s));
        if let Some(refresh) = &pair.refresh {
            let (text, family) = (refresh.expose().to_owned(), pair.family);
            let (standing, expiry) = (Standing::InForce, refreshable(around.plus(2 * life_s)));
            let known = Known { text, owner, family, standing, expiry };
            let absolute = around.plus(3 * life_s);
            self.book.grants.push(KnownGrant { known, spent: None, life, absolute });
        }
    }

    /// Presents a refresh token; now and then one that is spent, which ends its family.
    fn refresh(&mut self) -> Result<()> {
        let Some(at) = self.pick(self.book.grants.len()) else { return Ok(()) };
        let session = self.world.session();
        let KnownGrant { known, spent, life, absolute } = self.book.grants[at].clone();
        let (_, client) = self.names(known.owner);
        let spent = spent.filter(|_| self.random.below(8) == 0);
        let text = spent.as_ref().unwrap_or(&known.text);
        let request = RefreshRequest::by(&client);
        let refreshed = session.grants[life].refresh(text, &request);
        let call = || self.world.call(self.number, "refresh", true, || refreshed.wait());
        let (around, answer) = self.around(&session, call);
        let must = around.must_be_in_force(known.standing, known.expiry);
        let family = known.family.unwrap_or(grantkeep::FamilyId([0; 12]));
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.book.end_family(family, Standing::Either);
                return Err(error);
            }
        };
        match answer {
            Refreshed::Rotated(pair) => {
                assert!(spent.is_none(), "a spent refresh token was taken: {known:?}");
                assert_ne!(must, Some(false), "refreshed too late: {known:?}, {around:?}");
                self.rotated(at, &pair, known.text, around, absolute);
            }
            Refreshed::Reused { .. } => {
                let unknown = known.standing == Standing::Either;
                assert!(spent.is_some() || unknown, "taken for spent: {known:?}");
                self.book.end_family(family, Standing::Ended);
            }
            Refreshed::Mismatch(what) => panic!("a refresh token does not fit: {what:?}"),
            other => {
                let lost = must == Some(true) && spent.is_none();
                assert!(!lost, "{other:?} for a good refresh token: {known:?}, {around:?}");
            }
        }
        Ok(())
    }

    fn rotated(
        &mut self,
        at: usize,
        pair: &Issued,
        before: String,
        around: Around,
        absolute: Expiry,
    ) {
        let life_s = LIVES_S[self.book.grants[at].life];
        let owner = self.book.grants[at].known.owner;
        let no_later = |expiry: Expiry| Expiry {
            earliest: expiry.earliest.min(absolute.earliest),
            latest: expiry.latest.min(absolute.latest),
        };
        self.note(pair.access.expose(), owner, pair.family, no_later(around.plus(life_s)));
        let grant = &mut self.book.grants[at];
        grant.spent = Some(before);
        grant.known.expiry = refreshable(no_later(around.plus(2 * life_s)));
        grant.known.standing = Standing::InForce;
        if let Some(refresh) = &pair.refresh {
            refresh.expose().clone_into(&mut grant.known.text);
        }
    }

    fn look_up_some(&mut self) -> Result<()> {
        for _ in 0..8 {
            if let Some(at) = self.pick(self.book.tokens.len()) {
                self.look_up(at)?;
            }
        }
        Ok(())
    }

    /// Looks a token up; answers the refusal, if any.
    fn look_up(&mut self, at: usize) -> Result<()> {
        let session = self.world.session();
        let known = self.book.tokens[at].clone();
        let looked = session.grants[1].introspect(&known.text);
        let call = || self.world.call(self.number, "look up", false, || looked.wait());
        let (around, answer) = self.around(&session, call);
        let active = matches!(answer?, Introspection::Active(_));
        match around.must_be_in_force(known.standing, known.expiry) {
            Some(must) => assert_eq!(active, must, "{known:?}, {around:?}"),
            None if known.standing == Standing::Either && around.still => {
                let standing = if active { Standing::InForce } else { Standing::Ended };
                // One that has expired may be in force again once the clock is put right.
                if active || around.after < known.expiry.earliest {
                    self.book.tokens[at].standing = standing;
                }
            }
            None => {}
        }
        Ok(())
    }

    fn revoke_one(&mut self) -> Result<()> {
        let Some(at) = self.pick(self.book.tokens.len()) else { return Ok(()) };
        let session: Arc<Session> = self.world.session();
        let text = self.book.tokens[at].text.clone();
        let revoked = session.grants[0].revoke(&text);
        let done = self.world.call(self.number, "revoke", true, || revoked.wait().map(drop));
        let standing = &mut self.book.tokens[at].standing;
        match &done {
            Ok(()) => *standing = Standing::Ended,
            Err(_) if *standing == Standing::InForce => *standing = Standing::Either,
            Err(_) => {}
        }
        done
    }

    fn revoke_subject(&mut self) -> Result<()> {
        let (session, owner) = (self.world.session(), self.owner());
        let (subject, _) = self.names(owner);
        let revoked = session.grants[0].revoke_subject(&subject);
        self.world.call(self.number, "revoke subject", true, || revoked.wait())?;
        self.book.end(Standing::Ended, |known| known.owner.0 == owner.0);
        Ok(())
    }

    fn revoke_client(&mut self) -> Result<()> {
        let (session, owner) = (self.world.session(), self.owner());
        let (_, client) = self.names(owner);
        let revoked = session.grants[0].revoke_client(&client);
        self.world.call(self.number, "revoke client", true, || revoked.wait())?;
        self.book.end(Standing::Ended, |known| known.owner.1 == owner.1);
        Ok(())
    }

    /// Burns a value, twice at the same moment, or one that was burnt before.
    fn burn(&mut self) -> Result<()> {
        let session = self.world.session();
        let again = self.pick(self.book.burnt.len()).filter(|_| self.random.below(2) == 0);
        self.made += 1;
        let fresh = format!("jti-{}-{}", self.number, self.made);
        let end = self.world.clock.wall() + BURNT;
        // Its end is part of the value: who presents it again presents the same.
        let (value, until) = again.map_or((fresh, end), |at| self.book.burnt[at].clone());
        let burnt = async || session.grants[1].burn(Once::jti("client", &value), until).await;
        let both = || {
            let (one, other) = join(burnt(), burnt()).wait();
            Ok([one, other])
        };
        let mut refused = Ok(());
        let mut firsts = 0;
        for answer in self.world.call(self.number, "burn", true, both)? {
            match answer {
                Ok(Burned::First) => firsts += 1,
                Ok(Burned::Seen | Burned::Expired) => {}
                Err(error) => refused = self.told("burn", error),
            }
        }
        let allowed = usize::from(again.is_none());
        assert!(firsts <= allowed, "{value} was burnt {firsts} times, again: {again:?}");
        if firsts > 0 {
            self.book.burnt.push((value, until));
        }
        refused
    }

    /// Forgets some of what it knows, so that it does not know ever more.
    fn forget(&mut self) {
        if self.book.tokens.len() > REMEMBERED {
            let at = self.pick(self.book.tokens.len()).unwrap_or(0);
            self.book.tokens.swap_remove(at);
        }
        let Book { codes, grants, burnt, .. } = &mut self.book;
        if codes.len() > REMEMBERED / 8 {
            codes.remove(0);
        }
        if grants.len() > REMEMBERED / 8 {
            grants.remove(0);
        }
        if burnt.len() > REMEMBERED / 8 {
            burnt.remove(0);
        }
    }

    /// Looks everything up; answers how much that was.
    ///
    /// # Panics
    /// If a look-up is refused, or anything is not as it was told.
    pub fn audit(&mut self) -> u64 {
        for at in 0..self.book.tokens.len() {
            self.look_up(at).unwrap();
        }
        self.book.tokens.len() as u64
    }
}

/// When a family can be refreshed that expires then: not in its last second, in which no access
/// token of a whole second fits.
fn refreshable(expiry: Expiry) -> Expiry {
    Expiry { earliest: expiry.earliest.saturating_sub(Duration::from_secs(1)), ..expiry }
}
