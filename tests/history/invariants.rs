//! What holds after every step, whatever was done.

use crate::machine::{Expected, Turn};
use grantkeep::backend::Backend;
use grantkeep::{Store, Wait as _};
use grantkeep_grants::{Grants, Introspection, OAuthError, Presented, RefreshRequest};
use grantkeep_tests::manual_clock;
use grantkeep_tests::player::{Known, Player};
use grantkeep_tests::reference::{Answer, Fate, Generation, Op, Reference, Rules, Token};
use std::collections::{BTreeMap, BTreeSet};

/// Where all that was issued is, by what the store says of it and by the reference.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sum {
    issued: u64,
    live: u64,
    spent: u64,
    expired: u64,
    revoked: u64,
}

impl Sum {
    fn of(fates: impl Iterator<Item = Fate>) -> Self {
        let mut sum = Self::default();
        for fate in fates {
            sum.issued += 1;
            *match fate {
                Fate::Live => &mut sum.live,
                Fate::Spent => &mut sum.spent,
                Fate::Expired => &mut sum.expired,
                Fate::Revoked => &mut sum.revoked,
            } += 1;
        }
        sum
    }

    /// The sum with what lives counted by what the store says.
    fn with_live(self, live: usize) -> Self {
        let sum = Self { live: live as u64, ..self };
        let there = sum.live + sum.spent + sum.expired + sum.revoked;
        assert_eq!(sum.issued, there, "issued is not live + spent + expired + revoked: {sum:?}");
        sum
    }

    fn add(&mut self, other: &Self) {
        self.issued += other.issued;
        self.live += other.live;
        self.spent += other.spent;
        self.expired += other.expired;
        self.revoked += other.revoked;
    }
}

/// What a run covered.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) sequences: u64,
    pub(crate) steps: u64,
    pub(crate) looks: u64,
    pub(crate) impostors: u64,
    /// Families that died with more than one token alive.
    pub(crate) died_whole: u64,
    codes: Sum,
    access: Sum,
    families: Sum,
}

impl Totals {
    pub(crate) fn add(&mut self, other: &Self) {
        self.sequences += other.sequences;
        self.steps += other.steps;
        self.looks += other.looks;
        self.impostors += other.impostors;
        self.died_whole += other.died_whole;
        self.codes.add(&other.codes);
        self.access.add(&other.access);
        self.families.add(&other.families);
    }

    /// How much was issued, and where it was in the end.
    pub(crate) fn sums(&self) -> String {
        let sums = [("codes", self.codes), ("tokens", self.access), ("families", self.families)];
        let texts = sums.map(|(what, sum)| {
            let Sum { issued, live, spent, expired, revoked } = sum;
            format!(
                "{issued} {what} = {live} live + {spent} spent + {expired} expired + \
                 {revoked} revoked"
            )
        });
        texts.join(", ")
    }
}

/// What was seen of a world so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    granted: BTreeSet<u32>,
    rotated: BTreeSet<Generation>,
    /// Of each family the access tokens that lived after the last step, and whether its refresh
    /// token did.
    lived: BTreeMap<u32, (BTreeSet<u32>, bool)>,
    foreign: Vec<String>,
    totals: Totals,
}

impl Seen {
    /// P3: at most one success per code and per generation; one that is repeated is still the
    /// first one.
    pub(crate) fn note(&mut self, rules: &Rules, op: &Op, answer: &Answer) {
        match (op, answer) {
            (Op::Redeem(code, _), Answer::Granted { .. }) => {
                let first = self.granted.insert(*code);
                assert!(first || rules.repeating, "code {code} was granted twice");
            }
            (Op::Refresh(token, _), Answer::Rotated { .. }) if rules.rotating => {
                assert!(self.rotated.insert(*token), "{token:?} was accepted twice");
            }
            _ => {}
        }
    }

    pub(crate) fn check<B: Backend>(
        &mut self,
        grants: &Grants<B>,
        player: &Player,
        expected: &Expected,
    ) {
        let reference = &expected.reference;
        let lives = self.look(grants, player, reference);
        self.check_whole_deaths(&lives, expected);
        self.lived = lives;
        self.check_sums(grants, player, reference);
        self.check_impostors(grants, &player.known());
        self.totals.steps += u64::from(expected.turn.is_some());
    }

    /// P4, P5, P6: every token ever issued is in force if nothing ended it, and no longer than
    /// itself, its family, and its owners. Answers what lives.
    fn look<B: Backend>(
        &mut self,
        grants: &Grants<B>,
        player: &Player,
        reference: &Reference,
    ) -> BTreeMap<u32, (BTreeSet<u32>, bool)> {
        let mut lives: BTreeMap<u32, (BTreeSet<u32>, bool)> = BTreeMap::new();
        let mut is_active = |token| {
            self.totals.looks += 1;
            let answer = player.perform(grants, &Op::Introspect(token)).wait();
            // With family, owners, scopes, and expiry.
            let right = reference.answers(&Op::Introspect(token), 0);
            assert_eq!(right, [answer], "{token:?} at {} s", reference.now_s());
            answer != Answer::Inactive
        };
        for access in 0..reference.access_tokens() {
            let (family, expires_s) = reference.of_access(access);
            if is_active(Token::Access(access)) {
                assert!(reference.now_s() < expires_s, "token {access} outlived itself");
                assert_eq!(reference.fate_of_family(family), Fate::Live, "outlived its family");
                lives.entry(family).or_default().0.insert(access);
            }
        }
        for token in reference.generations() {
            if is_active(Token::Refresh(token)) {
                let is_first =
                    !std::mem::replace(&mut lives.entry(token.family).or_default().1, true);
                assert!(is_first, "two generations of family {} are in force", token.family);
            }
        }
        lives
    }

    /// P6: the tokens of a family die together, except where one was revoked by itself, time
    /// passed, or one took the place of another in an answer that was repeated.
    fn check_whole_deaths(
        &mut self,
        lives: &BTreeMap<u32, (BTreeSet<u32>, bool)>,
        expected: &Expected,
    ) {
        let apart = matches!(
            expected.turn,
            Some(Turn::Do(Op::Pass(_) | Op::Revoke(Token::Access(_)) | Op::Redeem(..)))
        );
        let none = (BTreeSet::new(), false);
        for (family, (before, _)) in &self.lived {
            let (now, refreshes) = lives.get(family).unwrap_or(&none);
            if expected.reference.fate_of_family(*family) != Fate::Live {
                assert!(now.is_empty() && !refreshes, "family {family} did not die whole");
                self.totals.died_whole += u64::from(before.len() > 1);
            } else if !apart {
                assert!(before.is_subset(now) && *refreshes, "family {family} died in part");
            }
        }
    }

    /// The sum of issued = live + expired + revoked, where the store says what lives.
    fn check_sums<B: Backend>(
        &mut self,
        grants: &Grants<B>,
        player: &Player,
        reference: &Reference,
    ) {
        let (codes, access, families) = sums(reference);
        access.with_live(self.lived.values().map(|(tokens, _)| tokens.len()).sum());
        let subjects: BTreeSet<u8> = reference.families().map(|(_, subject)| subject).collect();
        let list = |subject: &u8| player.list(grants, *subject).wait();
        let listed: BTreeSet<u32> = subjects.iter().flat_map(list).collect();
        families.with_live(listed.len());
        let renewable = self.lived.iter().filter(|(_, (_, refreshes))| *refreshes);
        assert!(renewable.map(|(family, _)| family).eq(&listed), "listed is what can be refreshed");
        assert!(self.granted.len() as u64 <= codes.spent, "a code was granted and is not spent");
    }

    pub(crate) fn totals(mut self, reference: &Reference) -> Totals {
        let (codes, access, families) = sums(reference);
        self.totals.sequences = 1;
        Totals { codes, access, families, ..self.totals }
    }

    /// Nothing observable tells a wrong token from an unknown one.
    fn check_impostors<B: Backend>(&mut self, grants: &Grants<B>, known: &Known) {
        if self.foreign.is_empty() {
            self.foreign = foreign();
        }
        let mut texts = self.foreign.clone();
        // Those of this store, changed, cut, lengthened, and under another server's prefix.
        let newest = [known.codes.last(), known.access.last(), known.refresh.values().next_back()];
        for text in newest.into_iter().flatten() {
            texts.extend([changed(text), text[1..].to_owned(), format!("{text}0")]);
            texts.push(text.replacen("gk_", "ot_", 1));
        }
        let before = grants.store().stats();
        for text in &texts {
            self.totals.impostors += 1;
            let redeemed = grants.redeem(text, &Presented::by("client-0")).wait().unwrap();
            let refreshed = grants.refresh(text, &RefreshRequest::by("client-0")).wait().unwrap();
            let introspected = grants.introspect(text).wait().unwrap();
            grants.revoke(text).wait().unwrap();
            assert_eq!(format!("{redeemed:?} {refreshed:?}"), "Unknown Unknown");
            assert_eq!(redeemed.oauth_error(), Some(OAuthError::InvalidGrant));
            assert_eq!(refreshed.oauth_error(), redeemed.oauth_error());
            assert!(matches!(introspected, Introspection::Inactive));
        }
        // One kind presented as another is unknown as well, and is not harmed.
        for text in known.access.iter().chain(known.refresh.values()) {
            let redeemed = grants.redeem(text, &Presented::by("client-0")).wait().unwrap();
            assert_eq!(format!("{redeemed:?}"), "Unknown");
        }
        for text in known.codes.iter().chain(&known.access) {
            let request = RefreshRequest::by("client-0");
            let refreshed = grants.refresh(text, &request).wait().unwrap();
            assert_eq!(format!("{refreshed:?}"), "Unknown");
        }
        assert_eq!(grants.store().stats().commits, before.commits, "an impostor changed something");
    }
}

fn sums(reference: &Reference) -> (Sum, Sum, Sum) {
    let codes = (0..reference.codes()).map(|code| reference.fate_of_code(code));
    let access = (0..reference.access_tokens()).map(|token| reference.fate_of_access(token));
    let families = reference.families().map(|(token, _)| reference.fate_of_family(token.family));
    (Sum::of(codes), Sum::of(access), Sum::of(families))
}

/// What another store issued, and what nobody did.
fn foreign() -> Vec<String> {
    let store = Store::in_memory(manual_clock()).unwrap();
    let other = Grants::new(store, Rules::SHORT.policy()).unwrap();
    let code = other.authorize(grantkeep_grants::Authorize::new("client-0", "subject-0")).wait();
    let pair = other.open(grantkeep_grants::Grant::new("client-0", "subject-0")).wait().unwrap();
    let mut texts = vec![String::new(), "x".to_owned(), "x".repeat(8_192), "gk_ac_".to_owned()];
    texts.push(code.unwrap().expose().to_owned());
    texts.push(pair.access.expose().to_owned());
    texts.push(pair.refresh.unwrap().expose().to_owned());
    texts
}

/// A text that differs in one character of its middle.
fn changed(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] = if bytes[middle] == b'0' { b'1' } else { b'0' };
    String::from_utf8(bytes).unwrap()
}
