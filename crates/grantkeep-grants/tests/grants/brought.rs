//! Texts that the server makes itself: found exact to the byte, rotated, reused.

use crate::world::*;
use grantkeep::{Embedded, ErrorKind, KeySource, Keyring, Store, Wait};
use grantkeep_grants::{
    ClientCredentials, Grant, Grants, Introspection, Minter, MinterError, Minting, NewPersonal,
    Policy, Presented, RefreshRequest, Refreshed, Refreshing, Tag,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// As sites with encrypted payloads do it: each text starts with the same bytes, and differs from
/// the next in its last ones only.
#[derive(Debug)]
struct Server {
    chars: usize,
    made: AtomicU64,
    tags: &'static [Tag],
}

const ALL: &[Tag] = &[Tag::Code, Tag::Access, Tag::Refresh, Tag::Personal];

impl Server {
    fn of(chars: usize) -> Arc<Self> {
        Arc::new(Self { chars, made: AtomicU64::new(0), tags: ALL })
    }

    fn only(tags: &'static [Tag]) -> Arc<Self> {
        Arc::new(Self { chars: 1_000, made: AtomicU64::new(0), tags })
    }
}

impl Minter for Server {
    fn mint(&self, minting: &Minting<'_>) -> Result<Option<String>, MinterError> {
        if !self.tags.contains(&minting.tag) {
            return Ok(None);
        }
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        Ok(Some(format!("{}{made:016}", "def50200".repeat(1_024).split_at(self.chars - 16).0)))
    }
}

fn brought(chars: usize) -> World {
    let mut world = World::new();
    world.grants = world.grants.with_minter(Server::of(chars));
    world
}

// Goal: a text is found exact to the byte, at any length, though all start with the same bytes.
// Method: every kind of text at 43 to 8,192 characters; each as it is, cut, and changed at its end.
#[test]
fn brought_texts_are_found_exactly() {
    for chars in [43, 1_200, 4_000, 8_192] {
        let world = brought(chars);
        let code = world.code();
        let pair = granted(world.redeem(&code));
        let client = world.grants.client_credentials(ClientCredentials::new(CLIENT)).wait();
        let new = NewPersonal::new(SUBJECT, "laptop");
        let personal = world.grants.create_personal(new).wait().unwrap().token;
        let (client, refresh) = (client.unwrap().access, pair.refresh.as_ref().unwrap());
        for text in [&pair.access, refresh, &client, &personal] {
            let text = text.expose();
            assert_eq!(text.len(), chars);
            assert!(world.is_active(text));
            assert!(!world.is_active(&text[..chars - 1]));
            assert!(!world.is_active(&format!("{}x", &text[..chars - 1])));
        }
        assert_eq!(code.expose().len(), chars);
    }
}

// Goal: P3, brought refresh tokens rotate as derived ones do: each generation once, a lost
// response answered the same successor, reuse of any generation revokes. Method: rotate five
// times, present each older generation to a family of its own.
#[test]
fn brought_refresh_tokens_rotate_with_reuse_detection() {
    for reused in 0..4 {
        let world = brought(1_000);
        let mut pairs = vec![world.pair()];
        for _ in 0..5 {
            let last = refresh_of(pairs.last().unwrap()).to_owned();
            let next = rotated(world.refresh(&last));
            let Refreshed::Retried(again) = world.refresh(&last) else { panic!("not retried") };
            assert_eq!(refresh_of(&again), refresh_of(&next), "the same successor");
            assert!(world.is_active(again.access.expose()));
            pairs.push(next);
        }
        let answer = world.refresh(refresh_of(&pairs[reused]));
        assert!(matches!(answer, Refreshed::Reused { .. }), "{reused}: {answer:?}");
        for pair in &pairs {
            assert!(!world.is_active(pair.access.expose()));
            assert!(!world.is_active(refresh_of(pair)));
        }
    }
}

// Goal: after the grace period the predecessor of a brought token is reuse, and the kept successor
// answers nobody. Method: the last millisecond of the period, and its end.
#[test]
fn grace_for_brought_tokens_is_exact() {
    for (wait, retried) in [(s(30) - MS, true), (s(30), false)] {
        let world = brought(1_000);
        let first = world.pair();
        rotated(world.refresh(refresh_of(&first)));
        world.clock.advance(wait);
        let answer = world.refresh(refresh_of(&first));
        assert_eq!(matches!(answer, Refreshed::Retried(_)), retried, "{answer:?}");
        assert_eq!(matches!(answer, Refreshed::Reused { .. }), !retried, "{answer:?}");
    }
}

fn on_disk(dir: &std::path::Path) -> Grants<Embedded> {
    let keys = KeySource::Given(Keyring::from_keys([(1, [7; 32])]).unwrap());
    let store = Store::options().keys(keys).open(dir).unwrap();
    Grants::new(store, Policy::default()).unwrap()
}

// Goal: P2 and P3, reuse of any brought generation is noticed after a restart and a checkpoint as
// well, and so is a retry. Method: rotate, checkpoint and reopen after each step.
#[test]
fn brought_tokens_survive_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("store");
    let server = Server::of(4_000);
    let request = RefreshRequest::by(CLIENT);
    let mut texts: Vec<String> = Vec::new();
    for step in 0..4 {
        let grants = on_disk(&dir).with_minter(server.clone());
        let pair = match texts.last() {
            None => grants.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap(),
            Some(last) => rotated(grants.refresh(last, &request).wait().unwrap()),
        };
        texts.push(refresh_of(&pair).to_owned());
        if step % 2 == 0 {
            grants.store().checkpoint().wait().unwrap();
        }
        grants.store().close().unwrap();
    }
    let grants = on_disk(&dir).with_minter(server);
    let retried = grants.refresh(&texts[2], &request).wait().unwrap();
    let Refreshed::Retried(pair) = retried else { panic!("{retried:?}") };
    assert_eq!(refresh_of(&pair), texts[3]);
    let answer = grants.refresh(&texts[0], &request).wait().unwrap();
    assert!(matches!(answer, Refreshed::Reused { .. }), "{answer:?}");
    let answer = grants.introspect(pair.access.expose()).wait().unwrap();
    assert!(matches!(answer, Introspection::Inactive));
}

/// Makes the same text for whatever it is asked of these.
#[derive(Debug)]
struct Same(&'static [Tag]);

impl Minter for Same {
    fn mint(&self, minting: &Minting<'_>) -> Result<Option<String>, MinterError> {
        Ok(self.0.contains(&minting.tag).then(|| format!("the same text of {}", minting.subject)))
    }
}

// Goal: P4, texts that are issued together are different, whatever they are: an access token that
// is its refresh token would let a resource server refresh. Method: a minter that makes the same
// for both, in each flow that issues both; nothing is spent, opened, or issued.
#[test]
fn one_text_is_not_issued_twice_in_one_batch() {
    let mut world = World::new();
    let (code, pair) = (world.code(), world.pair());
    world.grants = world.grants.with_minter(Arc::new(Same(&[Tag::Access, Tag::Refresh])));
    let request = RefreshRequest::by(CLIENT);
    let grants = &world.grants;
    for error in [
        grants.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap_err(),
        grants.redeem(code.expose(), &presented()).wait().unwrap_err(),
        grants.refresh(refresh_of(&pair), &request).wait().unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Limit);
        assert!(error.to_string().contains("one text for two tokens"), "{error}");
    }
    let plain = world.with(Policy::default());
    granted(plain.redeem(code.expose(), &presented()).wait().unwrap());
    rotated(plain.refresh(refresh_of(&pair), &request).wait().unwrap());
    assert_eq!(plain.families_of(SUBJECT, None, 10).wait().unwrap().items.len(), 2);
}

// Goal: one text may be an access token and a personal one, issued at different times: each is
// itself, and a revocation of the text ends both. Method: a minter that makes the same for both.
#[test]
fn one_text_may_be_two_tokens() {
    let mut world = World::new();
    world.grants = world.grants.with_minter(Arc::new(Same(&[Tag::Access, Tag::Personal])));
    let own = world.grants.client_credentials(ClientCredentials::new(CLIENT).subject(SUBJECT));
    let own = own.wait().unwrap().access;
    let personal =
        world.grants.create_personal(NewPersonal::new(SUBJECT, "laptop")).wait().unwrap();
    assert_eq!(own.expose(), personal.token.expose());
    world.clock.advance(s(3_600));
    assert!(world.is_active(own.expose()), "the personal one is in force");
    world.grants.revoke(own.expose()).wait().unwrap();
    assert!(!world.is_active(own.expose()), "both are revoked");
    assert!(world.grants.personal_of(SUBJECT, None, 10).wait().unwrap().items.is_empty());
}

// Goal: P4, a text that was issued before is refused and nothing is changed; so is one that no
// store holds, and a failure of the minter says so. Method: minters that do each.
#[test]
fn what_a_minter_does_wrong_is_refused() {
    #[derive(Debug)]
    struct Wrong(fn() -> Result<Option<String>, MinterError>);
    impl Minter for Wrong {
        fn mint(&self, minting: &Minting<'_>) -> Result<Option<String>, MinterError> {
            if minting.tag == Tag::Access { (self.0)() } else { Ok(None) }
        }
    }
    let world = World::new();
    let with = |wrong| world.with(Policy::default()).with_minter(Arc::new(Wrong(wrong)));
    let password = |grants: &Grants<_>| grants.open(Grant::new(CLIENT, SUBJECT)).wait().map(|_| ());
    let same = with(|| Ok(Some("the same text each time".to_owned())));
    password(&same).unwrap();
    let again = password(&same).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Limit);
    assert!(again.to_string().contains("issued before"), "{again}");
    assert_eq!(world.grants.families_of(SUBJECT, None, 10).wait().unwrap().items.len(), 1);
    for (wrong, kind) in [
        (with(|| Ok(Some("short".to_owned()))), ErrorKind::Limit),
        (with(|| Ok(Some("x".repeat(8_193)))), ErrorKind::Limit),
        (with(|| Err("the key service is away".into())), ErrorKind::Unavailable),
    ] {
        let error = password(&wrong).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let source = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(source.is_some(), kind == ErrorKind::Unavailable, "{source:?}");
    }
    assert_eq!(world.grants.families_of(SUBJECT, None, 10).wait().unwrap().items.len(), 1);
}

// Goal: a server may make some texts and leave others to the policy, and change its mind. Method:
// rotate from derived to brought and back, with a retry after each.
#[test]
fn brought_and_derived_generations_follow_each_other() {
    let world = World::new();
    let plain = world.with(Policy::default());
    let bringing = world.with(Policy::default()).with_minter(Server::only(&[Tag::Refresh]));
    let request = RefreshRequest::by(CLIENT);
    let mut last = world.pair();
    for grants in [&bringing, &plain, &bringing, &bringing, &plain, &plain] {
        let token = refresh_of(&last).to_owned();
        let next = rotated(grants.refresh(&token, &request).wait().unwrap());
        for again in [&plain, &bringing] {
            let retried = again.refresh(&token, &request).wait().unwrap();
            let Refreshed::Retried(pair) = retried else { panic!("{retried:?}") };
            assert_eq!(refresh_of(&pair), refresh_of(&next));
        }
        last = next;
    }
}

// Goal: where refresh tokens do not rotate, a brought one is answered as it is. Method: use it
// three times.
#[test]
fn a_fixed_brought_token_stays() {
    let policy = Policy { refreshing: Refreshing::Fixed, ..Policy::default() };
    let mut world = World::under(policy);
    world.grants = world.grants.with_minter(Server::of(1_000));
    let pair = world.pair();
    for _ in 0..3 {
        let again = rotated(world.refresh(refresh_of(&pair)));
        assert_eq!(refresh_of(&again), refresh_of(&pair));
        assert_ne!(again.access.expose(), pair.access.expose());
    }
}

// Goal: a brought refresh token revokes its family, at any generation (RFC 7009 section 2.1), and
// a brought code is bound as any. Method: revoke by the first of three generations.
#[test]
fn a_brought_token_revokes_its_family() {
    let world = brought(1_000);
    let code = world.code();
    let other = Presented::by("client-2");
    let answer = world.grants.redeem(code.expose(), &other).wait().unwrap();
    assert!(matches!(answer, grantkeep_grants::Redeemed::Mismatch(_)));
    let first = granted(world.redeem(&code));
    let second = rotated(world.refresh(refresh_of(&first)));
    world.grants.revoke(refresh_of(&first)).wait().unwrap();
    assert!(!world.is_active(second.access.expose()));
    assert!(matches!(world.refresh(refresh_of(&second)), Refreshed::Revoked));
}

// Goal: P10, a long text takes no more of the disk than a short one. Method: a thousand client
// credentials of 43 and of 4,000 characters, the log's length after each.
#[test]
fn brought_texts_cost_no_disk() {
    let written = |chars: usize| {
        let place = tempfile::tempdir().unwrap();
        let grants = on_disk(&place.path().join("store")).with_minter(Server::of(chars));
        for _ in 0..1_000 {
            grants.client_credentials(ClientCredentials::new(CLIENT)).wait().unwrap();
        }
        grants.store().stats().log_backlog_bytes
    };
    let (short, long) = (written(43), written(4_000));
    println!("1,000 tokens: {short} bytes of log at 43 characters, {long} at 4,000");
    // The store may have noted the time in between, in a frame of its own.
    assert!(short.abs_diff(long) < 1_000 && short > 100_000, "{short}, {long}");
}
