//! Devices: the page on which a person types the code that a device shows (RFC 8628 section 3.3).
//!
//! 1. A code in the address is put into the field and into nothing else: the person sends it, and
//!    is asked to compare it with what the device shows (section 5.4).
//! 2. What is asked for is shown, and approved or denied by a second form.
//! 3. Codes that lead nowhere count against the person who types them (section 5.1) and, in a wider
//!    bound, against the address that they come from; while either has too many, nothing is looked
//!    up. A code is counted before it is looked up, and given back if it leads somewhere.

use crate::pages::guess;
use crate::pages::layout::{see_other, wrong};
use crate::pages::nav::DEVICE;
use crate::pages::visit::{Posted, Visit};
use crate::people::{facts, failed};
use axum::http::StatusCode;
use axum::response::Response;
use grantkeep_axum::{Guess, Guessed};
use grantkeep_grants::{DeviceApproval, DeviceRequested, PendingDevice, Verified};
use maud::html;

pub(super) const DECIDE: &str = "/device/decide";

/// No code is longer, in characters, with whatever a person puts between its letters.
const CODE_CHARS_MAX: usize = 40;

pub(super) async fn page(visit: Visit) -> Response {
    let code = visit.query.get("user_code").unwrap_or_default();
    ask(&visit, code, None, StatusCode::OK)
}

fn ask(visit: &Visit, code: &str, said: Option<&str>, status: StatusCode) -> Response {
    let described = said.map(|_| "said");
    let body = html! {
        p { "Type the code that your device shows. Do so only for a device in front of you. Anyone \
             who sends you a code wants to use your account." }
        form method="post" action=(DEVICE) class="card" {
            (visit.proof(DEVICE))
            label {
                "Code"
                input class="code" type="text" name="user_code" value=(code) required
                    maxlength=(CODE_CHARS_MAX) autocomplete="off" autocapitalize="characters"
                    spellcheck="false" placeholder="WDJB-MJHT" aria-invalid=[said.map(|_| "true")]
                    aria-describedby=[described];
            }
            @if let Some(said) = said { p class="wrong" id="said" role="alert" { (said) } }
            p class="choices" { button { "Continue" } }
        }
    };
    visit.page(DEVICE, "Add a device", &body).status(status).render()
}

const UNKNOWN: &str = "There is no such code, or it was used. Look at the device again.";
const EXPIRED: &str = "This code is too old. Have the device show another.";
const REVOKED: &str = "This app may not ask for access any more.";

/// Shows what the device of a code asks for.
pub(super) async fn look(posted: Posted) -> Result<Response, Response> {
    let visit = &posted.visit;
    let code = typed(&posted)?;
    let guess = guess(visit)?;
    let found = visit.grants().device_request(code).await;
    let leads_nowhere = matches!(&found, Ok(DeviceRequested::Unknown));
    if !leads_nowhere {
        guess.give_back();
    }
    let refused = |said| Ok(ask(visit, code, Some(said), StatusCode::BAD_REQUEST));
    match found.map_err(failed)? {
        DeviceRequested::Pending(device) => question(visit, code, &device).await,
        DeviceRequested::Expired => refused(EXPIRED),
        DeviceRequested::Revoked => refused(REVOKED),
        _ => refused(UNKNOWN),
    }
}

async fn question(visit: &Visit, code: &str, device: &PendingDevice) -> Result<Response, Response> {
    let name = super::connected::name_of(&visit.people, &device.client).await?;
    let scopes: Vec<String> =
        device.scopes.iter().map(|scope| visit.people.in_words(scope)).collect();
    let body = html! {
        p { "Does your device show this code?" }
        p class="code" { (code) }
        p { strong { (name) } " asks for access to your account." }
        @if scopes.is_empty() {
            p { "It will know who you are, and nothing else." }
        } @else {
            p { "It will be able to:" }
            ul { @for scope in &scopes { li { (scope) } } }
        }
        form method="post" action=(DECIDE) class="choices" {
            (visit.proof(DECIDE))
            input type="hidden" name="user_code" value=(code);
            button name="decision" value="approve" { "Approve this device" }
            button name="decision" value="deny" class="plain" { "Deny" }
        }
    };
    Ok(visit.page(DEVICE, "Approve a device", &body).render())
}

pub(super) async fn decide(posted: Posted) -> Result<Response, Response> {
    let visit = &posted.visit;
    let code = typed(&posted)?;
    let guess = guess(visit)?;
    let approves = posted.form.get("decision") == Some("approve");
    let decided = if approves {
        let facts = facts(&visit.headers, visit.from);
        let approval =
            DeviceApproval::by(visit.subject()).label("added with a code").sealed_facts(&facts);
        visit.grants().approve_device(code, &approval).await
    } else {
        visit.grants().deny_device(code).await
    };
    let leads_nowhere = matches!(&decided, Ok(Verified::Unknown));
    if !leads_nowhere {
        guess.give_back();
    }
    let refused = |said| Ok(ask(visit, code, Some(said), StatusCode::BAD_REQUEST));
    match decided.map_err(failed)? {
        Verified::Done if approves => Ok(see_other("/device?done=device-added")),
        Verified::Done => Ok(see_other("/device?done=device-denied")),
        Verified::Expired => refused(EXPIRED),
        Verified::Revoked | Verified::Unauthorized => refused(REVOKED),
        _ => refused(UNKNOWN),
    }
}

fn typed(posted: &Posted) -> Result<&str, Response> {
    let code = posted.field("user_code", "The code")?.trim();
    if code.len() > CODE_CHARS_MAX {
        return Err(wrong(StatusCode::BAD_REQUEST, "This is no code that a device shows."));
    }
    Ok(code)
}

/// Takes the place of a code that may lead nowhere; refuses whoever has typed too many.
fn guess(visit: &Visit) -> Result<Guess<'_>, Response> {
    guess::take(visit, Guessed::UserCode, Guessed::UserCodes).ok_or_else(|| {
        let what = "Too many codes that lead nowhere. Wait a minute, then try again.";
        wrong(StatusCode::TOO_MANY_REQUESTS, what)
    })
}
