//! The grants as they are documented, on plain maps: the reference that suites hold answers
//! against. It is written from the documentation of `grantkeep_grants`, not from its code.
//!
//! Codes and access tokens have numbers, in the order in which whoever drives the reference came
//! to know them. A family has the number of the code that opened it, and a refresh token is its
//! family and its generation.

use grantkeep_grants::{Policy, Refreshing, Retries};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a spent code is recognized: longer than any access token of the rules lives.
const MEMORY_S: u64 = 1_800;

/// The generation of a family's first refresh token.
pub const FIRST: u32 = 1;

/// The lifetimes and choices of a policy that the answers depend on, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rules {
    pub code_s: u64,
    pub access_s: u64,
    pub idle_s: u64,
    pub absolute_s: u64,
    pub grace_s: u64,
    pub rotating: bool,
    pub burning: bool,
    /// Retries of a generation that are answered; `None` for any number.
    pub retries: Option<u32>,
    /// True where the answer to a code may be repeated.
    pub repeating: bool,
    /// True where rows may be gone from the moment they expire, without a sweep that was asked for.
    pub sweeping: bool,
}

impl Rules {
    /// Short lifetimes, so that a few steps pass them all.
    pub const SHORT: Self = Self {
        code_s: 60,
        access_s: 900,
        idle_s: 3_600,
        absolute_s: 3 * 3_600,
        grace_s: 30,
        rotating: true,
        burning: false,
        retries: None,
        repeating: false,
        sweeping: false,
    };

    /// The policy that says the same.
    pub fn policy(&self) -> Policy {
        Policy {
            code_lifetime: Duration::from_secs(self.code_s),
            access_lifetime: Duration::from_secs(self.access_s),
            refresh_idle: Duration::from_secs(self.idle_s),
            refresh_absolute: Duration::from_secs(self.absolute_s),
            refresh_grace: Duration::from_secs(self.grace_s),
            refreshing: if self.rotating { Refreshing::Rotating } else { Refreshing::Fixed },
            burn_on_mismatch: self.burning,
            refresh_retries: self.retries.map_or(Retries::UntilUsed, Retries::Count),
            repeat_codes: self.repeating,
            replay_memory: Duration::from_secs(MEMORY_S),
            repeat_devices: false,
            ..Policy::default()
        }
    }
}

/// One refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation {
    pub family: u32,
    pub number: u32,
}

/// What is presented for introspection or revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Token {
    Access(u32),
    Refresh(Generation),
}

/// What is wrong with how a code is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    None,
    Client,
    RedirectUri,
    Verifier,
}

/// How a refresh token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asked {
    All,
    Narrowed,
    /// More scopes than were granted.
    Widened,
    ByAnotherClient,
}

/// One call, or something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    Authorize {
        subject: u8,
        client: u8,
    },
    Redeem(u32, Fault),
    Refresh(Generation, Asked),
    Introspect(Token),
    /// Whether a family is among the grants of its subject.
    IsListed(u32),
    Revoke(Token),
    RevokeFamily(u32),
    RevokeSubject(u8),
    RevokeClient(u8),
    RevokePair(u8, u8),
    Pass(u64),
    Sweep,
}

/// What is told of a token in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Standing {
    pub family: u32,
    pub subject: u8,
    pub client: u8,
    pub narrowed: bool,
    pub expires_s: u64,
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    Code(u32),
    Granted {
        access: u32,
        refresh: Generation,
    },
    /// The code was spent for this family, or burnt for none.
    Replayed(Option<u32>),
    Rotated {
        access: u32,
        refresh: Generation,
    },
    Retried {
        access: u32,
        refresh: Generation,
    },
    RetriedTooOften,
    Reused(u32),
    Expired,
    Revoked,
    Mismatch(Fault),
    InvalidScope,
    Unknown,
    Active(Standing),
    Inactive,
    Listed(bool),
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum CodeState {
    Fresh,
    Burnt,
    Spent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Code {
    subject: u8,
    client: u8,
    expires_s: u64,
    owner_revoked: bool,
    state: CodeState,
    /// Until when its answer may be repeated.
    repeatable_s: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Family {
    subject: u8,
    client: u8,
    generation: u32,
    rotated_s: u64,
    expires_s: u64,
    absolute_s: u64,
    /// Retries of the present generation's predecessor.
    retries: u32,
    /// True once its refresh token was presented.
    used: bool,
    revoked: bool,
    /// True if that was for a replay or reuse.
    suspected: bool,
    owner_revoked: bool,
}

impl Family {
    /// Ends it for a replay or reuse; the first reason stands.
    fn suspect(&mut self) {
        self.suspected |= !self.revoked;
        self.revoked = true;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Access {
    family: u32,
    expires_s: u64,
    narrowed: bool,
    revoked: bool,
}

/// Where something that was issued is now. What is both revoked and expired counts as revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    Live,
    Spent,
    Expired,
    Revoked,
}

/// Everything that was issued.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    rules: Rules,
    now_s: u64,
    swept_s: u64,
    codes: BTreeMap<u32, Code>,
    families: BTreeMap<u32, Family>,
    access: BTreeMap<u32, Access>,
}

impl Reference {
    /// Nothing was issued yet.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            now_s: 0,
            swept_s: 0,
            codes: BTreeMap::new(),
            families: BTreeMap::new(),
            access: BTreeMap::new(),
        }
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    pub fn codes(&self) -> u32 {
        number(self.codes.len())
    }

    pub fn access_tokens(&self) -> u32 {
        number(self.access.len())
    }

    /// The refresh tokens of all generations.
    pub fn generations(&self) -> impl Iterator<Item = Generation> {
        self.families.iter().flat_map(|(&family, held)| {
            (FIRST..=held.generation).map(move |number| Generation { family, number })
        })
    }

    /// The families, each with its present generation and its subject.
    pub fn families(&self) -> impl Iterator<Item = (Generation, u8)> {
        self.families
            .iter()
            .map(|(&family, held)| (Generation { family, number: held.generation }, held.subject))
    }

    /// The family of an access token, and the second at which it expires by itself.
    pub fn of_access(&self, access: u32) -> (u32, u64) {
        let held = &self.access[&access];
        (held.family, held.expires_s)
    }

    pub fn now_s(&self) -> u64 {
        self.now_s
    }

    /// The moments to come at which something ends by itself.
    pub fn deadlines(&self) -> Vec<u64> {
        let codes = self.codes.values().map(|code| code.expires_s);
        let access = self.access.values().map(|held| held.expires_s);
        let families = self.families.values();
        let families = families.flat_map(|it| [it.expires_s, it.rotated_s + self.rules.grace_s]);
        let all = codes.chain(access).chain(families);
        all.filter(|at_s| *at_s > self.now_s).collect()
    }

    pub fn fate_of_code(&self, code: u32) -> Fate {
        let held = &self.codes[&code];
        match held.state {
            CodeState::Spent | CodeState::Burnt => Fate::Spent,
            CodeState::Fresh => fate(held.owner_revoked, held.expires_s, self.now_s),
        }
    }

    pub fn fate_of_family(&self, family: u32) -> Fate {
        let held = &self.families[&family];
        fate(held.revoked || held.owner_revoked, held.expires_s, self.now_s)
    }

    pub fn fate_of_access(&self, access: u32) -> Fate {
        let held = &self.access[&access];
        match self.fate_of_family(held.family) {
            Fate::Revoked => Fate::Revoked,
            _ if held.revoked => Fate::Revoked,
            Fate::Expired => Fate::Expired,
            _ => fate(false, held.expires_s, self.now_s),
        }
    }

    /// True if everything that `op` names was issued.
    pub fn knows(&self, op: &Op) -> bool {
        match *op {
            Op::Redeem(code, _) => self.codes.contains_key(&code),
            Op::IsListed(family) | Op::RevokeFamily(family) => self.families.contains_key(&family),
            Op::Introspect(Token::Access(access)) | Op::Revoke(Token::Access(access)) => {
                self.access.contains_key(&access)
            }
            Op::Refresh(token, _)
            | Op::Introspect(Token::Refresh(token))
            | Op::Revoke(Token::Refresh(token)) => {
                let family = self.families.get(&token.family);
                family.is_some_and(|family| token.number <= family.generation)
            }
            _ => true,
        }
    }

    /// The answers that are right, the plainest first. A new code or access token is known as
    /// `name` afterwards.
    ///
    /// There is more than one where an expired row may have been swept, and where a presented
    /// token falls under two answers, none of which takes precedence by the documents: scopes that
    /// were not granted may be told first.
    pub fn answers(&self, op: &Op, name: u32) -> Vec<Answer> {
        match *op {
            Op::Authorize { .. } => vec![Answer::Code(name)],
            Op::Redeem(code, fault) => self.redeemed(code, fault, name),
            Op::Refresh(token, asked) => self.refreshed(token, asked, name),
            Op::Introspect(token) => {
                vec![self.standing(token).map_or(Answer::Inactive, Answer::Active)]
            }
            Op::IsListed(family) => {
                vec![Answer::Listed(self.fate_of_family(family) == Fate::Live)]
            }
            _ => vec![Answer::Done],
        }
    }

    fn redeemed(&self, number: u32, fault: Fault, access: u32) -> Vec<Answer> {
        let code = &self.codes[&number];
        let swept = self.may_be_swept(code.expires_s);
        let spent_for = match code.state {
            CodeState::Fresh => None,
            CodeState::Burnt => Some(None),
            CodeState::Spent => Some(Some(number)),
        };
        let mut right = Vec::new();
        if let Some(family) = spent_for {
            // To the moment, swept or not.
            if code.expires_s <= self.now_s {
                return vec![Answer::Unknown];
            }
            return match fault {
                Fault::Client => vec![Answer::Mismatch(fault)],
                Fault::None if self.is_asked_again(number) => self.again(number, access),
                _ => vec![Answer::Replayed(family)],
            };
        }
        if code.expires_s <= self.now_s {
            right.push(Answer::Expired);
        } else if fault != Fault::None {
            right.push(Answer::Mismatch(fault));
        } else if code.owner_revoked {
            right.push(Answer::Revoked);
        } else {
            let refresh = Generation { family: number, number: FIRST };
            right.push(Answer::Granted { access, refresh });
        }
        right.extend(swept.then_some(Answer::Unknown));
        right
    }

    /// True if a spent code that comes again is no replay: nothing of its answer was used.
    fn is_asked_again(&self, code: u32) -> bool {
        let unused = |family: &Family| !(family.used || family.suspected);
        self.rules.repeating
            && self.now_s < self.codes[&code].repeatable_s
            && self.families.get(&code).is_some_and(unused)
    }

    /// What such a code is answered: what it was, or how its family has ended.
    fn again(&self, code: u32, access: u32) -> Vec<Answer> {
        let family = &self.families[&code];
        let mut right = Vec::new();
        if family.expires_s <= self.now_s {
            right.push(Answer::Expired);
            // Of a family that is gone nobody knows that it was not used.
            right.extend(
                self.may_be_swept(family.expires_s).then_some(Answer::Replayed(Some(code))),
            );
        }
        if family.revoked || right.is_empty() && family.owner_revoked {
            right.push(Answer::Revoked);
        }
        if right.is_empty() {
            let refresh = Generation { family: code, number: FIRST };
            right.push(Answer::Granted { access, refresh });
        }
        right
    }

    fn refreshed(&self, token: Generation, asked: Asked, access: u32) -> Vec<Answer> {
        let family = &self.families[&token.family];
        let behind = family.generation - token.number;
        let in_grace = self.now_s < family.rotated_s + self.rules.grace_s;
        let mut right = Vec::new();
        if asked == Asked::ByAnotherClient {
            right.push(Answer::Mismatch(Fault::Client));
        } else if family.expires_s <= self.now_s {
            right.push(Answer::Expired);
        } else if behind > 1 || behind == 1 && !in_grace {
            right.push(Answer::Reused(token.family));
        } else if family.revoked {
            right.push(Answer::Revoked);
        } else if behind == 1 && self.rules.retries.is_some_and(|most| family.retries >= most) {
            right.push(if family.owner_revoked {
                Answer::Revoked
            } else {
                Answer::RetriedTooOften
            });
        } else if asked == Asked::Widened {
            right.push(Answer::InvalidScope);
            right.extend(family.owner_revoked.then_some(Answer::Revoked));
        } else if family.owner_revoked {
            right.push(Answer::Revoked);
        } else if behind == 1 {
            let refresh = Generation { number: family.generation, ..token };
            right.push(Answer::Retried { access, refresh });
        } else {
            let next = token.number + u32::from(self.rules.rotating);
            right.push(Answer::Rotated { access, refresh: Generation { number: next, ..token } });
        }
        right.extend(self.may_be_swept(family.expires_s).then_some(Answer::Unknown));
        right
    }

    fn standing(&self, token: Token) -> Option<Standing> {
        let (number, narrowed, expires_s) = match token {
            Token::Access(access) => {
                if self.fate_of_access(access) != Fate::Live {
                    return None;
                }
                let held = &self.access[&access];
                (held.family, held.narrowed, held.expires_s)
            }
            Token::Refresh(token) => {
                let held = &self.families[&token.family];
                if held.generation != token.number
                    || self.fate_of_family(token.family) != Fate::Live
                {
                    return None;
                }
                (token.family, false, held.expires_s)
            }
        };
        let Family { subject, client, .. } = self.families[&number];
        Some(Standing { family: number, subject, client, narrowed, expires_s })
    }

    /// True if what expired then may be told `Unknown`.
    pub fn may_be_swept(&self, expires_s: u64) -> bool {
        expires_s <= if self.rules.sweeping { self.now_s } else { self.swept_s }
    }

    /// What `op` leaves behind that was answered so, which must be one of the right answers.
    pub fn apply(&mut self, op: &Op, answer: &Answer) {
        match (*op, *answer) {
            (Op::Authorize { subject, client }, Answer::Code(name)) => {
                let expires_s = self.now_s + self.rules.code_s;
                let state = CodeState::Fresh;
                let owner_revoked = false;
                let code =
                    Code { subject, client, expires_s, owner_revoked, state, repeatable_s: 0 };
                self.codes.insert(name, code);
            }
            (Op::Redeem(code, _), Answer::Granted { access, .. }) => {
                if self.codes[&code].state == CodeState::Fresh {
                    self.open(code);
                }
                // The first answer's, if it was lost, is in force no more.
                self.access.values_mut().filter(|held| held.family == code).for_each(|held| {
                    held.revoked = true;
                });
                self.issue(access, code, false);
            }
            (Op::Redeem(_, _), Answer::Replayed(Some(family))) => {
                self.family(family).suspect();
            }
            (Op::Redeem(code, _), Answer::Mismatch(_)) if self.rules.burning => {
                let code = self.codes.get_mut(&code).expect("a known code");
                if code.state == CodeState::Fresh {
                    code.state = CodeState::Burnt;
                    code.expires_s = code.expires_s.max(self.now_s + MEMORY_S);
                }
            }
            (
                Op::Refresh(_, asked),
                Answer::Rotated { access, refresh } | Answer::Retried { access, refresh },
            ) => {
                let (now_s, rules) = (self.now_s, self.rules);
                let family = self.family(refresh.family);
                family.used = true;
                if refresh.number > family.generation {
                    (family.generation, family.rotated_s) = (refresh.number, now_s);
                    family.retries = 0;
                }
                if matches!(answer, Answer::Rotated { .. }) {
                    family.expires_s = (now_s + rules.idle_s).min(family.absolute_s);
                } else {
                    family.retries += 1;
                }
                self.issue(access, refresh.family, asked == Asked::Narrowed);
            }
            (Op::Refresh(_, _), Answer::Reused(family)) => self.family(family).suspect(),
            (Op::Revoke(Token::Access(access)), _) => {
                self.access.get_mut(&access).expect("a known token").revoked = true;
            }
            (
                Op::Revoke(Token::Refresh(Generation { family, .. })) | Op::RevokeFamily(family),
                _,
            ) => {
                self.family(family).revoked = true;
            }
            (Op::RevokeSubject(owner), _) => self.revoke_of(|subject, _| subject == owner),
            (Op::RevokeClient(owner), _) => self.revoke_of(|_, client| client == owner),
            (Op::RevokePair(one, other), _) => {
                self.revoke_of(|subject, client| (subject, client) == (one, other));
            }
            (Op::Pass(seconds), _) => self.now_s += seconds,
            (Op::Sweep, _) => self.swept_s = self.now_s,
            _ => {}
        }
    }

    fn open(&mut self, number: u32) {
        let code = self.codes.get_mut(&number).expect("a known code");
        let (now_s, rules) = (self.now_s, self.rules);
        code.state = CodeState::Spent;
        code.expires_s = code.expires_s.max(now_s + MEMORY_S);
        code.repeatable_s = now_s + rules.grace_s;
        let family = Family {
            subject: code.subject,
            client: code.client,
            generation: FIRST,
            rotated_s: now_s,
            expires_s: now_s + rules.idle_s.min(rules.absolute_s),
            absolute_s: now_s + rules.absolute_s,
            retries: 0,
            used: false,
            revoked: false,
            suspected: false,
            owner_revoked: false,
        };
        self.families.insert(number, family);
    }

    fn issue(&mut self, access: u32, family: u32, narrowed: bool) {
        let ends_s = self.families[&family].expires_s;
        let expires_s = (self.now_s + self.rules.access_s).min(ends_s);
        let held = Access { family, expires_s, narrowed, revoked: false };
        assert!(
            self.access.insert(access, held).is_none(),
            "access token {access} is issued twice"
        );
    }

    fn family(&mut self, number: u32) -> &mut Family {
        self.families.get_mut(&number).expect("a known family")
    }

    fn revoke_of(&mut self, owns: impl Fn(u8, u8) -> bool) {
        for code in self.codes.values_mut() {
            code.owner_revoked |= owns(code.subject, code.client);
        }
        for family in self.families.values_mut() {
            family.owner_revoked |= owns(family.subject, family.client);
        }
    }
}

fn fate(revoked: bool, expires_s: u64, now_s: u64) -> Fate {
    match (revoked, expires_s <= now_s) {
        (true, _) => Fate::Revoked,
        (false, true) => Fate::Expired,
        (false, false) => Fate::Live,
    }
}

fn number(len: usize) -> u32 {
    u32::try_from(len).expect("few")
}
