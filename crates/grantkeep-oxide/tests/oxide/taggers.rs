//! Texts that an injected `TagGrant` makes.

use crate::world::*;
use grantkeep::ErrorKind;
use oxide_auth::primitives::authorizer::Authorizer as _;
use oxide_auth::primitives::generator::{Assertion, AssertionKind, RandomGenerator, TagGrant};
use oxide_auth::primitives::grant::Grant;
use oxide_auth::primitives::issuer::Issuer as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

type Options = grantkeep_oxide::OxideOptions<grantkeep::Embedded>;
type Choose<'a> = &'a dyn Fn(Options) -> Options;

/// The same text so many times, and then another.
struct Repeating(u32, Arc<Mutex<u32>>);

impl TagGrant for Repeating {
    fn tag(&mut self, _: u64, _: &Grant) -> Result<String, ()> {
        let mut count = self.1.lock().unwrap();
        *count += 1;
        Ok(format!("a text of the server's own, number {}", (*count - 1) / self.0))
    }
}

fn bare() -> Grant {
    Grant { extensions: oxide_auth::primitives::grant::Extensions::new(), ..grant(MINUTE) }
}

// Goal: codes and tokens may be made by another's generator, rotate, and are seen when they are
// reused. Method: random ones and signed ones through the life of a grant, reopened each step.
#[test]
fn texts_of_a_tagger_live_like_others() {
    let world = World::new();
    let assertion = || Assertion::new(AssertionKind::HmacSha256, &[7; 32]);
    let random = |options: grantkeep_oxide::OxideOptions<_>| {
        options.taggers(RandomGenerator::new(16), RandomGenerator::new(24)).unwrap()
    };
    let signed = |options: grantkeep_oxide::OxideOptions<_>| {
        options.taggers(assertion(), assertion()).unwrap()
    };
    for (choose, chars) in [(&random as Choose<'_>, 32), (&signed, 44)] {
        let code = world.step_with(choose, |oxide| oxide.authorizer().authorize(bare()).unwrap());
        let issued = world.step_with(choose, |oxide| {
            let grant = oxide.authorizer().extract(&code).unwrap().unwrap();
            oxide.issuer().issue(grant).unwrap()
        });
        assert_eq!(issued.token.len(), chars);
        let first = issued.refresh.unwrap();
        assert_ne!(first, issued.token);
        let refresh = |token: &str| {
            world.step_with(choose, |oxide| {
                let mut issuer = oxide.issuer();
                let grant = issuer.recover_refresh(token).unwrap()?;
                Some(issuer.refresh(token, grant).unwrap())
            })
        };
        let second = refresh(&first).unwrap();
        let again = refresh(&first).unwrap();
        assert_eq!(second.refresh, again.refresh);
        let third = refresh(second.refresh.as_ref().unwrap()).unwrap();
        assert!(world.is_active(&third.token));
        assert!(refresh(&first).is_none());
        assert!(!world.is_active(&third.token) && !world.is_active(&issued.token));
    }
}

// Goal: one text may be a code and a refresh token: each is found as what it is asked for. What is
// issued together is different, or nothing is issued. Method: a tagger that repeats each text
// twice, and one that repeats it three times, with an access token and its refresh token alike.
#[test]
fn one_text_may_be_of_each_kind() {
    for (times, issues) in [(2, true), (3, false)] {
        let world = World::new();
        let count = Arc::new(Mutex::new(0));
        let repeating = || Repeating(times, Arc::clone(&count));
        let choose = |options: grantkeep_oxide::OxideOptions<_>| {
            options.taggers(repeating(), repeating()).unwrap()
        };
        let code = world.step_with(choose, |oxide| oxide.authorizer().authorize(bare()).unwrap());
        let issued = world.step_with(choose, |oxide| {
            let grant = oxide.authorizer().extract(&code).unwrap().unwrap();
            oxide.issuer().issue(grant)
        });
        assert_eq!(issued.is_ok(), issues);
        let Ok(issued) = issued else { continue };
        assert_eq!(issued.refresh.as_ref(), Some(&code));
        let refresh = world.step_with(choose, |oxide| oxide.issuer().recover_refresh(&code));
        assert!(refresh.unwrap().is_some());
        // The code again: everything of it ends.
        world.step_with(choose, |oxide| assert_eq!(oxide.authorizer().extract(&code), Ok(None)));
        assert!(!world.is_active(&code));
    }
}

// Goal: a tagger that repeats itself, or makes too short a text, or none, issues nothing, and the
// error is told. Method: each.
#[test]
fn a_bad_tagger_issues_nothing() {
    struct Same(&'static str);
    impl TagGrant for Same {
        fn tag(&mut self, _: u64, _: &Grant) -> Result<String, ()> {
            if self.0.is_empty() { Err(()) } else { Ok(self.0.to_owned()) }
        }
    }
    for (text, issues, kind) in [
        ("YOLO.HowBadCanItBeToRepeatTokens?", 1, ErrorKind::Limit),
        ("too short", 0, ErrorKind::Limit),
        ("", 0, ErrorKind::Unavailable),
    ] {
        let world = World::new();
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let choose = |options: grantkeep_oxide::OxideOptions<_>| {
            let options = options.taggers(Same(text), Same(text)).unwrap();
            options.on_error(move |error| {
                assert!(!format!("{error} {error:?}").contains("YOLO"));
                tell.lock().unwrap().push(error.kind());
            })
        };
        world.step_with(choose, |oxide| {
            let authorized = [0, 1].map(|_| oxide.authorizer().authorize(bare()).is_ok());
            assert_eq!(authorized, [issues > 0, false]);
        });
        assert_eq!(told.lock().unwrap().last(), Some(&kind));
    }
}
