//! The device authorization grant and time: lifetimes, and how often a device polls.

use crate::device::polled;
use crate::world::*;
use grantkeep::backend::Budget;
use grantkeep::{Device, Wait};
use grantkeep_grants::{DeviceIssued, DeviceRequested, OAuthError, Policy, Polled, Verified};

// Goal: P5, the lifetime of both codes is exact on both sides, whatever was decided, and what was
// spent is a replay at any age. Method: each state a millisecond before and at the end, and swept.
#[test]
fn device_lifetime_is_exact() {
    let world = World::without_repeats();
    let devices: Vec<_> = (0..5).map(|_| world.device()).collect();
    let [pending, early, late, denied, spent] = &devices[..] else { panic!("five devices") };
    assert_eq!(world.approve(spent), Verified::Done);
    polled(world.poll(spent));
    world.clock.advance(s(600) - MS);
    assert!(matches!(world.poll(pending), Polled::Pending));
    assert!(matches!(world.requested(pending), DeviceRequested::Pending(device)
        if device.expires_in == s(0)));
    assert_eq!(world.approve(early), Verified::Done);
    assert_eq!(world.approve(late), Verified::Done);
    assert_eq!(world.deny(denied), Verified::Done);
    polled(world.poll(early));
    world.clock.advance(MS);
    for device in [pending, late, denied] {
        let answer = world.poll(device);
        assert!(matches!(answer, Polled::Expired));
        assert_eq!(answer.oauth_error().map(OAuthError::as_str), Some("expired_token"));
    }
    assert!(matches!(world.requested(pending), DeviceRequested::Expired));
    assert_eq!(world.approve(pending), Verified::Expired);
    assert_eq!(world.deny(pending), Verified::Expired);
    for device in [early, spent] {
        assert!(matches!(world.poll(device), Polled::Replayed { .. }));
    }
    world.clock.advance(s(3_600));
    world.grants.store().sweep(Budget::ALL).wait().unwrap();
    for device in &devices {
        assert!(matches!(world.poll(device), Polled::Unknown));
        assert!(matches!(world.requested(device), DeviceRequested::Unknown));
        assert_eq!(world.approve(device), Verified::Unknown);
    }
}

fn slowed(world: &World, device: &DeviceIssued) -> bool {
    match world.poll(device) {
        Polled::Pending => false,
        answer @ Polled::SlowDown => {
            assert_eq!(answer.oauth_error().map(OAuthError::as_str), Some("slow_down"));
            true
        }
        other => panic!("{other:?}"),
    }
}

// Goal: a poll that comes too soon is told so, and slows this device down by 5 s for good (RFC 8628
// section 3.5); up to a second, or a tenth of the interval, is not too soon, exact to the
// millisecond. Method: polls just before and at what is allowed of the interval, which grows by
// each that was too soon; another device beside it.
#[test]
fn polling_too_soon_slows_down_for_good() {
    let world = World::new();
    let (device, other) = (world.device(), world.device());
    assert!(!slowed(&world, &device), "the first poll");
    for (wait, too_soon) in [
        (s(5), false),
        (s(4), false),
        (s(4) - MS, true),
        (s(9) - MS, true),
        (s(15), false),
        (s(15) - 1_500 * MS, false),
        (s(0), true),
        (s(18), false),
        (s(18) - MS, true),
        (s(25), false),
    ] {
        world.clock.advance(wait);
        assert_eq!(slowed(&world, &device), too_soon, "{wait:?}");
    }
    assert!(!slowed(&world, &other));
    world.clock.advance(s(5));
    assert!(!slowed(&world, &other));
}

// Goal: an approved or refused device is told at once, however often it polled. Method: a poll
// right after one that was too soon.
#[test]
fn a_decision_waits_for_no_pace() {
    let world = World::new();
    for approve in [true, false] {
        let device = world.device();
        assert!(!slowed(&world, &device));
        assert!(slowed(&world, &device));
        if approve {
            world.approve(&device);
            polled(world.poll(&device));
        } else {
            world.deny(&device);
            assert!(matches!(world.poll(&device), Polled::Denied));
        }
    }
}

// Goal: a poll that finds no decision writes nothing, and pace is of the process: clones share it,
// a restart forgets it and nothing else. Method: the row's version and the number of rows over
// many polls; the same device polled through a clone, and through other grants.
#[test]
fn pace_is_kept_in_memory_only() {
    let world = World::new();
    let device = world.device();
    let code = device.device_code.expose();
    let row = || world.grants.store().find::<Device>(code.as_bytes()).wait().unwrap().unwrap();
    let (version, rows) = (row().version, world.grants.store().stats().rows_total());
    let presented = grantkeep_grants::Presented::by(CLIENT);
    assert!(!slowed(&world, &device));
    let answer = world.grants.clone().poll_device(code, &presented).wait().unwrap();
    assert!(matches!(answer, Polled::SlowDown));
    let restarted = world.with(Policy::default());
    let answer = restarted.poll_device(code, &presented).wait().unwrap();
    assert!(matches!(answer, Polled::Pending));
    assert_eq!((row().version, world.grants.store().stats().rows_total()), (version, rows));
}

// Goal: the interval is that of the policy in force. Method: 1 s, and its edges.
#[test]
fn the_interval_is_the_policys() {
    let world = World::under(Policy { device_interval: s(1), ..Policy::default() });
    let device = world.device();
    assert_eq!(device.interval, s(1));
    assert!(!slowed(&world, &device));
    world.clock.advance(s(1));
    assert!(!slowed(&world, &device));
    world.clock.advance(500 * MS);
    assert!(!slowed(&world, &device), "half of it may be missing");
    world.clock.advance(499 * MS);
    assert!(slowed(&world, &device));
}
