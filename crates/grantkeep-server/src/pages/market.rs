//! The marketplace: flows that the provider starts, for a person who is signed in.
//!
//! 1. An app is listed that may use codes, is led back to one address, and need not use PKCE: a
//!    flow that it did not start has no challenge of it. Of several addresses the server's
//!    configuration names one ([`OneClick::Code`]).
//! 2. Its page says what it will be able to do. The button on it leads straight to the app's
//!    redirect URI with a code, as in the document of the system; the button is the consent.
//! 3. There is no `state`: the app did not ask. It must treat what it gets as unasked for, which is
//!    the price of this flow (RFC 9700 section 4.7).
//! 4. An app that will not pay it has a page of its own ([`OneClick::Page`]). It gets no code: the
//!    person is led there, and the app starts the usual flow, with its own `state` and with PKCE.

use crate::consent::origin_of;
use crate::pages::layout::{see_other, wrong};
use crate::pages::nav::MARKET;
use crate::pages::visit::{Posted, Visit, address, more};
use crate::people::{facts, failed};
use axum::http::StatusCode;
use axum::response::Response;
use grantkeep_grants::{Authorize, ClientInfo, GrantType};
use maud::html;

pub(super) const APP: &str = "/apps/app";
pub(super) const START: &str = "/apps/start";

/// Clients that are looked at for one page.
const PAGE: usize = 100;

pub(super) async fn list(visit: Visit) -> Result<Response, Response> {
    let listed = visit.grants().clients(visit.cursor(), PAGE).await.map_err(failed)?;
    let mut apps: Vec<&ClientInfo> =
        listed.items.iter().filter(|client| start_of(&visit, client).is_some()).collect();
    apps.sort_by(|one, other| called(one).cmp(called(other)));
    let body = html! {
        p { "Connect an app to your account." }
        @if apps.is_empty() {
            div class="empty" {
                p { strong { "No apps yet" } }
                p { "Apps that can be connected from here are listed on this page." }
            }
        } @else {
            ul class="items" {
                @for app in &apps {
                    li {
                        h2 { (called(app)) }
                        a class="button small" href=(address(APP, &[("id", &app.id)])) {
                            "About" span class="unseen" { " " (called(app)) }
                        }
                    }
                }
            }
        }
        (more(MARKET, &[], listed.next))
    };
    Ok(visit.page(MARKET, "Apps", &body).render())
}

/// What people call a client.
pub(super) fn called(client: &ClientInfo) -> &str {
    if client.name.is_empty() { &client.id } else { &client.name }
}

/// Where the button of an app leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OneClick {
    /// To this one of its redirect URIs, with a code; for an app that has several.
    Code(String),
    /// To this page of its own, without a code, to the byte: it starts the flow itself.
    Page(String),
}

/// Where a flow of this client leads that is started here; `None` if none can be.
fn start_of(visit: &Visit, client: &ClientInfo) -> Option<OneClick> {
    client.permits(GrantType::AuthorizationCode).ok()?;
    let named = match visit.people.one_click.get(&client.id) {
        Some(page @ OneClick::Page(_)) => return Some(page.clone()),
        Some(OneClick::Code(uri)) => Some(uri.as_str()),
        None => None,
    };
    let redirect_uri = client.redirect(named).ok()?.to_owned();
    let policy = visit.grants().policy_of(client).ok()?;
    (!policy.demands_pkce(Some(client))).then_some(OneClick::Code(redirect_uri))
}

/// An app that can be started here, and where that leads.
async fn app_of(visit: &Visit, id: Option<&str>) -> Result<(ClientInfo, OneClick), Response> {
    let found = visit.grants().client(id.unwrap_or_default()).await.map_err(failed)?;
    let found = found.and_then(|client| start_of(visit, &client).map(|start| (client, start)));
    found.ok_or_else(|| wrong(StatusCode::NOT_FOUND, "There is no such app here."))
}

pub(super) async fn app(visit: Visit) -> Result<Response, Response> {
    let (app, start) = app_of(&visit, visit.query.get("id")).await?;
    let (OneClick::Code(to) | OneClick::Page(to)) = &start;
    let leads_to = origin_of(to);
    let scopes: Vec<String> = app.scopes.iter().map(|scope| visit.people.in_words(scope)).collect();
    let body = html! {
        @if let OneClick::Page(_) = start {
            p { strong { (called(&app)) } " is set up on its own site, and asks you there." }
        } @else if scopes.is_empty() {
            p { "It will know who you are, and nothing else." }
        } @else {
            p { "When you get started, " strong { (called(&app)) } " will be able to:" }
            ul { @for scope in &scopes { li { (scope) } } }
        }
        p class="quiet" {
            "You go on at " (leads_to) ". You can take this back at any time, under connected apps."
        }
        form method="post" action=(START) class="choices" {
            (visit.proof(START))
            input type="hidden" name="client_id" value=(app.id);
            button { "Get started" }
            a class="button plain" href=(MARKET) { "Back to the apps" }
        }
    };
    Ok(visit.page(MARKET, called(&app), &body).leads_away().render())
}

pub(super) async fn start(posted: Posted) -> Result<Response, Response> {
    let visit = &posted.visit;
    let (app, start) = app_of(visit, posted.form.get("client_id")).await?;
    let redirect_uri = match start {
        OneClick::Page(page) => return Ok(see_other(&page)),
        OneClick::Code(redirect_uri) => redirect_uri,
    };
    let facts = facts(&visit.headers, visit.from);
    let asked = Authorize::new(&app.id, visit.subject())
        .scopes(&app.scopes)
        .label(called(&app))
        .sealed_facts(&facts);
    let code = visit.grants().authorize(asked).await.map_err(failed)?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("code", code.expose());
    query.append_pair("iss", visit.people.oauth.issuer_address());
    let joint = match redirect_uri.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    Ok(see_other(&format!("{redirect_uri}{joint}{}", query.finish())))
}
