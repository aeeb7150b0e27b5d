//! What happens to a replayed code, a reused refresh token, and many who want the same.

use super::Stop;
use super::tally::Tally;
use grantkeep::{Store, Wait as _};
use grantkeep_grants::{
    Authorize, Grants, Introspection, Issued, Presented, Profile, Redeemed, RefreshRequest,
    Refreshed, Secret,
};

const CLIENT: &str = "vendor";
const RACERS: usize = 32;

/// Plays the rules on the policy of Hospitable, the longest tokens of the four.
pub(crate) fn play(store: &Store, tally: &mut Tally) -> Result<(), Stop> {
    let grants = Grants::new(store.clone(), Profile::hospitable()?)?;
    println!("\nThe rules");
    replayed_code(&grants, tally)?;
    reused_refresh_token(&grants, tally)?;
    race_for_a_code(&grants, tally)?;
    revoked_subject(&grants, tally)
}

type Played = Grants<grantkeep::Embedded>;

fn replayed_code(grants: &Played, tally: &mut Tally) -> Result<(), Stop> {
    let (code, pair) = granted(grants, "alice")?;
    let again = grants.redeem(code.expose(), &Presented::by(CLIENT)).wait()?;
    tally.promise("a code presented again is refused", matches!(again, Redeemed::Replayed { .. }));
    tally.promise("and what its first use produced is revoked", !active(grants, &pair.access)?);
    Ok(())
}

fn reused_refresh_token(grants: &Played, tally: &mut Tally) -> Result<(), Stop> {
    let (_, first) = granted(grants, "bob")?;
    let second = rotated(grants, &first)?;
    let retried = refresh(grants, &first)?;
    let same = match (&retried, &second.refresh) {
        (Refreshed::Retried(pair), Some(known)) => {
            pair.refresh.as_ref().is_some_and(|again| again.expose() == known.expose())
        }
        _ => false,
    };
    tally.promise("a refresh whose answer was lost is answered the same successor", same);
    let third = rotated(grants, &second)?;
    let reused = refresh(grants, &first)?;
    tally.promise("an older refresh token is reuse", matches!(reused, Refreshed::Reused { .. }));
    tally.promise("and the whole family is revoked", !active(grants, &third.access)?);
    Ok(())
}

fn race_for_a_code(grants: &Played, tally: &mut Tally) -> Result<(), Stop> {
    let code = grants.authorize(Authorize::new(CLIENT, "carol")).wait()?;
    let answers: Vec<_> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..RACERS)
            .map(|_| scope.spawn(|| grants.redeem(code.expose(), &Presented::by(CLIENT)).wait()))
            .collect();
        racers.into_iter().filter_map(|racer| racer.join().ok()).collect()
    });
    let mut granted = 0;
    for answer in answers {
        granted += usize::from(matches!(answer?, Redeemed::Granted(_)));
    }
    tally
        .promise(format!("of {RACERS} who present one code at once, one is granted"), granted == 1);
    Ok(())
}

fn revoked_subject(grants: &Played, tally: &mut Tally) -> Result<(), Stop> {
    let (_, first) = granted(grants, "dave")?;
    let (_, second) = granted(grants, "dave")?;
    grants.revoke_subject("dave").wait()?;
    let none = !active(grants, &first.access)? && !active(grants, &second.access)?;
    tally.promise("revoking a subject revokes all of it in one write", none);
    let (_, fresh) = granted(grants, "dave")?;
    tally.promise("and what is issued afterwards is in force", active(grants, &fresh.access)?);
    Ok(())
}

fn granted(grants: &Played, subject: &str) -> Result<(Secret, Issued), Stop> {
    let code = grants.authorize(Authorize::new(CLIENT, subject).scopes(["read"])).wait()?;
    match grants.redeem(code.expose(), &Presented::by(CLIENT)).wait()? {
        Redeemed::Granted(pair) => Ok((code, *pair)),
        other => Err(format!("a fresh code was answered {other:?}"))?,
    }
}

fn refresh(grants: &Played, pair: &Issued) -> Result<Refreshed, Stop> {
    let token = pair.refresh.as_ref().ok_or("a pair came without its refresh token")?;
    Ok(grants.refresh(token.expose(), &RefreshRequest::by(CLIENT)).wait()?)
}

fn rotated(grants: &Played, pair: &Issued) -> Result<Issued, Stop> {
    match refresh(grants, pair)? {
        Refreshed::Rotated(next) => Ok(*next),
        other => Err(format!("a refresh was answered {other:?}"))?,
    }
}

fn active(grants: &Played, token: &Secret) -> Result<bool, Stop> {
    Ok(matches!(grants.introspect(token.expose()).wait()?, Introspection::Active(_)))
}
