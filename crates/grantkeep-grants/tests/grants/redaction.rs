//! P9: no token text in what is printed or reported.

use crate::world::*;
use grantkeep::Wait;
use grantkeep_grants::{ClientCredentials, Grant, Introspection, NewPersonal, RefreshRequest};
use std::fmt::Write as _;

// Goal: P9, the Debug output of no public type, and no error, holds a token, a verifier, a plain
// challenge, or a payload. Method: print everything that was near one, and search.
#[test]
fn nothing_printed_holds_a_secret() {
    let world = World::new();
    let payload = b"payload-as-bytes";
    let mut printed = String::new();
    let mut secrets = vec![VERIFIER.to_owned(), format!("{payload:?}").replace(['[', ']'], "")];
    let request = authorize().pkce_plain(VERIFIER).payload(payload);
    write!(printed, "{request:?}").unwrap();
    let code = world.grants.authorize(authorize().payload(payload)).wait().unwrap();
    write!(printed, "{code:?} {:?}", presented()).unwrap();
    secrets.push(code.expose().to_owned());
    let row = world.grants.store().find::<grantkeep::Code>(code.expose().as_bytes()).wait();
    write!(printed, "{:?}", row.unwrap().unwrap().record.payload).unwrap();
    let redeemed = world.redeem(&code);
    write!(printed, "{redeemed:?}").unwrap();
    let pair = granted(redeemed);
    secrets.extend([pair.access.expose().to_owned(), refresh_of(&pair).to_owned()]);
    let refreshed = world.refresh(refresh_of(&pair));
    write!(printed, "{refreshed:?} {:?}", RefreshRequest::by(CLIENT)).unwrap();
    let next = rotated(refreshed);
    secrets.extend([next.access.expose().to_owned(), refresh_of(&next).to_owned()]);
    for token in [next.access.expose(), refresh_of(&next)] {
        let answer = world.grants.introspect(token).wait().unwrap();
        assert!(matches!(answer, Introspection::Active(_)));
        write!(printed, "{answer:?}").unwrap();
    }
    let request = ClientCredentials::new(CLIENT);
    let issued = world.grants.client_credentials(request.clone()).wait().unwrap();
    write!(printed, "{request:?} {issued:?}").unwrap();
    secrets.push(issued.access.expose().to_owned());
    let (new, grant) = (NewPersonal::new(SUBJECT, "x").payload(payload), Grant::new(CLIENT, "b"));
    write!(printed, "{new:?} {:?}", grant.payload(payload)).unwrap();
    let personal = world.grants.create_personal(new).wait().unwrap();
    write!(printed, "{personal:?}").unwrap();
    secrets.push(personal.token.expose().to_owned());
    let families = world.grants.families_of(SUBJECT, None, 10).wait().unwrap();
    let personals = world.grants.personal_of(SUBJECT, None, 10).wait().unwrap();
    write!(printed, "{families:?} {personals:?} {:?}", world.grants).unwrap();
    let over = "s3cret".repeat(2_000);
    secrets.push(over.clone());
    for error in [
        world.grants.redeem(&over, &presented()).wait().unwrap_err(),
        world.grants.refresh(&over, &RefreshRequest::by(CLIENT)).wait().unwrap_err(),
    ] {
        write!(printed, "{error} {error:?}").unwrap();
    }
    for words in [SUBJECT, "Secret", "Presented { client", "redirect_uri"] {
        assert!(printed.contains(words), "{words} was not printed");
    }
    for secret in secrets {
        assert!(!printed.contains(&secret));
    }
}
