//! Connected apps: what a person has granted to clients, and how they take it back.

use crate::pages::layout::{see_other, wrong};
use crate::pages::nav::CONNECTED;
use crate::pages::visit::{Posted, Visit, more};
use crate::pages::when::when;
use crate::people::{People, failed};
use crate::session::PAGES;
use axum::http::StatusCode;
use axum::response::Response;
use grantkeep_grants::GrantInForce;
use maud::{Markup, html};
use std::collections::BTreeMap;

pub(super) const DISCONNECT: &str = "/apps/connected/disconnect";
pub(super) const END: &str = "/apps/connected/end";

/// Families that are looked at for one page.
const PAGE: usize = 200;

pub(super) async fn list(visit: Visit) -> Result<Response, Response> {
    let listed = visit.grants().families_of(visit.subject(), visit.cursor(), PAGE).await;
    let listed = listed.map_err(failed)?;
    let mut by_client: BTreeMap<&str, Vec<&GrantInForce>> = BTreeMap::new();
    for grant in listed.items.iter().filter(|grant| grant.client != PAGES) {
        by_client.entry(&grant.client).or_default().push(grant);
    }
    let mut apps = Vec::with_capacity(by_client.len());
    for (client, grants) in by_client {
        apps.push((name_of(&visit.people, client).await?, client, grants));
    }
    let body = html! {
        p { "These apps can act for you. You can take that back at any time." }
        @if apps.is_empty() {
            div class="empty" {
                p { strong { "No connected apps" } }
                p { "When you let an app use your account, it is listed here." }
            }
        } @else {
            ul class="items" {
                @for (name, client, grants) in &apps { (app(&visit, name, client, grants)) }
            }
        }
        (more(CONNECTED, &[], listed.next))
    };
    Ok(visit.page(CONNECTED, "Connected apps", &body).render())
}

/// What people call a client.
pub(super) async fn name_of(people: &People, client: &str) -> Result<String, Response> {
    let found = people.oauth.grants().client(client).await.map_err(failed)?;
    let name = found.map(|found| found.name).filter(|name| !name.is_empty());
    Ok(name.unwrap_or_else(|| client.to_owned()))
}

fn app(visit: &Visit, name: &str, client: &str, grants: &[&GrantInForce]) -> Markup {
    let warning = "It is signed out everywhere, and cannot act for you until you connect it again.";
    html! {
        li class="with-parts" {
            div class="row" {
                h2 { (name) }
                (visit.asked(DISCONNECT, &[("client", client)], ("Disconnect", name), warning))
            }
            ul class="parts" {
                @for grant in grants { li { (part(visit, name, grant)) } }
            }
        }
    }
}

/// One grant of an app: what it may do, and on which device.
fn part(visit: &Visit, name: &str, grant: &GrantInForce) -> Markup {
    let family = grant.family.to_string();
    let scopes: Vec<String> =
        grant.scopes.iter().map(|scope| visit.people.in_words(scope)).collect();
    html! {
        div {
            p {
                @if scopes.is_empty() { "It knows who you are." }
                @else { "It can " (scopes.join(", ")) "." }
            }
            p class="quiet" {
                "Connected " (when(grant.granted_at)) ". Last used " (when(grant.last_used_at)) "."
            }
            (described(grant, name))
        }
        (visit.asked(
            END,
            &[("family", &family)],
            ("End", &format!("this access of {name}")),
            "Other devices with this app keep their access.",
        ))
    }
}

/// What is known of where something was granted; nothing of what cannot be opened any more. A label
/// that is the app's own name says nothing.
pub(super) fn described(grant: &GrantInForce, name: &str) -> Markup {
    let facts = grant.facts.as_deref().map(String::from_utf8_lossy);
    let facts = facts.as_deref().map(str::trim).filter(|facts| !facts.is_empty());
    html! {
        @if !grant.label.is_empty() && grant.label != name {
            p class="quiet" { "Device: " (grant.label) }
        }
        @if let Some(facts) = facts { p class="quiet" { "Connected from " (facts) } }
    }
}

pub(super) async fn disconnect(posted: Posted) -> Result<Response, Response> {
    let client = posted.field("client", "The app")?;
    if client == PAGES {
        return Err(wrong(StatusCode::BAD_REQUEST, "Browsers are signed out on their own page."));
    }
    let visit = &posted.visit;
    visit.grants().revoke_pair(visit.subject(), client).await.map_err(failed)?;
    Ok(see_other("/apps/connected?done=disconnected"))
}

pub(super) async fn end(posted: Posted) -> Result<Response, Response> {
    let family = posted.field("family", "The access")?.parse().map_err(failed)?;
    let visit = &posted.visit;
    visit.grants().revoke_family_of(visit.subject(), family).await.map_err(failed)?;
    Ok(see_other("/apps/connected?done=ended"))
}
