//! What oxide-auth's own suites ask of an authorizer and of an issuer, in our words.

use crate::world::*;
use chrono::TimeDelta;
use grantkeep::{Confirmation, ErrorKind, Wait};
use grantkeep_grants::{Claimed, Completed, Completion, GrantType, NewClient};
use oxide_auth::primitives::authorizer::Authorizer;
use oxide_auth::primitives::grant::Grant;
use oxide_auth::primitives::issuer::Issuer;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

// Goal: P3, P7, a code gives back its grant exactly, once, also where the grant's time is now or
// past, and no two codes are alike. Method: grants to the nanosecond, each in its own steps.
#[test]
fn an_authorizer_gives_a_grant_back_once() {
    let world = World::new();
    let past = grant(Duration::ZERO);
    let past = Grant { until: past.until - TimeDelta::nanoseconds(3_600_000_000_001), ..past };
    for grant in [grant(MINUTE), grant(Duration::ZERO), past] {
        let code = world.step(|oxide| oxide.authorizer().authorize(grant.clone()).unwrap());
        let found = world.step(|oxide| oxide.authorizer().extract(&code).unwrap());
        assert_eq!(found, Some(grant.clone()));
        world.step(|oxide| assert_eq!(oxide.authorizer().extract(&code), Ok(None)));
        let other = world.step(|oxide| oxide.authorizer().authorize(grant).unwrap());
        assert_ne!(code, other);
    }
    world.step(|oxide| {
        for text in ["", "x", &"x".repeat(100), &"x".repeat(9_000)] {
            assert_eq!(oxide.authorizer().extract(text), Ok(None));
        }
    });
}

// Goal: a code that the policy has ended is not extracted as one that lasts. Method: a grant that
// lasts a minute, under a policy of one second.
#[test]
fn the_policy_bounds_a_code() {
    let policy = grantkeep_grants::Policy {
        code_lifetime: Duration::from_secs(1),
        code_lifetime_max: Duration::from_secs(1),
        ..grantkeep_grants::Policy::default()
    };
    let clock = Arc::new(grantkeep::ManualClock::at(std::time::SystemTime::now()));
    let store = grantkeep::Store::in_memory(clock.clone()).unwrap();
    let grants = grantkeep_grants::Grants::new(store, policy).unwrap();
    let oxide = grantkeep_oxide::Oxide::new(grants);
    let code = oxide.authorizer().authorize(grant(MINUTE)).unwrap();
    clock.advance(Duration::from_secs(1));
    assert_eq!(oxide.authorizer().extract(&code), Ok(None));
    let short = grant(Duration::from_millis(1_500));
    let code = oxide.authorizer().authorize(short.clone()).unwrap();
    clock.advance(Duration::from_secs(2));
    assert_eq!(oxide.authorizer().extract(&code), Ok(Some(short)), "the flow judges it");
}

// Goal: P7, tokens stand for the grant they were issued for, and no two of any kind are alike.
// Method: two issues; recover them in a store that was reopened.
#[test]
fn an_issuer_gives_grants_back() {
    let world = World::new();
    let request = grant(MINUTE);
    let issue = || {
        world.step_with(
            |options| options.refresh_without_code(true),
            |oxide| oxide.issuer().issue(request.clone()).unwrap(),
        )
    };
    let (one, two) = (issue(), issue());
    let texts = [&one, &two].map(|issued| [issued.token.clone(), issued.refresh.clone().unwrap()]);
    let mut texts = texts.concat();
    for text in &texts[..] {
        let found = world.step(|oxide| {
            let issuer = oxide.issuer();
            let access = issuer.recover_token(text).unwrap();
            let refresh = issuer.recover_refresh(text).unwrap();
            assert_ne!(access.is_some(), refresh.is_some());
            access.or(refresh).unwrap()
        });
        assert!(std::time::SystemTime::from(found.until) > std::time::SystemTime::now());
        assert_eq!(found, Grant { until: found.until, ..request.clone() });
    }
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 4);
    let next = world.step(|oxide| {
        let refresh = one.refresh.as_ref().unwrap();
        oxide.issuer().refresh(refresh, request.clone()).unwrap()
    });
    assert!(next.refresh.is_some() && next.refresh != one.refresh);
}

// Goal: without room a code is not burnt. Method: room for one claim; extract two codes; issue for
// the first, and extract the second again.
#[test]
fn without_room_a_code_is_not_burnt() {
    let world = World::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let choose = |options: grantkeep_oxide::OxideOptions<_>| {
        options.claims_max(1).on_error(move |error| tell.lock().unwrap().push(error.kind()))
    };
    world.step_with(choose, |oxide| {
        let (mut authorizer, mut issuer) = (oxide.authorizer(), oxide.issuer());
        let [first, second] = [0, 1].map(|_| authorizer.authorize(grant(MINUTE)).unwrap());
        assert_eq!(authorizer.extract("unknown, and long enough"), Ok(None), "it takes no room");
        let found = authorizer.extract(&first).unwrap().unwrap();
        assert_eq!(authorizer.extract(&second), Err(()));
        issuer.issue(found).unwrap();
        let found = authorizer.extract(&second).unwrap().unwrap();
        issuer.issue(found).unwrap();
    });
    assert_eq!(*told.lock().unwrap(), [ErrorKind::Unavailable]);
}

// Goal: an error of the store is an error of the primitive, and is told. Method: a closed store;
// an owner without a name; a payload that is too large.
#[test]
fn errors_are_told() {
    let world = World::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let choose = |options: grantkeep_oxide::OxideOptions<_>| {
        options.on_error(move |error| tell.lock().unwrap().push(error.kind()))
    };
    world.step_with(choose, |oxide| {
        use oxide_auth::primitives::registrar::{Registrar as _, RegistrarError};
        let nobody = Grant { owner_id: String::new(), ..grant(MINUTE) };
        assert!(oxide.authorizer().authorize(nobody).is_err());
        let mut large = grant(MINUTE);
        let value = oxide_auth::primitives::grant::Value::private(Some("x".repeat(16 * 1024)));
        large.extensions.set_raw("large".to_owned(), value);
        assert!(oxide.authorizer().authorize(large).is_err());
        let code = oxide.authorizer().authorize(grant(MINUTE)).unwrap();
        oxide.grants().store().close().unwrap();
        assert!(oxide.authorizer().extract(&code).is_err());
        let check = oxide.registrar().check(CLIENT, Some(SECRET.as_bytes()));
        if let Err(error) = check {
            assert!(matches!(error, RegistrarError::PrimitiveError));
        }
        assert!(format!("{oxide:?} {:?}", oxide.issuer()).contains("Core"));
    });
    assert_eq!(told.lock().unwrap()[..2], [ErrorKind::Limit, ErrorKind::Limit]);
    assert!(told.lock().unwrap()[2..].contains(&ErrorKind::Unavailable));
}

// Goal: a token that is bound to a key, or was issued elsewhere, is not one that these traits can
// accept. Method: grants of the store itself.
#[test]
fn tokens_of_others_are_not_recovered() {
    let world = World::new();
    world.step(|oxide| {
        let grants = oxide.grants();
        let plain = grants.open(grantkeep_grants::Grant::new(CLIENT, OWNER)).wait().unwrap();
        let issuer = oxide.issuer();
        assert_eq!(issuer.recover_token(plain.access.expose()), Ok(None));
        let refresh = plain.refresh.unwrap();
        assert_eq!(issuer.recover_refresh(refresh.expose()), Ok(None));
        let code = oxide.authorizer().authorize(grant(MINUTE)).unwrap();
        let Claimed::Grant(claimed) = grants.claim(&code).wait().unwrap() else { panic!() };
        let bound = Completion::by(CLIENT).confirmation(Confirmation::Jkt([1; 32]));
        let completed = grants.complete(claimed.family.unwrap(), &bound).wait().unwrap();
        let Completed::Granted(pair) = completed else { panic!() };
        assert_eq!(issuer.recover_token(pair.access.expose()), Ok(None));
        // This client authenticates: its refresh tokens are bound to it alone.
        assert!(issuer.recover_refresh(pair.refresh.unwrap().expose()).unwrap().is_some());
        let new = grantkeep_grants::NewPersonal::new(OWNER, "laptop");
        let personal = grants.create_personal(new).wait().unwrap();
        assert_eq!(issuer.recover_token(personal.token.expose()), Ok(None));
    });
}

// Goal: no code is made for a client that is not registered for codes, or whose redirect URI is not
// known (RFC 6749 sections 3.1.2.3 and 5.2). Method: the authorization flow without a redirect URI,
// for a client of its own, and for one of both grant types that has several; a grant to each.
#[test]
fn no_code_goes_nowhere() {
    let world = World::new();
    world.step(|oxide| {
        let both = [GrantType::AuthorizationCode, GrantType::ClientCredentials];
        let several = NewClient::confidential("several").scopes(["read"]).grants(both);
        let several = several.redirect_uri(REDIRECT).redirect_uri("https://app.example/other");
        oxide.grants().create_client(several).wait().unwrap();
        for client in ["machine", "several"] {
            let answer = authorize(oxide, client, &[]);
            let code = answer.ok().and_then(|response| response.location);
            assert!(code.is_none_or(|url| !url.as_str().contains("code=")), "{client}");
        }
        assert!(authorize(oxide, "several", &[("redirect_uri", REDIRECT)]).is_ok());
        let mine = Grant { client_id: "machine".to_owned(), ..grant(MINUTE) };
        assert_eq!(oxide.authorizer().authorize(mine), Err(()));
    });
}

// Goal: a grant whose claim is not remembered is issued nothing, unless client credentials are
// chosen: nobody else's token comes of a code. Method: extract, and issue in another process.
#[test]
fn a_forgotten_claim_leads_nowhere() {
    let world = World::new();
    let choose = |options: grantkeep_oxide::OxideOptions<_>| options;
    let found = world.step_with(choose, |oxide| {
        let code = oxide.authorizer().authorize(grant(MINUTE)).unwrap();
        oxide.authorizer().extract(&code).unwrap().unwrap()
    });
    assert!(world.step_with(choose, |oxide| oxide.issuer().issue(found.clone())).is_err());
    // Not even then: this client is not registered for it.
    assert!(world.step(|oxide| oxide.issuer().issue(found)).is_err());
}

// Goal: an `issue` that is cut loses no claim: whatever a retry answers is of the code's family, or
// nothing. Method: poll once and drop, with a client that may use both grant types; try again; the
// code again, and whatever was issued is over.
#[test]
#[cfg(feature = "async")]
fn a_cut_issue_loses_no_claim() {
    use oxide_auth_async::primitives::{Authorizer as _, Issuer as _};
    use std::future::Future as _;
    let world = World::new();
    world.step(|oxide| {
        let both = [GrantType::AuthorizationCode, GrantType::ClientCredentials];
        let client = NewClient::confidential("both").redirect_uri(REDIRECT).grants(both);
        oxide.grants().create_client(client.scopes(["one", "two", "three"])).wait().unwrap();
        for _ in 0..20 {
            let mine = Grant { client_id: "both".to_owned(), ..grant(MINUTE) };
            let code = oxide.async_authorizer().authorize(mine).wait().unwrap();
            let found = oxide.async_authorizer().extract(&code).wait().unwrap().unwrap();
            let mut issuer = oxide.async_issuer();
            {
                let mut cut = std::pin::pin!(issuer.issue(found.clone()));
                let waker = std::task::Waker::noop();
                let _ = cut.as_mut().poll(&mut std::task::Context::from_waker(waker));
            }
            let retried = issuer.issue(found).wait();
            assert_eq!(oxide.async_authorizer().extract(&code).wait(), Ok(None));
            let dead = |token: &str| {
                let answer = oxide.grants().introspect(token).wait().unwrap();
                assert!(matches!(answer, grantkeep_grants::Introspection::Inactive));
            };
            if let Ok(issued) = retried {
                dead(&issued.token);
            }
        }
    });
}
