//! What subscribers are told, and what they are not.

use crate::world::*;
use grantkeep::backend::Budget;
use grantkeep::{ManualClock, RevocationReason, Store, Wait};
use grantkeep_grants::{
    ClaimsKind, ClientCredentials, Event, Events, Grant, Grants, NewPersonal, Policy, Subscription,
};
use std::sync::Arc;
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
    let family = first.family;
    let (client, subject) = (CLIENT.to_owned(), SUBJECT.to_owned());
    let reason = RevocationReason::RefreshReused;
    for expected in [
        Event::Authorized { client: client.clone(), subject: subject.clone() },
        Event::Redeemed { client, subject, family },
        Event::Rotated { family, generation: 2 },
        Event::Retried { family },
        Event::Rotated { family, generation: 3 },
        Event::FamilyRevoked { family, reason },
        Event::Reused { family },
        Event::Replayed { family: Some(family) },
    ] {
        let event = told.try_next().unwrap();
        for pair in [&first, &second] {
            let text = format!("{event:?}");
            assert!(!text.contains(pair.access.expose()) && !text.contains(refresh_of(pair)));
        }
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
    let pair = grants.password(Grant::new(CLIENT, SUBJECT)).wait().unwrap();
    grants.client_credentials(ClientCredentials::new(CLIENT)).wait().unwrap();
    let personal = grants.create_personal(NewPersonal::new(SUBJECT, "laptop")).wait().unwrap();
    grants.revoke(pair.access.expose()).wait().unwrap();
    grants.revoke(personal.token.expose()).wait().unwrap();
    grants.revoke(personal.token.expose()).wait().unwrap();
    grants.revoke("a text that was never issued").wait().unwrap();
    grants.revoke_family(pair.family).wait().unwrap();
    grants.revoke_subject(SUBJECT).wait().unwrap();
    grants.revoke_client(CLIENT).wait().unwrap();
    let kinds: Vec<_> = (0..5).map(|_| told.try_next().unwrap()).collect();
    let revoked = |kind| Event::TokenRevoked { kind };
    assert!(matches!(kinds[0], Event::Issued { kind: ClaimsKind::Access, .. }));
    assert!(matches!(kinds[1], Event::Issued { kind: ClaimsKind::ClientCredential, .. }));
    assert!(matches!(kinds[2], Event::Issued { kind: ClaimsKind::Personal, .. }));
    assert_eq!(kinds[3..], [revoked(ClaimsKind::Access), revoked(ClaimsKind::Personal)]);
    let expected = ["family_revoked", "subject_revoked", "client_revoked"];
    assert_eq!(names(&mut told), expected);
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
    let mut seen = Vec::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let name = key.key().name().to_owned();
        let labels: Vec<_> = key.key().labels().map(|l| l.value().to_owned()).collect();
        assert!(documents.contains(&format!("`{name}`")), "{name} is not documented");
        match (name.as_str(), labels.first().map(String::as_str), &value) {
            ("grantkeep_events_total", Some("redeemed"), DebugValue::Counter(1))
            | ("grantkeep_events_dropped_total", None, DebugValue::Counter(1))
            | ("grantkeep_commits_total", None, DebugValue::Counter(1..)) => seen.push(name),
            ("grantkeep_decision_seconds", Some("redeem"), DebugValue::Histogram(times)) => {
                assert_eq!(times.len(), 1);
                seen.push(name);
            }
            _ => {}
        }
    }
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
