//! Every grant there is, once: what the four systems do not have as well.

use super::Stop;
use super::tally::Tally;
use grantkeep::{Burned, Store, Wait as _};
use grantkeep_grants::{
    Authenticated, Authorize, ClientCredentials, Creation, DeviceApproval, DeviceRequest, Events,
    Grant, GrantType, Grants, Introspection, Issued, Minter, MinterError, Minting, NewClient,
    NewPersonal, NewSecret, Once, Policy, Polled, Presented, Redeemed, RefreshRequest, Refreshed,
    Secret, Taken, Verified, proof,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

type Played = Grants<grantkeep::Embedded>;

/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT: &str = "https://app.example/callback";
const APP: &str = "demo-app";
const API: &str = "https://api.example";

/// Plays each grant on the default policy.
pub(crate) fn play(store: &Store, tally: &mut Tally) -> Result<(), Stop> {
    println!("\nEvery grant");
    let events = Events::new();
    let mut told = events.subscribe(1_000);
    let grants = Grants::new(store.clone(), Policy::default())?.with_events(events);
    clients(&grants, tally)?;
    bound_code(&grants, tally)?;
    one_click(&grants, tally)?;
    pushed(&grants, tally)?;
    device(&grants, tally)?;
    personal(&grants, tally)?;
    for_the_client_itself(&grants, tally)?;
    replay_guard(&grants, tally)?;
    brought_texts(store, tally)?;
    revocation(&grants, tally)?;
    disabled_client(&grants, tally)?;
    let mut count = 0;
    while told.try_next().is_some() {
        count += 1;
    }
    tally.promise(format!("{count} events were told of all this"), count > 10);
    Ok(())
}

/// RFC 6749 section 2: registered, authenticated, its secret rolled over.
fn clients(grants: &Played, tally: &mut Tally) -> Result<(), Stop> {
    // On a directory that is kept the client may be there from an earlier run.
    grants.delete_client(APP).wait()?;
    let new = NewClient::confidential(APP)
        .name("Demonstration")
        .redirect_uri(REDIRECT)
        .grants([
            GrantType::AuthorizationCode,
            GrantType::RefreshToken,
            GrantType::ClientCredentials,
        ])
        .scopes(["read", "write"]);
    let Creation::Created(made) = grants.create_client(new).wait()? else {
        return Err("the client's id is taken".into());
    };
    let old = made.secret.ok_or("a confidential client has a secret")?;
    let added = grants.add_client_secret(APP, NewSecret::minted()).wait()?;
    let new = added.and_then(|added| added.secret).ok_or("a second secret was not minted")?;
    let knows = |secret: &Secret| -> Result<bool, Stop> {
        let answer = grants.authenticate_client(APP, Some(secret.expose().as_bytes())).wait()?;
        Ok(matches!(answer, Authenticated::Client(_)))
    };
    let both = knows(&old)? && knows(&new)?;
    for secret in &made.client.secrets {
        grants.remove_client_secret(APP, secret.id).wait()?;
    }
    let one = !knows(&old)? && knows(&new)?;
    tally.promise("a client's secret is rolled over: both hold, then the new one", both && one);
    let client = grants.client(APP).wait()?.ok_or("the client is gone")?;
    let refused = client.redirect(Some("https://evil.example")).is_err()
        && client.permits(GrantType::Password).is_err()
        && client.narrow(Some("read admin")).is_err();
    tally.promise("it gets no other redirect URI, grant, or scope than its own", refused);
    Ok(())
}

/// RFC 6749 section 4.1 with PKCE, bound to a key and an audience.
fn bound_code(grants: &Played, tally: &mut Tally) -> Result<(), Stop> {
    let key = proof::jkt("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")?;
    let request = Authorize::new(APP, "alice")
        .redirect_uri(REDIRECT)
        .scopes(["read", "write"])
        .audience([API, "https://other.example"])
        .pkce_s256(CHALLENGE)
        .confirmation(key)
        .sealed_payload(b"claims");
    let code = grants.authorize(request).wait()?;
    let right = Presented::by(APP)
        .redirect_uri(REDIRECT)
        .verifier(VERIFIER)
        .audience(&[API])
        .confirmation(key);
    let without_proof = Presented::by(APP).redirect_uri(REDIRECT).verifier(VERIFIER);
    let refused = grants.redeem(code.expose(), &without_proof).wait()?;
    let pair = granted(grants.redeem(code.expose(), &right).wait()?)?;
    let claims = claims(grants, &pair.access)?.ok_or("a new token is inactive")?;
    let bound = matches!(refused, Redeemed::Mismatch(_))
        && pair.token_type == "DPoP"
        && claims.is_confirmed_by(Some(&key))
        && !claims.is_confirmed_by(None)
        && claims.is_for(API)
        && !claims.is_for("https://other.example");
    tally.promise("a code with PKCE, bound to a key and an audience", bound);
    let payload = grants.payload(&claims, pair.access.expose())?;
    tally.promise("what was sealed opens with the token", payload.as_deref() == Some(b"claims"));
    let refresh = pair.refresh.ok_or("a pair came without its refresh token")?;
    let narrow = RefreshRequest::by(APP).scopes(["read"]).confirmation(key);
    let narrowed = rotated(grants.refresh(refresh.expose(), &narrow).wait()?)?;
    let next = narrowed.refresh.ok_or("a pair came without its refresh token")?;
    let all = RefreshRequest::by(APP).confirmation(key);
    let whole = rotated(grants.refresh(next.expose(), &all).wait()?)?;
    let sticks = narrowed.scopes.as_str() == "read" && whole.scopes.as_str() == "read write";
    tally.promise("a narrowed scope is for one access token only", sticks);
    Ok(())
}

/// A code that the provider starts by itself: no request, no state, no redirect URI to repeat.
fn one_click(grants: &Played, tally: &mut Tally) -> Result<(), Stop> {
    let code = grants.authorize(Authorize::new(APP, "bob").scopes(["read"])).wait()?;
    let pair = granted(grants.redeem(code.expose(), &Presented::by(APP)).wait()?)?;
    tally.promise("a one-click code, started by the provider", is_active(grants, &pair.access)?);
    Ok(())
}

/// RFC 9126.
fn pushed(grants: &Played, tally: &mut Tally) -> Result<(), Stop> {
    let pushed = grants.push(APP, b"response_type=code&scope=read").wait()?;
    let uri = pushed.request_uri.expose();
    let first = grants.take_pushed(uri, APP).wait()?;
    let again = grants.take_pushed(uri, APP).wait()?;
    let once = matches!(first, Taken::Request(_)) && matches!(again, Taken::Used);
    tally.promise("a pushed authorization request, taken once", once);
    Ok(())
}

/// RFC 8628.
fn device(grants: &Played, tally: &mut Tally) -> Result<(), Stop> {
    let ask = || grants.device(DeviceRequest::new("tv").scopes(["watch", "buy"])).wait();
    let poll = |code: &Secret| grants.poll_device(code.expose(), &Presented::by("tv")).wait();
    let (wanted, unwanted) = (ask()?, ask()?);
    let pending = matches!(poll(&wanted.device_code)?, Polled::Pending);
    let hasty = matches!(poll(&wanted.device_code)?, Polled::SlowDown);
    tally.promise("a device that waits is pending, and told to slow down", pending && hasty);
    let typed = wanted.user_code.expose().to_lowercase();
    let approval = DeviceApproval::by("carol").scopes(["watch"]);
    let done = grants.approve_device(&typed, &approval).wait()? == Verified::Done;
    let denied = grants.deny_device(unwanted.user_code.expose()).wait()? == Verified::Done
        && matches!(poll(&unwanted.device_code)?, Polled::Denied);
    let Polled::Granted(pair) = poll(&wanted.device_code)? else {
        return Err("an approved device was not granted".into());
    };
    let narrowed = pair.scopes.as_str() == "watch" && is_active(grants, &pair.access)?;
    tally.promise(
        "one device is approved with fewer scopes, one denied",
        done && denied && narrowed,
    );
    let Polled::Granted(again) = poll(&wanted.device_code)? else {
        return Err("a lost answer to a device was not repeated".into());
    };
    let same = again.family == pair.family && !is_active(grants, &pair.access)?;
    tally.promise("a lost answer to it is repeated: one grant, one access token", same);
    let refresh = again.refresh.as_ref().map(Secret::expose).unwrap_or_default();
    let used = grants.refresh(refresh, &RefreshRequest::by("tv")).wait()?;
    let replayed = matches!(poll(&wanted.device_code)?, Polled::Replayed { .. });
    let ended = matches!(used, Refreshed::Rotated(_)) && !is_active(grants, &again.access)?;
    tally.promise("polled again once it was used, it ends its grant", replayed && ended);
    Ok(())
}

fn personal(grants: &Played, tally: &mut Tally) -> Result<(), Stop> {
    let name = "a laptop of the demonstration";
    let new = NewPersonal::new("demo-dave", name).scopes(["read"]);
    let made = grants.create_personal(new).wait()?;
    let listed = || grants.personal_of("demo-dave", None, 100).wait();
    let item = |items: &[grantkeep_grants::PersonalInForce]| {
        items.iter().find(|item| item.id == made.id).map(|item| item.last_used_at)
    };
    let unused = item(&listed()?.items) == Some(None);
    let used = is_active(grants, &made.token)? && item(&listed()?.items).flatten().is_some();
    grants.revoke_personal("demo-dave", made.id).wait()?;
    let gone = item(&listed()?.items).is_none() && !is_active(grants, &made.token)?;
    tally.promise("a personal token: named, listed, last used, revoked", unused && used && gone);
    Ok(())
}

/// RFC 6749 sections 4.3 and 4.4.
fn for_the_client_itself(grants: &Played, tally: &mut Tally) -> Result<(), Stop> {
    let ask = || grants.client_credentials(ClientCredentials::new(APP).scopes(["read"])).wait();
    let (one, other) = (ask()?, ask()?);
    let both = is_active(grants, &one.access)? && is_active(grants, &other.access)?;
    tally.promise("client credentials, several live at once", both);
    let pair = grants.open(Grant::new(APP, "erin").scopes(["read"])).wait()?;
    tally.promise("a password grant", is_active(grants, &pair.access)?);
    Ok(())
}

fn replay_guard(grants: &Played, tally: &mut Tally) -> Result<(), Stop> {
    let now = SystemTime::from(grants.store().wall());
    let jti = format!("jti {}", now.duration_since(SystemTime::UNIX_EPOCH)?.as_nanos());
    let burn = || grants.burn(Once::jti(APP, &jti), now + Duration::from_secs(60)).wait();
    let first_only = burn()? == Burned::First && burn()? == Burned::Seen;
    tally.promise("a `jti` counts once", first_only);
    Ok(())
}

/// A server that makes its own texts: long, and all starting with the same bytes.
#[derive(Debug)]
struct Encrypting {
    made: AtomicU64,
    run: u128,
}

impl Minter for Encrypting {
    fn mint(&self, _: &Minting<'_>) -> Result<Option<String>, MinterError> {
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        let tail = format!("{:032x}{made:016x}", self.run);
        Ok(Some("def50200".repeat(494) + &tail))
    }
}

fn brought_texts(store: &Store, tally: &mut Tally) -> Result<(), Stop> {
    let run = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
    let minter = Arc::new(Encrypting { made: AtomicU64::new(0), run });
    let grants = Grants::new(store.clone(), Policy::default())?.with_minter(minter);
    let pair = grants.open(Grant::new(APP, "frank")).wait()?;
    let text = pair.access.expose();
    let exact = text.len() == 4_000
        && is_active(&grants, &pair.access)?
        && matches!(introspect(&grants, &text[..text.len() - 1])?, Introspection::Inactive);
    tally.promise("a text of 4,000 characters that the server made, exact to the byte", exact);
    let first = pair.refresh.ok_or("a pair came without its refresh token")?;
    let request = RefreshRequest::by(APP);
    let second = rotated(grants.refresh(first.expose(), &request).wait()?)?;
    let next = second.refresh.ok_or("a pair came without its refresh token")?;
    let third = rotated(grants.refresh(next.expose(), &request).wait()?)?;
    let reused = grants.refresh(first.expose(), &request).wait()?;
    let ended = matches!(reused, Refreshed::Reused { .. }) && !is_active(&grants, &third.access)?;
    tally.promise("and its refresh tokens rotate, with reuse detected", ended);
    Ok(())
}

/// RFC 7009.
fn revocation(grants: &Played, tally: &mut Tally) -> Result<(), Stop> {
    let pair = grants.open(Grant::new(APP, "demo-grace")).wait()?;
    let listed = grants.families_of("demo-grace", None, 100).wait()?.items;
    let shown = listed.iter().any(|grant| Some(grant.family) == pair.family);
    let refresh = pair.refresh.as_ref().ok_or("a pair came without its refresh token")?;
    grants.revoke(refresh.expose()).wait()?;
    grants.revoke("a text that nobody was ever issued").wait()?;
    let gone = !is_active(grants, &pair.access)? && !is_active(grants, refresh)?;
    tally.promise("a refresh token is revoked with its family", shown && gone);
    Ok(())
}

fn disabled_client(grants: &Played, tally: &mut Tally) -> Result<(), Stop> {
    let pair = grants.open(Grant::new(APP, "heidi")).wait()?;
    grants.disable_client(APP).wait()?;
    let refused = grants.open(Grant::new(APP, "heidi")).wait().is_err();
    let ended = !is_active(grants, &pair.access)?;
    tally.promise("a disabled client has nothing, and is issued nothing", refused && ended);
    Ok(())
}

fn granted(answer: Redeemed) -> Result<Issued, Stop> {
    match answer {
        Redeemed::Granted(pair) => Ok(*pair),
        other => Err(format!("a fresh code was answered {other:?}"))?,
    }
}

fn rotated(answer: Refreshed) -> Result<Issued, Stop> {
    match answer {
        Refreshed::Rotated(pair) => Ok(*pair),
        other => Err(format!("a refresh was answered {other:?}"))?,
    }
}

fn introspect(grants: &Played, token: &str) -> Result<Introspection, Stop> {
    Ok(grants.introspect(token).wait()?)
}

fn claims(grants: &Played, token: &Secret) -> Result<Option<grantkeep_grants::Claims>, Stop> {
    Ok(match introspect(grants, token.expose())? {
        Introspection::Active(claims) => Some(*claims),
        Introspection::Inactive => None,
    })
}

fn is_active(grants: &Played, token: &Secret) -> Result<bool, Stop> {
    Ok(claims(grants, token)?.is_some())
}
