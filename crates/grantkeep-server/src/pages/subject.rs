//! For operators: what a person has granted, and ending it.

use crate::pages::connected::{described, name_of};
use crate::pages::layout::see_other;
use crate::pages::nav::GRANTS;
use crate::pages::visit::{Operator, OperatorPosted, Visit, address, more};
use crate::pages::when::when;
use crate::people::failed;
use crate::session::PAGES;
use axum::response::Response;
use grantkeep::FamilyId;
use grantkeep_grants::{GrantInForce, PersonalInForce};
use maud::{Markup, html};

pub(super) const END: &str = "/operator/grants/end";
pub(super) const REVOKE_KEY: &str = "/operator/grants/revoke-key";
pub(super) const END_ALL: &str = "/operator/grants/end-all";

/// Grants on one page.
const PAGE: usize = 100;

pub(super) async fn show(Operator(visit): Operator) -> Result<Response, Response> {
    let subject = visit.query.get("subject");
    let found = match subject {
        Some(subject) => Some(found(&visit, subject).await?),
        None => None,
    };
    let body = html! {
        form method="get" action=(GRANTS) role="search" class="card" {
            label {
                "User name"
                input type="text" name="subject" value=[subject] required autocomplete="off"
                    spellcheck="false";
            }
            p class="choices" { button { "Show what they have granted" } }
        }
        @if let Some(found) = &found { (found) }
    };
    Ok(visit.page(GRANTS, "Grants of a person", &body).render())
}

async fn found(visit: &Visit, subject: &str) -> Result<Markup, Response> {
    let cursor = visit.cursor();
    let grants = visit.grants();
    let families = grants.families_of(subject, cursor, PAGE).await.map_err(failed)?;
    let keys = match cursor {
        None => Some(grants.personal_of(subject, None, PAGE).await.map_err(failed)?),
        Some(_) => None,
    };
    let mut named = Vec::with_capacity(families.items.len());
    for family in &families.items {
        named.push((name_of(&visit.people, &family.client).await?, family));
    }
    let empty = families.items.is_empty() && keys.as_ref().is_none_or(|keys| keys.items.is_empty());
    Ok(html! {
        h2 { "What " (subject) " has granted" }
        @if empty && cursor.is_none() {
            div class="empty" {
                p { strong { "Nothing is in force" } }
                p { "This person has granted nothing, or all of it has ended, or nobody is called \
                     so." }
            }
        } @else {
            ul class="items" {
                @for (name, grant) in &named { (family(visit, subject, name, grant)) }
                @for key in keys.iter().flat_map(|keys| &keys.items) {
                    (key_of(visit, subject, key))
                }
            }
            (more(GRANTS, &[("subject", subject)], families.next))
            @if keys.is_some_and(|keys| keys.next.is_some()) {
                p class="quiet" { "There are more API keys than these." }
            }
            (visit.asked(
                END_ALL,
                &[("subject", subject)],
                ("Revoke everything", subject),
                "Every app, every browser, and every API key of this person is refused at once. \
                 This cannot be undone.",
            ))
        }
    })
}

fn family(visit: &Visit, subject: &str, name: &str, grant: &GrantInForce) -> Markup {
    let id = grant.family.to_string();
    let is_browser = grant.client == PAGES;
    let (name, whose) = if is_browser {
        ("A signed-in browser", "this session".to_owned())
    } else {
        (name, format!("this access of {name}"))
    };
    html! {
        li {
            div {
                h3 { (name) }
                p class="quiet" {
                    @if !grant.scopes.is_empty() { "Scopes: " (grant.scopes.as_str()) ". " }
                    "Granted " (when(grant.granted_at)) ". Last used " (when(grant.last_used_at))
                    ". Ends " (when(grant.ends_at)) " at the latest."
                }
                (described(grant, name))
            }
            (visit.asked(
                END,
                &[("subject", subject), ("family", &id)],
                ("End", &whose),
                "Its tokens are refused at once. This cannot be undone.",
            ))
        }
    }
}

fn key_of(visit: &Visit, subject: &str, key: &PersonalInForce) -> Markup {
    let id = key.id.to_string();
    html! {
        li {
            div {
                h3 { "API key: " (key.name) }
                p class="quiet" {
                    "Created " (when(key.issued_at)) ". "
                    @match key.last_used_at {
                        Some(at) => { "Last used " (when(at)) "." }
                        None => { "Never used." }
                    }
                }
            }
            (visit.asked(
                REVOKE_KEY,
                &[("subject", subject), ("id", &id)],
                ("Revoke", &key.name),
                "Programs that use this key are refused at once. This cannot be undone.",
            ))
        }
    }
}

fn page_of(subject: &str, done: &str) -> Response {
    see_other(&address(GRANTS, &[("subject", subject), ("done", done)]))
}

pub(super) async fn end(OperatorPosted(posted): OperatorPosted) -> Result<Response, Response> {
    let subject = posted.field("subject", "The person")?;
    let family: FamilyId = posted.field("family", "The access")?.parse().map_err(failed)?;
    posted.visit.grants().revoke_family_of(subject, family).await.map_err(failed)?;
    Ok(page_of(subject, "ended"))
}

pub(super) async fn revoke_key(
    OperatorPosted(posted): OperatorPosted,
) -> Result<Response, Response> {
    let subject = posted.field("subject", "The person")?;
    let id = posted.field("id", "The key")?.parse().map_err(failed)?;
    posted.visit.grants().revoke_personal(subject, id).await.map_err(failed)?;
    Ok(page_of(subject, "key-revoked"))
}

pub(super) async fn end_all(OperatorPosted(posted): OperatorPosted) -> Result<Response, Response> {
    let subject = posted.field("subject", "The person")?;
    posted.visit.grants().revoke_subject(subject).await.map_err(failed)?;
    Ok(page_of(subject, "subject-ended"))
}
