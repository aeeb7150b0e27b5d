//! What subscribers are told, and what they are not.

use crate::world::*;
use grantkeep::backend::Budget;
use grantkeep::{ManualClock, RevocationReason, Store, Wait};
use grantkeep_grants::{
    ClaimsKind, ClientCredentials, DeviceApproval, Event, Events, Grant, Grants, Mismatch,
    NewClient, NewPersonal, Policy, Presented, Redeemed, RefreshRequest, Subscription,
};
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::UNIX_EPOCH;

fn told(world: &mut World, capacity: usize) -> Subscription {
    let events = Events::new();
    world.grants = world.grants.clone().with_events(events.clone());
    events.subscribe(capacity)
}

fn names(subscription: &mut Subscription) -> Vec<&'static str> {
    let mut names = Vec::new();
    while let Some(event) = subscription.try_next() {
        names.push(event.name());
    }
    names
}

// Goal: each decision is told once, in order, with whom it concerns, and P9: without a secret.
// Method: a family's whole life and the other grants; look into what was told.
#[test]
fn each_decision_is_told() {
    let mut world = World::new();
    let mut told = told(&mut world, 100);
    let code = world.code();
    let first = granted(world.redeem(&code));
    let second = rotated(world.refresh(refresh_of(&first)));
    world.refresh(refresh_of(&first));
    rotated(world.refresh(refresh_of(&second)));
    world.refresh(refresh_of(&first));
    world.redeem(&code);
    let family = first.family.unwrap();
    let (client, subject) = (|| CLIENT.to_owned(), || SUBJECT.to_owned());
    let reason = RevocationReason::RefreshReused;
    for expected in [
        Event::Authorized { client: client(), subject: subject() },
        Event::Redeemed { client: client(), subject: subject(), family },
        Event::Rotated { client: client(), subject: subject(), family, generation: 2 },
        Event::Retried { client: client(), subject: subject(), family },
        Event::Rotated { client: client(), subject: subject(), family, generation: 3 },
        Event::FamilyRevoked { client: client(), subject: subject(), family, reason },
        Event::Reused { client: client(), subject: subject(), family },
        Event::Replayed { client: client(), subject: subject(), family: Some(family) },
    ] {
        let event = told.try_next().unwrap();
        for pair in [&first, &second] {
            let text = format!("{event:?}");
            assert!(!text.contains(pair.access.expose()) && !text.contains(refresh_of(pair)));
        }
        assert_eq!((event.client(), event.subject()), (Some(CLIENT), Some(SUBJECT)));
        assert_eq!(event, expected);
    }
    assert_eq!((told.try_next(), told.dropped()), (None, 0));
}

// Goal: tokens issued without a code, and revocations, are told. Method: one of each.
#[test]
fn issues_and_revocations_are_told() {
    let mut world = World::new();
    let mut told = told(&mut world, 100);
    let grants = &world.grants;
    let pair = grants.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap();
    grants.client_credentials(ClientCredentials::new(CLIENT)).wait().unwrap();
    let personal = grants.create_personal(NewPersonal::new(SUBJECT, "laptop")).wait().unwrap();
    grants.revoke(pair.access.expose()).wait().unwrap();
    grants.revoke(personal.token.expose()).wait().unwrap();
    grants.revoke(personal.token.expose()).wait().unwrap();
    grants.revoke("a text that was never issued").wait().unwrap();
    grants.revoke_family(pair.family.unwrap()).wait().unwrap();
    grants.revoke_subject(SUBJECT).wait().unwrap();
    grants.revoke_client(CLIENT).wait().unwrap();
    let kinds: Vec<_> = (0..5).map(|_| told.try_next().unwrap()).collect();
    let revoked = |kind, client: &str, family| {
        let (client, subject) = (client.to_owned(), SUBJECT.to_owned());
        Event::TokenRevoked { kind, client, subject, family }
    };
    assert!(matches!(kinds[0], Event::Issued { kind: ClaimsKind::Access, .. }));
    assert!(matches!(kinds[1], Event::Issued { kind: ClaimsKind::ClientCredential, .. }));
    assert!(matches!(kinds[2], Event::Issued { kind: ClaimsKind::Personal, .. }));
    assert_eq!(kinds[3], revoked(ClaimsKind::Access, CLIENT, pair.family));
    assert_eq!(kinds[4], revoked(ClaimsKind::Personal, "", None));
    let expected = ["family_revoked", "subject_revoked", "client_revoked"];
    assert_eq!(names(&mut told), expected);
}

// Goal: what may be theft or guessing is told, and the answer to it says nothing more than before.
// Method: a code and a refresh token with each thing that does not match, a wrong secret, a user
// code that nobody has.
#[test]
fn attempts_are_told() {
    let mut world = World::new();
    let mut told = told(&mut world, 100);
    let code = world.code();
    let pair = world.pair();
    while told.try_next().is_some() {}
    let by = |client| Presented::by(client).redirect_uri(REDIRECT).verifier(VERIFIER);
    let grants = &world.grants;
    for (presented, what) in [
        (by("client-2"), Mismatch::Client),
        (by(CLIENT).redirect_uri("https://elsewhere.example"), Mismatch::RedirectUri),
        (by(CLIENT).verifier("another"), Mismatch::Verifier),
    ] {
        let answer = grants.redeem(code.expose(), &presented).wait().unwrap();
        assert!(matches!(answer, Redeemed::Mismatch(_)));
        let event = told.try_next().unwrap();
        assert!(matches!(event, Event::Mismatched { what: told, .. } if told == what), "{event:?}");
        assert!(event.is_alarming() && event.subject() == Some(SUBJECT));
    }
    grants.refresh(refresh_of(&pair), &RefreshRequest::by("client-2")).wait().unwrap();
    let event = told.try_next().unwrap();
    assert_eq!((event.client(), event.family()), (Some("client-2"), pair.family));
    grants.authenticate_client("client-3", Some(b"a secret of nobody")).wait().unwrap();
    // Nobody's id may be a secret in the wrong place.
    let refused = Event::ClientRefused { client: String::new() };
    assert_eq!(told.try_next(), Some(refused));
    grants.create_client(NewClient::confidential("client-3")).wait().unwrap();
    grants.authenticate_client("client-3", Some(b"a secret of nobody")).wait().unwrap();
    let refused = Event::ClientRefused { client: "client-3".to_owned() };
    assert_eq!(told.try_next(), Some(refused));
    grants.device_request("BBBB-BBBB").wait().unwrap();
    grants.approve_device("BBBB-BBBB", &DeviceApproval::by(SUBJECT)).wait().unwrap();
    grants.deny_device("BBBB-BBBB").wait().unwrap();
    for _ in 0..3 {
        assert_eq!(told.try_next(), Some(Event::UserCodeUnknown));
    }
    assert_eq!(told.try_next(), None);
}

// Goal: what takes effect is told, also if whoever asked has hung up: events go with the batch.
// Method: an engine of its own; each decision polled once and dropped; what takes effect all the
// same is told, once, and nothing else.
#[test]
fn who_hangs_up_is_told_of() {
    let place = tempfile::tempdir().unwrap();
    let store = Store::options().by_itself(false).open(place.path().join("store")).unwrap();
    let events = Events::new();
    let grants = Grants::new(store, Policy::default()).unwrap().with_events(events.clone());
    let hang_up = |future: std::pin::Pin<Box<dyn Future<Output = ()> + '_>>| {
        let mut future = future;
        let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        polled.is_pending()
    };
    for round in 0..30 {
        let open = || grants.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap();
        let (reused, replayed, revoked) = (open(), grants.authorize(authorize()).wait(), open());
        let replayed = replayed.unwrap();
        let request = RefreshRequest::by(CLIENT);
        let spent = refresh_of(&reused);
        let next = rotated(grants.refresh(spent, &request).wait().unwrap());
        rotated(grants.refresh(refresh_of(&next), &request).wait().unwrap());
        let presented = Presented::by(CLIENT).redirect_uri(REDIRECT).verifier(VERIFIER);
        granted(grants.redeem(replayed.expose(), &presented).wait().unwrap());
        let mut told = events.subscribe(100);
        let mut waited = [
            hang_up(Box::pin(async { drop(grants.refresh(spent, &request).await) })),
            hang_up(Box::pin(async { drop(grants.redeem(replayed.expose(), &presented).await) })),
            hang_up(Box::pin(async { drop(grants.revoke(revoked.access.expose()).await) })),
            hang_up(Box::pin(async { drop(grants.revoke_subject("bob").await) })),
            hang_up(Box::pin(async {
                drop(grants.create_personal(NewPersonal::new(SUBJECT, "laptop")).await);
            })),
        ];
        waited.sort_unstable();
        // A commit behind them: they are durable, or never will be.
        grants.revoke_subject("carol").wait().unwrap();
        let mut names = names(&mut told);
        names.sort_unstable();
        let expected = [
            "family_revoked",
            "family_revoked",
            "issued",
            "replayed",
            "reused",
            "subject_revoked",
            "subject_revoked",
            "token_revoked",
        ];
        assert_eq!(names, expected, "round {round}, waiting {waited:?}");
    }
}

// Goal: a subscriber that takes nothing holds nobody up and loses no count. Method: a hundred
// grants with room for ten; a second subscriber, and one that has gone.
#[test]
fn a_slow_subscriber_costs_events_only() {
    let mut world = World::new();
    let mut slow = told(&mut world, 10);
    let mut quick = world.grants.events().subscribe(1_000);
    drop(world.grants.events().subscribe(1_000));
    for _ in 0..100 {
        world.code();
    }
    assert_eq!((names(&mut slow).len(), slow.dropped()), (10, 90));
    assert_eq!((names(&mut quick).len(), quick.dropped()), (100, 0));
    world.code();
    assert_eq!((names(&mut slow).len(), slow.dropped()), (1, 90));
}

// Goal: who waits for an event is woken by it, and told when there will be none. Method: wait on
// another thread; then drop all that could tell.
#[test]
fn who_waits_is_woken() {
    let mut world = World::new();
    let mut told = told(&mut world, 1);
    let waiting = std::thread::spawn(move || {
        let mut seen = 0;
        while told.next().wait().is_some() {
            seen += 1;
        }
        seen + told.dropped()
    });
    for _ in 0..1_000 {
        world.code();
    }
    drop(world);
    assert_eq!(waiting.join().unwrap(), 1_000);
}

// Goal: what the store sweeps by itself is told as well. Method: codes that expire, a sweep.
#[test]
fn sweeps_are_told() {
    let place = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(UNIX_EPOCH + s(1_800_000_000)));
    let events = Events::new();
    let mut told = events.subscribe(10);
    let options = Store::options().clock(clock.clone()).by_itself(false);
    let store = options.on_swept(events.on_swept()).open(place.path().join("store")).unwrap();
    let grants = Grants::new(store, Policy::default()).unwrap();
    for _ in 0..7 {
        grants.authorize(authorize()).wait().unwrap();
    }
    clock.advance(s(3_600));
    grants.store().sweep(Budget::ALL).wait().unwrap();
    let Some(Event::Swept { rows, windows }) = told.try_next() else { panic!("not told") };
    assert!(rows == 7 && windows > 0, "{rows} rows, {windows} windows");
    grants.store().sweep(Budget::ALL).wait().unwrap();
    assert_eq!(told.try_next(), None, "an idle sweep is not told");
}

// Goal: the metrics are those that are documented. Method: a recorder of this thread; a redemption
// and the statistics; each name stands in the documentation.
#[test]
#[cfg(feature = "metrics")]
fn metrics_are_as_documented() {
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let mut world = World::new();
        let slow = told(&mut world, 1);
        world.pair();
        assert_eq!(slow.dropped(), 1);
        world.grants.publish_stats();
    });
    let documents = include_str!("../../../../docs/operating.md");
    let (mut seen, mut kinds) = (Vec::new(), Vec::new());
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let name = key.key().name().to_owned();
        let labels: Vec<_> = key.key().labels().map(|l| l.value().to_owned()).collect();
        assert!(documents.contains(&format!("`{name}`")), "{name} is not documented");
        match (name.as_str(), labels.first().map(String::as_str), &value) {
            ("grantkeep_events_total", Some("redeemed"), DebugValue::Counter(1))
            | ("grantkeep_events_dropped_total", None, DebugValue::Counter(1))
            | ("grantkeep_commits_total", None, DebugValue::Counter(1..)) => seen.push(name),
            ("grantkeep_rows", Some(kind), DebugValue::Gauge(_)) => kinds.push(kind.to_owned()),
            ("grantkeep_decision_seconds", Some("redeem"), DebugValue::Histogram(times)) => {
                assert_eq!(times.len(), 1);
                seen.push(name);
            }
            _ => {}
        }
    }
    kinds.sort();
    assert_eq!(kinds, ["code", "family", "horizon", "key_check", "token"], "by name, not number");
    seen.sort();
    let expected = ["commits_total", "decision_seconds", "events_dropped_total", "events_total"];
    assert_eq!(seen, expected.map(|name| format!("grantkeep_{name}")));
}

// Goal: events are told to `tracing`, replays and reuse as warnings, and P9: without a secret.
// Method: a subscriber of this thread that keeps levels and fields.
#[test]
#[cfg(feature = "tracing")]
fn traces_are_as_documented() {
    use std::sync::Mutex;
    use tracing::field::{Field, Visit};
    use tracing::{Metadata, Subscriber, span};

    struct Fields<'a>(&'a mut String);
    impl Visit for Fields<'_> {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            use std::fmt::Write as _;
            write!(self.0, " {field}={value:?}").unwrap();
        }
    }
    struct Kept(Arc<Mutex<Vec<String>>>);
    impl Subscriber for Kept {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            let meta = event.metadata();
            let mut line = format!("{} {}", meta.level(), meta.target());
            event.record(&mut Fields(&mut line));
            self.0.lock().unwrap().push(line);
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }
    let kept = Arc::new(Mutex::new(Vec::new()));
    let (code, pair) = tracing::subscriber::with_default(Kept(kept.clone()), || {
        let world = World::new();
        let code = world.code();
        let pair = granted(world.redeem(&code));
        world.redeem(&code);
        (code, pair)
    });
    let lines = kept.lock().unwrap();
    let starts = ["DEBUG grantkeep name=\"authorized\"", "DEBUG grantkeep name=\"redeemed\""];
    assert!(lines[0].starts_with(starts[0]) && lines[1].starts_with(starts[1]), "{lines:?}");
    assert!(lines[3].starts_with("WARN grantkeep name=\"replayed\""), "{lines:?}");
    let all = lines.join("\n");
    for secret in [code.expose(), pair.access.expose(), refresh_of(&pair)] {
        assert!(!all.contains(secret));
    }
}
