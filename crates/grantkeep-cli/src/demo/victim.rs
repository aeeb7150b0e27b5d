//! The process that is killed: it works until the end, and says what was acknowledged.

use super::MARK_FILE;
use crate::clock::MovedClock;
use grantkeep::{Error, ErrorKind, Result, Wait as _};
use grantkeep_grants::{
    Authorize, Grants, Issued, Presented, Profile, Redeemed, RefreshRequest, Refreshed,
};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

/// Callers at work at the same time.
const CALLERS: usize = 8;
pub(crate) const CLIENT: &str = "victim";

/// Works on the store in `dir` until it is killed, or nobody reads its ledger any more.
///
/// Each line names what was acknowledged before it was written (`issued`, `spent`, `rotated`,
/// `revoked`) or is about to be asked for (`revoking`), and the token that tells.
pub(crate) fn run(dir: &Path, ahead_ms: u64) -> Result<()> {
    if !dir.join(MARK_FILE).exists() {
        return Err(Error::new(
            ErrorKind::NotAStore,
            format!("{} was not made for a demonstration that goes on", dir.display()),
        ));
    }
    let clock = Arc::new(MovedClock::new(ahead_ms));
    let store = super::options(&clock).create(false).open(dir)?;
    let grants = Grants::new(store, Profile::rest_api_v1()?)?;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(|| work(&grants))).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect::<Result<Vec<()>>>()
    })?;
    Ok(())
}

fn work(grants: &Grants<grantkeep::Embedded>) -> Result<()> {
    for number in 0_u64.. {
        let code = grants.authorize(Authorize::new(CLIENT, "alice")).wait()?;
        let Redeemed::Granted(pair) =
            grants.redeem(code.expose(), &Presented::by(CLIENT)).wait()?
        else {
            continue;
        };
        let mut lines = format!("spent {}\n", code.expose());
        note(&mut lines, "issued", &pair);
        if !say(&lines) {
            return Ok(());
        }
        let mut lines = String::new();
        match number % 3 {
            0 => {
                // Said before as well: whether it has happened when the process dies is open.
                let mut before = String::new();
                note(&mut before, "revoking", &pair);
                if !say(&before) {
                    return Ok(());
                }
                let Some(family) = pair.family else { continue };
                grants.revoke_family(family).wait()?;
                note(&mut lines, "revoked", &pair);
            }
            1 => {
                let Some(refresh) = &pair.refresh else { continue };
                let request = RefreshRequest::by(CLIENT);
                if let Refreshed::Rotated(next) =
                    grants.refresh(refresh.expose(), &request).wait()?
                {
                    note(&mut lines, "rotated", &next);
                }
            }
            _ => {}
        }
        if !say(&lines) {
            return Ok(());
        }
    }
    Ok(())
}

fn note(lines: &mut String, what: &str, pair: &Issued) {
    lines.push_str(what);
    lines.push(' ');
    lines.push_str(pair.access.expose());
    lines.push('\n');
}

/// Writes whole lines; false if nobody reads them.
fn say(lines: &str) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(lines.as_bytes()).and_then(|()| out.flush()).is_ok()
}
