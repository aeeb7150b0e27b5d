//! Retries within the grace period: counted, told, and bounded.

use crate::world::*;
use grantkeep::Wait;
use grantkeep_grants::{
    Event, Events, Issued, OnReuse, Policy, RefreshRequest, Refreshed, Retries, Subscription,
};
use std::sync::{Barrier, Mutex};

fn told(world: &mut World) -> Subscription {
    let events = Events::new();
    world.grants = world.grants.clone().with_events(events.clone());
    events.subscribe(1_000)
}

fn retried(answer: Refreshed) -> Issued {
    match answer {
        Refreshed::Retried(pair) => *pair,
        other => panic!("not retried: {other:?}"),
    }
}

fn names(told: &mut Subscription) -> Vec<&'static str> {
    std::iter::from_fn(|| told.try_next()).map(|event| event.name()).collect()
}

// Goal: retries of one generation are counted: one more than the policy allows is refused, the
// family stays in force, and of the generation's access tokens at most one more than retries are in
// force (RFC 9700 section 4.14.2). Method: policies of 0, 1, and 3; ten retries of a generation,
// and of the next.
#[test]
fn retries_of_a_generation_are_counted() {
    for count in [0, 1, 3] {
        let refresh_retries = Retries::Count(count);
        let world = World::under(Policy { refresh_retries, ..Policy::default() });
        let mut last = world.pair();
        for _ in 0..2 {
            let spent = refresh_of(&last).to_owned();
            let next = rotated(world.refresh(&spent));
            let mut access = vec![next.access.expose().to_owned()];
            for number in 0..10 {
                match world.refresh(&spent) {
                    Refreshed::Retried(pair) => {
                        assert_eq!(refresh_of(&pair), refresh_of(&next));
                        access.push(pair.access.expose().to_owned());
                    }
                    Refreshed::RetriedTooOften => assert!(number >= count, "{number}"),
                    other => panic!("{other:?}"),
                }
            }
            let in_force = access.iter().filter(|token| world.is_active(token)).count();
            assert_eq!(in_force, count as usize + 1);
            assert!(world.is_active(refresh_of(&next)), "the family is in force");
            last = next;
        }
        world.clock.advance(Policy::default().refresh_grace);
        rotated(world.refresh(refresh_of(&last)));
    }
}

// Goal: a spent refresh token is reused past the grace period, or once its successor was used, and
// the policy says whether that revokes. Method: both, with either policy; what is told.
#[test]
fn reuse_revokes_or_is_refused() {
    for (on_reuse, revokes) in [(OnReuse::Revoke, true), (OnReuse::Refuse, false)] {
        for used in [true, false] {
            let mut world = World::under(Policy { on_reuse, ..Policy::default() });
            let first = world.pair();
            let mut last = rotated(world.refresh(refresh_of(&first)));
            if used {
                last = rotated(world.refresh(refresh_of(&last)));
            } else {
                world.clock.advance(s(30));
            }
            let mut told = told(&mut world);
            let answer = world.refresh(refresh_of(&first));
            let Refreshed::Reused { family, revoked } = answer else { panic!("{answer:?}") };
            assert_eq!((Some(family), revoked), (first.family, revokes));
            assert_eq!(world.is_active(refresh_of(&last)), !revokes);
            assert!(names(&mut told).contains(&"reused"));
        }
    }
}

// Goal: who refreshes beside the owner, one retry in each generation, is told of, and ended where
// the policy says so: the count of retries does not find them. Method: the owner and a thief in
// turn, for more generations than the limit; a generation without a retry starts anew.
#[test]
fn retries_of_many_generations_in_a_row_are_told() {
    for (are_reuse, max) in [(false, 10), (true, 10), (false, 0)] {
        let mut world = World::under(Policy {
            retried_generations_are_reuse: are_reuse,
            retried_generations_max: max,
            ..Policy::default()
        });
        let mut told = told(&mut world);
        let mut last = world.pair();
        let turn = |world: &World, last: &Issued, retry: bool| {
            let next = rotated(world.refresh(refresh_of(last)));
            world.clock.advance(s(20));
            (retry.then(|| world.refresh(refresh_of(last))), next)
        };
        for round in 0..3 * 5 {
            // Never more than four in a row.
            let (answer, next) = turn(&world, &last, round % 5 != 4);
            answer.map(retried);
            last = next;
        }
        assert!(!names(&mut told).contains(&"retried_in_row"));
        for _ in 0..10 {
            let (answer, next) = turn(&world, &last, true);
            retried(answer.unwrap());
            last = next;
        }
        assert!(!names(&mut told).contains(&"retried_in_row"));
        let (answer, next) = turn(&world, &last, true);
        let names = names(&mut told);
        assert_eq!(names.contains(&"retried_in_row"), max > 0 && !are_reuse, "{names:?}");
        assert_eq!(matches!(answer, Some(Refreshed::Reused { .. })), are_reuse);
        assert_eq!(world.is_active(refresh_of(&next)), !are_reuse);
    }
}

// Goal: processes of one client that share a token all go on, with a count of one less than there
// are of them. Method: eight threads at once on one token, ten generations.
#[test]
fn eight_processes_share_a_token_with_a_count_of_seven() {
    const PROCESSES: usize = 8;
    let world = World::under(Policy {
        refresh_retries: Retries::Count(7),
        retried_generations_max: 0,
        ..Policy::default()
    });
    let mut token = refresh_of(&world.pair()).to_owned();
    for _ in 0..10 {
        let (barrier, pairs) = (Barrier::new(PROCESSES), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..PROCESSES {
                scope.spawn(|| {
                    barrier.wait();
                    let request = RefreshRequest::by(CLIENT);
                    match world.grants.refresh(&token, &request).wait().unwrap() {
                        Refreshed::Rotated(pair) | Refreshed::Retried(pair) => {
                            pairs.lock().unwrap().push(*pair);
                        }
                        other => panic!("{other:?}"),
                    }
                });
            }
        });
        let pairs = pairs.into_inner().unwrap();
        assert_eq!(pairs.len(), PROCESSES);
        assert!(pairs.iter().all(|pair| world.is_active(pair.access.expose())));
        let mut successors: Vec<_> = pairs.iter().map(|pair| refresh_of(pair).to_owned()).collect();
        successors.dedup();
        assert_eq!(successors.len(), 1);
        token = successors.remove(0);
    }
}

// Goal: a refresh answers an access token that is bound to the key of the request, also where the
// family was opened without one; refresh tokens of a client that authenticates are bound to it
// alone, so that it may renew its key, and those of a public one to the key (RFC 8705 sections 6.3
// and 7.1, RFC 9449 section 5). Method: families of both, opened with a key and without, refreshed
// with the key, another, and none.
#[test]
fn access_tokens_are_bound_to_the_key_of_their_request() {
    for authenticated in [false, true] {
        for opened_with in [None, Some(key(1))] {
            let world = World::new();
            let mut presented = presented();
            if let Some(key) = opened_with {
                presented = presented.confirmation(key);
            }
            if authenticated {
                presented = presented.client_authenticated();
            }
            let answer = world.grants.redeem(world.code().expose(), &presented).wait();
            let mut last = granted(answer.unwrap());
            let bound = |pair: &Issued| world.claims(pair.access.expose()).unwrap().confirmation;
            assert_eq!(bound(&last), opened_with);
            let demanded = opened_with.filter(|_| !authenticated);
            for with in [Some(key(1)), Some(key(2)), None] {
                let mut request = RefreshRequest::by(CLIENT);
                if let Some(key) = with {
                    request = request.confirmation(key);
                }
                let answer = world.grants.refresh(refresh_of(&last), &request).wait().unwrap();
                if demanded.is_some() && demanded != with {
                    assert!(matches!(answer, Refreshed::Mismatch(_)), "{answer:?}");
                    continue;
                }
                last = rotated(answer);
                assert_eq!(bound(&last), with);
                assert_eq!(last.token_type, if with.is_some() { "DPoP" } else { "Bearer" });
            }
        }
    }
}

// Goal: a retry that was counted stays counted: P2, over a reopening. Method: on disk, use up the
// count, reopen, and try once more.
#[test]
fn counted_retries_outlive_a_reopening() {
    let disk = crate::disk::OnDisk::new();
    let request = RefreshRequest::by(CLIENT);
    let spent = disk.open(|grants| {
        let pair = grants.open(grantkeep_grants::Grant::new(CLIENT, SUBJECT)).wait().unwrap();
        let spent = refresh_of(&pair).to_owned();
        rotated(grants.refresh(&spent, &request).wait().unwrap());
        for _ in 0..3 {
            retried(grants.refresh(&spent, &request).wait().unwrap());
        }
        spent
    });
    disk.open(|grants| {
        let answer = grants.refresh(&spent, &request).wait().unwrap();
        assert!(matches!(answer, Refreshed::RetriedTooOften), "{answer:?}");
    });
}

// Goal: the events of retries say whose they are. Method: one of each.
#[test]
fn retries_name_client_subject_and_family() {
    let mut world = World::under(Policy { retried_generations_max: 1, ..Policy::default() });
    let mut last = world.pair();
    let mut told = told(&mut world);
    for _ in 0..2 {
        let next = rotated(world.refresh(refresh_of(&last)));
        retried(world.refresh(refresh_of(&last)));
        last = next;
    }
    let events: Vec<Event> = std::iter::from_fn(|| told.try_next()).collect();
    let row = Event::RetriedInRow {
        client: CLIENT.to_owned(),
        subject: SUBJECT.to_owned(),
        family: last.family.unwrap(),
        generations: 2,
    };
    assert_eq!(events.last(), Some(&row));
    assert!(events.iter().filter(|event| event.is_alarming()).count() == 3, "{events:?}");
}
