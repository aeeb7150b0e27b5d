//! Does what the [`reference`](crate::reference) speaks of: keeps the texts behind its numbers, and
//! says what was answered in its words.

use crate::reference::{Answer, Asked, FIRST, Fault, Generation, Op, Standing, Token};
use grantkeep::backend::{Backend, Budget};
use grantkeep::{FamilyId, ManualClock};
use grantkeep_grants::{
    Authorize, Grants, Introspection, Issued, Mismatch, OAuthError, Presented, Redeemed,
    RefreshRequest, Refreshed,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

const REDIRECT: &str = "https://app.example/cb";
/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const FAMILIES_A_PAGE: usize = 2;
/// What was answered and has no place in the reference is numbered from here.
const STRANGE: u32 = 1_000_000;

/// A driver of grants; any number of threads may share it.
#[derive(Debug)]
pub struct Player {
    tag: String,
    clock: Arc<ManualClock>,
    start: SystemTime,
    known: Mutex<Known>,
}

/// The texts of what was issued.
#[derive(Debug, Default)]
pub struct Known {
    pub codes: Vec<String>,
    pub access: Vec<String>,
    pub refresh: BTreeMap<Generation, String>,
    generations: HashMap<String, Generation>,
    families: BTreeMap<u32, FamilyId>,
    /// Subject and client of each code.
    owners: Vec<(u8, u8)>,
}

impl Player {
    /// A driver whose subjects and clients are told from others' by `tag`; its time begins at
    /// `start`.
    pub fn new(tag: String, clock: &Arc<ManualClock>, start: SystemTime) -> Self {
        Self { tag, clock: Arc::clone(clock), start, known: Mutex::default() }
    }

    /// What is known by now.
    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no panic while it is held")
    }

    /// Does `op`, and says what was answered.
    pub async fn perform<B: Backend>(&self, grants: &Grants<B>, op: &Op) -> Answer {
        match *op {
            Op::Authorize { subject, client } => {
                let code = {
                    let (client, subject) = (self.client(client), self.subject(subject));
                    let request = Authorize::new(&client, &subject).scopes(["read", "write"]);
                    let request = request.redirect_uri(REDIRECT).pkce_s256(CHALLENGE);
                    grants.authorize(request).await.expect("a code")
                };
                let mut known = self.known();
                known.codes.push(code.expose().to_owned());
                known.owners.push((subject, client));
                Answer::Code(last(&known.codes))
            }
            Op::Redeem(code, fault) => self.redeem(grants, code, fault).await,
            Op::Refresh(token, asked) => self.refresh(grants, token, asked).await,
            Op::Introspect(token) => {
                let text = self.text(token);
                match grants.introspect(&text).await.expect("an answer") {
                    Introspection::Inactive => Answer::Inactive,
                    Introspection::Active(claims) => {
                        // By the store's time, in which the reference lives.
                        let ends = claims.expires_at.expect("an end") + grants.store().lead();
                        let left = ends.duration_since(self.start).expect("later");
                        Answer::Active(Standing {
                            family: claims
                                .family
                                .and_then(|id| self.known().number(id))
                                .expect("known"),
                            subject: self.owner("subject", claims.subject.as_deref()),
                            client: self.owner("client", claims.client.as_deref()),
                            narrowed: claims.scopes.as_str() == "read",
                            expires_s: left.as_secs(),
                        })
                    }
                }
            }
            Op::IsListed(family) => {
                let (subject, _) = self.known().owners[index(family)];
                Answer::Listed(self.list(grants, subject).await.contains(&family))
            }
            Op::Revoke(token) => {
                let text = self.text(token);
                done(grants.revoke(&text).await)
            }
            Op::RevokeFamily(family) => {
                let id = self.known().families[&family];
                done(grants.revoke_family(id).await)
            }
            Op::RevokeSubject(subject) => done(grants.revoke_subject(&self.subject(subject)).await),
            Op::RevokeClient(client) => done(grants.revoke_client(&self.client(client)).await),
            Op::RevokePair(subject, client) => {
                let (subject, client) = (self.subject(subject), self.client(client));
                done(grants.revoke_pair(&subject, &client).await)
            }
            Op::Pass(seconds) => {
                self.clock.advance(Duration::from_secs(seconds));
                Answer::Done
            }
            Op::Sweep => done(grants.store().sweep(Budget::ALL).await),
        }
    }

    /// The families in force of a subject, page by page.
    pub async fn list<B: Backend>(&self, grants: &Grants<B>, subject: u8) -> BTreeSet<u32> {
        let subject = self.subject(subject);
        let (mut listed, mut cursor) = (BTreeSet::new(), None);
        loop {
            let page = grants.families_of(&subject, cursor, FAMILIES_A_PAGE).await.expect("a page");
            for item in page.items {
                listed.extend(self.known().number(item.family));
            }
            cursor = page.next;
            if cursor.is_none() {
                return listed;
            }
        }
    }

    async fn redeem<B: Backend>(&self, grants: &Grants<B>, code: u32, fault: Fault) -> Answer {
        let (text, client) = {
            let known = self.known();
            (known.codes[index(code)].clone(), known.owners[index(code)].1)
        };
        let client = if fault == Fault::Client { self.stranger() } else { self.client(client) };
        let presented = Presented::by(&client)
            .redirect_uri(if fault == Fault::RedirectUri {
                "https://other.example"
            } else {
                REDIRECT
            })
            .verifier(if fault == Fault::Verifier { CHALLENGE } else { VERIFIER });
        let answer = grants.redeem(&text, &presented).await.expect("an answer");
        if let Some(told) = answer.oauth_error() {
            assert_eq!(told, OAuthError::InvalidGrant, "{answer:?}");
        }
        match answer {
            Redeemed::Granted(pair) => {
                let mut known = self.known();
                let family = known.family(pair.family.unwrap(), code);
                let (access, refresh) = known.note(&pair, Generation { family, number: FIRST });
                Answer::Granted { access, refresh }
            }
            Redeemed::Replayed { family } => {
                Answer::Replayed(family.map(|id| self.known().family(id, code)))
            }
            Redeemed::Expired => Answer::Expired,
            Redeemed::Mismatch(mismatch) => Answer::Mismatch(fault_of(mismatch)),
            Redeemed::Revoked => Answer::Revoked,
            Redeemed::Unknown => Answer::Unknown,
            other => panic!("{other:?}"),
        }
    }

    async fn refresh<B: Backend>(
        &self,
        grants: &Grants<B>,
        token: Generation,
        asked: Asked,
    ) -> Answer {
        let (text, client) = {
            let known = self.known();
            (known.refresh[&token].clone(), known.owners[index(token.family)].1)
        };
        let by =
            if asked == Asked::ByAnotherClient { self.stranger() } else { self.client(client) };
        let request = RefreshRequest::by(&by);
        let request = match asked {
            Asked::Narrowed => request.scopes(["read"]),
            Asked::Widened => request.scopes(["read", "admin"]),
            Asked::All | Asked::ByAnotherClient => request,
        };
        let answer = grants.refresh(&text, &request).await.expect("an answer");
        if let Some(told) = answer.oauth_error().filter(|_| asked != Asked::Widened) {
            assert_eq!(told, OAuthError::InvalidGrant, "{answer:?}");
        }
        let next = Generation { number: token.number + 1, ..token };
        match answer {
            Refreshed::Rotated(pair) => {
                let (access, refresh) = self.known().note(&pair, next);
                Answer::Rotated { access, refresh }
            }
            Refreshed::Retried(pair) => {
                let (access, refresh) = self.known().note(&pair, next);
                Answer::Retried { access, refresh }
            }
            Refreshed::RetriedTooOften => Answer::RetriedTooOften,
            Refreshed::Reused { family, .. } => {
                Answer::Reused(self.known().family(family, token.family))
            }
            Refreshed::Expired => Answer::Expired,
            Refreshed::Revoked => Answer::Revoked,
            Refreshed::Mismatch(mismatch) => Answer::Mismatch(fault_of(mismatch)),
            Refreshed::InvalidScope => Answer::InvalidScope,
            Refreshed::Unknown => Answer::Unknown,
            other => panic!("{other:?}"),
        }
    }

    fn text(&self, token: Token) -> String {
        match token {
            Token::Access(access) => self.known().access[index(access)].clone(),
            Token::Refresh(token) => self.known().refresh[&token].clone(),
        }
    }

    fn subject(&self, number: u8) -> String {
        format!("{}subject-{number}", self.tag)
    }

    fn client(&self, number: u8) -> String {
        format!("{}client-{number}", self.tag)
    }

    fn stranger(&self) -> String {
        format!("{}client-other", self.tag)
    }

    fn owner(&self, what: &str, name: Option<&str>) -> u8 {
        let number = name.and_then(|name| name.strip_prefix(&self.tag)?.strip_prefix(what));
        number.and_then(|text| text.strip_prefix('-')?.parse().ok()).expect("an owner of mine")
    }
}

impl Known {
    /// The subject and the client of a code, and of its family.
    pub fn owners(&self, code: u32) -> (u8, u8) {
        self.owners[index(code)]
    }

    /// The number of a family; `None` if nobody was told of it yet.
    fn number(&self, id: FamilyId) -> Option<u32> {
        self.families.iter().find(|(_, known)| **known == id).map(|(number, _)| *number)
    }

    /// The number of a family, which should be `expected`.
    fn family(&mut self, id: FamilyId, expected: u32) -> u32 {
        if let Some(number) = self.number(id) {
            return number;
        }
        let mut number = expected;
        while self.families.contains_key(&number) {
            number = number.max(STRANGE) + 1;
        }
        self.families.insert(number, id);
        number
    }

    /// The numbers of a new pair, whose refresh token should be `expected`.
    fn note(&mut self, pair: &Issued, expected: Generation) -> (u32, Generation) {
        self.access.push(pair.access.expose().to_owned());
        let text = pair.refresh.as_ref().expect("a refresh token").expose();
        let refresh = self.generations.get(text).copied().unwrap_or_else(|| {
            let mut new = expected;
            while self.refresh.contains_key(&new) {
                new.number = new.number.max(STRANGE) + 1;
            }
            self.refresh.insert(new, text.to_owned());
            self.generations.insert(text.to_owned(), new);
            new
        });
        (last(&self.access), refresh)
    }
}

fn fault_of(mismatch: Mismatch) -> Fault {
    match mismatch {
        Mismatch::Client => Fault::Client,
        Mismatch::RedirectUri => Fault::RedirectUri,
        Mismatch::Verifier => Fault::Verifier,
        other => panic!("{other:?}"),
    }
}

fn done<T: std::fmt::Debug>(outcome: grantkeep::Result<T>) -> Answer {
    outcome.expect("success");
    Answer::Done
}

fn index(number: u32) -> usize {
    number as usize
}

fn last<T>(of: &[T]) -> u32 {
    u32::try_from(of.len() - 1).expect("few")
}
