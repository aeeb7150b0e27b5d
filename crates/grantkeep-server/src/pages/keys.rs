//! API keys: what a person makes for programs of their own.

use crate::pages::layout::{see_other, wrong};
use crate::pages::nav::KEYS;
use crate::pages::secret;
use crate::pages::visit::{Posted, Visit, more, number};
use crate::pages::when::when;
use crate::people::failed;
use axum::http::StatusCode;
use axum::response::Response;
use grantkeep_grants::{NewPersonal, PersonalInForce};
use maud::{Markup, html};
use std::time::Duration;

pub(super) const CREATE: &str = "/apps/api-keys/create";
pub(super) const REVOKE: &str = "/apps/api-keys/revoke";

/// Keys on one page.
const PAGE: usize = 50;
/// No name of a key is longer, in characters.
const NAME_CHARS_MAX: usize = 100;
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// What lifetimes are offered, in days, where the policy allows as many.
const DAYS: [u32; 3] = [30, 90, 365];

pub(super) async fn list(visit: Visit) -> Result<Response, Response> {
    let listed = visit.grants().personal_of(visit.subject(), visit.cursor(), PAGE).await;
    let listed = listed.map_err(failed)?;
    let body = html! {
        p { "A key lets a program of your own act for you. Give each program its own, so that you \
             can revoke one without the others." }
        (create_form(&visit)?)
        h2 { "Your keys" }
        @if listed.items.is_empty() {
            div class="empty" {
                p { strong { "No keys yet" } }
                p { "A key that you create is listed here, with when it was last used." }
            }
        } @else {
            ul class="items" { @for key in &listed.items { (item(&visit, key)) } }
        }
        (more(KEYS, &[], listed.next))
    };
    Ok(visit.page(KEYS, "API keys", &body).render())
}

fn create_form(visit: &Visit) -> Result<Markup, Response> {
    let policy = visit.grants().policy();
    let offered = DAYS.iter().filter(|&&days| DAY * days < policy.personal_lifetime);
    let longest_days = policy.personal_lifetime.as_secs() / DAY.as_secs();
    Ok(html! {
        form method="post" action=(CREATE) class="card" {
            (visit.proof(CREATE))
            (number()?)
            label {
                "Name"
                input type="text" name="name" required maxlength=(NAME_CHARS_MAX)
                    autocomplete="off" placeholder="Nightly report";
            }
            label {
                "Expires"
                select name="days" {
                    @for days in offered { option value=(days) { "after " (days) " days" } }
                    option value="" selected { "after " (longest_days) " days, the longest" }
                    @if policy.personal_without_expiry {
                        option value="never" { "never: until I revoke it" }
                    }
                }
            }
            p class="choices" { button { "Create a key" } }
        }
    })
}

fn item(visit: &Visit, key: &PersonalInForce) -> Markup {
    let id = key.id.to_string();
    html! {
        li {
            div {
                h3 { (key.name) }
                p class="quiet" {
                    "Created " (when(key.issued_at)) ". "
                    @match key.last_used_at {
                        Some(at) => { "Last used " (when(at)) ". " }
                        None => { "Never used. " }
                    }
                    @match key.expires_at {
                        Some(at) => { "Expires " (when(at)) "." }
                        None => { "Does not expire." }
                    }
                }
                @if !key.client.is_empty() { p class="quiet" { "Made through " (key.client) } }
            }
            (visit.asked(
                REVOKE,
                &[("id", &id)],
                ("Revoke", &key.name),
                "Programs that use this key are refused at once. This cannot be undone.",
            ))
        }
    }
}

pub(super) async fn create(posted: Posted) -> Result<Response, Response> {
    let name = posted.field("name", "The name of the key")?.trim();
    if name.chars().count() > NAME_CHARS_MAX {
        let what = format!("The name is longer than {NAME_CHARS_MAX} characters.");
        return Err(wrong(StatusCode::BAD_REQUEST, &what));
    }
    let visit = &posted.visit;
    let scopes: Vec<&str> = visit.people.system.scopes.iter().map(|(scope, _)| *scope).collect();
    let new = NewPersonal::new(visit.subject(), name).scopes(scopes);
    let new = match posted.form.get("days") {
        None => new,
        Some("never") => new.without_expiry(),
        Some(days) => {
            let read = days.parse::<u32>().ok().and_then(|days| DAY.checked_mul(days));
            let wrong = || wrong(StatusCode::BAD_REQUEST, "The number of days is not in order.");
            new.lifetime(read.ok_or_else(wrong)?)
        }
    };
    posted.first().await?;
    let made = visit.grants().create_personal(new).await.map_err(failed)?;
    let says = html! {
        "This is the key " strong { (name) } ". Copy it now: it is shown only once, and nobody can \
         look it up later."
    };
    let secrets = [("API key", made.token.expose())];
    Ok(secret::page(visit, (KEYS, KEYS), "Your new API key", &says, &secrets).render())
}

pub(super) async fn revoke(posted: Posted) -> Result<Response, Response> {
    let id = posted.field("id", "The key")?;
    let id = id.parse().map_err(failed)?;
    let visit = &posted.visit;
    visit.grants().revoke_personal(visit.subject(), id).await.map_err(failed)?;
    Ok(see_other("/apps/api-keys?done=key-revoked"))
}
