//! Answers that were lost and are asked for again, and how long a replay is recognized.

use crate::device::polled;
use crate::world::*;
use grantkeep::Wait;
use grantkeep::backend::Budget;
use grantkeep_grants::{
    Claimed, Events, Grant, Issued, Policy, Polled, Presented, Redeemed, Refreshed, Taken,
};

fn repeating() -> World {
    World::under(Policy { repeat_codes: true, ..Policy::default() })
}

/// Only the last of these has a live access token, and all have the same refresh token and family.
fn share_one_grant(world: &World, pairs: &[&Issued]) {
    let (last, earlier) = pairs.split_last().unwrap();
    for pair in earlier {
        assert!(!world.is_active(pair.access.expose()), "another took its place");
        assert_eq!(refresh_of(pair), refresh_of(last));
        assert_eq!(pair.family, last.family);
    }
    assert!(world.is_active(last.access.expose()));
}

// Goal: P3, a code opens at most one family: a redemption whose answer was lost is repeated with
// the same refresh token and one access token in force, where the policy allows it (RFC 6749
// section 4.1.2). Method: three times; then use the refresh token, and the code is a replay.
#[test]
fn a_lost_redemption_is_repeated() {
    let mut world = repeating();
    let events = Events::new();
    world.grants = world.grants.with_events(events.clone());
    let mut told = events.subscribe(100);
    let code = world.code();
    let pairs = [0; 3].map(|_| granted(world.redeem(&code)));
    share_one_grant(&world, &pairs.each_ref());
    for pair in &pairs {
        assert_eq!(pair.nonce.as_deref(), Some("nonce-1"));
        assert_eq!(pair.scopes.as_str(), "read write");
    }
    assert_eq!(world.grants.families_of(SUBJECT, None, 10).wait().unwrap().items.len(), 1);
    let next = rotated(world.refresh(refresh_of(&pairs[2])));
    assert!(matches!(world.redeem(&code), Redeemed::Replayed { family: Some(_) }));
    assert!(!world.is_active(refresh_of(&next)));
    let names: Vec<_> = std::iter::from_fn(|| told.try_next()).map(|event| event.name()).collect();
    let expected =
        ["authorized", "redeemed", "repeated", "repeated", "rotated", "family_revoked", "replayed"];
    assert_eq!(names, expected);
}

// Goal: an answer is repeated to who presents what the first did, within the grace period, and
// while the family is as it was opened; anything else is a replay or a mismatch. Method: each thing
// that differs; the end of the grace period to the millisecond; a policy without.
#[test]
fn only_the_same_is_answered_again() {
    type Differs = fn(Presented<'static>) -> Presented<'static>;
    let others: [Differs; 4] = [
        |presented| presented.verifier(CHALLENGE),
        |presented| presented.redirect_uri("https://app.example/other"),
        |presented| presented.confirmation(key(2)),
        |_| Presented::by(CLIENT).redirect_uri(REDIRECT).verifier(VERIFIER),
    ];
    for differs in others {
        let world = repeating();
        let code = world.code();
        let with = presented().confirmation(key(1));
        let first = granted(world.grants.redeem(code.expose(), &with).wait().unwrap());
        let by_other = Presented::by("client-2").confirmation(key(1));
        let answer = world.grants.redeem(code.expose(), &by_other).wait().unwrap();
        assert!(matches!(answer, Redeemed::Mismatch(_)), "{answer:?}");
        assert!(world.is_active(first.access.expose()));
        let answer = world.grants.redeem(code.expose(), &differs(with)).wait().unwrap();
        assert!(matches!(answer, Redeemed::Replayed { .. }), "{answer:?}");
        assert!(!world.is_active(first.access.expose()));
    }
    for (left, repeated) in [(MS, true), (s(0), false)] {
        let world = repeating();
        let code = world.code();
        granted(world.redeem(&code));
        world.clock.advance(s(30) - left);
        assert_eq!(matches!(world.redeem(&code), Redeemed::Granted(_)), repeated);
    }
    let world = World::new();
    let code = world.code();
    granted(world.redeem(&code));
    assert!(matches!(world.redeem(&code), Redeemed::Replayed { .. }), "off by default");
}

// Goal: who lost an answer and asks for it again is no thief where the family has ended by itself
// meanwhile: it is told so, and nobody is warned of a replay (RFC 6749 section 4.1.2, RFC 8628
// section 3.5). One that was used before is a replay. Method: a code and a device; families that
// were revoked by themselves, with their owners, or for another one, and that have expired; the
// events.
#[test]
fn a_repeat_of_an_ended_family_is_no_replay() {
    type End = fn(&World, &Issued);
    let ends: [(&str, End); 4] = [
        ("Revoked", |world, pair| {
            world.grants.revoke_family(pair.family.unwrap()).wait().unwrap();
        }),
        ("Revoked", |world, _| world.grants.revoke_pair(SUBJECT, CLIENT).wait().unwrap()),
        ("Revoked", |world, _| {
            world.clock.advance(MS);
            world.grants.open(Grant::new(CLIENT, SUBJECT)).wait().unwrap();
        }),
        ("Expired", |world, _| world.clock.advance(s(20))),
    ];
    for (told, end) in ends {
        for used in [false, true] {
            let mut world = World::under(Policy {
                repeat_codes: true,
                families_per_pair_max: 1,
                refresh_idle: s(20),
                access_lifetime: s(20),
                ..Policy::default()
            });
            let events = Events::new();
            world.grants = world.grants.with_events(events.clone());
            for is_code in [true, false] {
                let (code, device) = (world.code(), world.device());
                world.approve(&device);
                let pair = if is_code {
                    granted(world.redeem(&code))
                } else {
                    polled(world.poll(&device))
                };
                if used {
                    rotated(world.refresh(refresh_of(&pair)));
                }
                end(&world, &pair);
                let mut seen = events.subscribe(100);
                let answer = if is_code {
                    format!("{:?}", world.redeem(&code))
                } else {
                    format!("{:?}", world.poll(&device))
                };
                let seen = std::iter::from_fn(|| seen.try_next());
                let warned = seen.map(|event| event.name()).any(|name| name == "replayed");
                assert_eq!(answer.starts_with("Replayed"), used, "{answer}");
                assert_eq!(answer == told, !used, "{answer}");
                assert_eq!(warned, used, "{answer}");
                assert!(!world.is_active(pair.access.expose()));
            }
        }
    }
}

// Goal: a device whose answer was lost polls again, and is answered the same grant (RFC 8628
// section 3.5). Method: twice; another key, and after the refresh token was used.
#[test]
fn a_lost_poll_is_repeated() {
    let world = World::new();
    let device = world.device();
    world.approve(&device);
    let pairs = [0; 2].map(|_| polled(world.poll(&device)));
    share_one_grant(&world, &pairs.each_ref());
    let keyed = Presented::by(CLIENT).confirmation(key(9));
    let answer = world.grants.poll_device(device.device_code.expose(), &keyed).wait().unwrap();
    assert!(matches!(answer, Polled::Replayed { .. }));
    assert!(!world.is_active(pairs[1].access.expose()));

    let device = world.device();
    world.approve(&device);
    let pair = polled(world.poll(&device));
    rotated(world.refresh(refresh_of(&pair)));
    assert!(matches!(world.poll(&device), Polled::Replayed { .. }));
}

// Goal: of racers with one code one family comes, and one access token is in force, with repetition
// as without. Method: 16 threads, 20 times.
#[test]
fn racers_with_a_repeatable_code_share_one_family() {
    for _ in 0..20 {
        let world = repeating();
        let code = world.code();
        let barrier = std::sync::Barrier::new(16);
        let pairs: Vec<Issued> = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..16)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        granted(world.redeem(&code))
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        assert!(pairs.iter().all(|pair| pair.family == pairs[0].family));
        assert!(pairs.iter().all(|pair| refresh_of(pair) == refresh_of(&pairs[0])));
        let live = pairs.iter().filter(|pair| world.is_active(pair.access.expose())).count();
        assert_eq!(live, 1);
    }
}

// Goal: a spent code is recognized for the time of the policy, exact to the millisecond, whether or
// not it was swept (RFC 6749 section 4.1.2); so are claims, devices, and pushed requests. Method: a
// millisecond before the end and at it; swept before, and not.
#[test]
fn a_replay_is_recognized_to_the_moment() {
    for sweeps in [false, true] {
        for (left, recognized) in [(MS, true), (s(0), false)] {
            let world = World::under(Policy {
                replay_memory: s(3_600),
                repeat_devices: false,
                ..Policy::default()
            });
            let (code, claimed, device) = (world.code(), world.code(), world.device());
            world.approve(&device);
            let pushed = world.grants.push(CLIENT, b"parameters").wait().unwrap();
            let take = || world.grants.take_pushed(pushed.request_uri.expose(), CLIENT).wait();
            let claim = || world.grants.claim(claimed.expose()).wait().unwrap();
            granted(world.redeem(&code));
            polled(world.poll(&device));
            assert!(matches!(claim(), Claimed::Grant(_)));
            assert!(matches!(take().unwrap(), Taken::Request(_)));
            world.clock.advance(s(3_600) - left);
            if sweeps {
                world.grants.store().sweep(Budget::ALL).wait().unwrap();
            }
            let redeemed = world.redeem(&code);
            assert_eq!(matches!(redeemed, Redeemed::Replayed { .. }), recognized, "{redeemed:?}");
            assert_eq!(matches!(redeemed, Redeemed::Unknown), !recognized);
            assert_eq!(matches!(claim(), Claimed::Replayed { .. }), recognized);
            assert_eq!(matches!(world.poll(&device), Polled::Replayed { .. }), recognized);
            assert_eq!(matches!(take().unwrap(), Taken::Used), recognized);
        }
    }
}

// Goal: a spent code is recognized for no shorter than what it gave is in force. Method: access
// tokens that live longer than the policy's memory.
#[test]
fn a_replay_is_recognized_while_its_access_token_lives() {
    let policy = Policy { replay_memory: s(1), access_lifetime: s(900), ..Policy::default() };
    let world = World::under(policy);
    let code = world.code();
    let pair = granted(world.redeem(&code));
    world.clock.advance(s(900) - MS);
    assert!(world.is_active(pair.access.expose()));
    assert!(matches!(world.redeem(&code), Redeemed::Replayed { .. }));
    assert!(matches!(world.refresh(refresh_of(&pair)), Refreshed::Revoked));
}
