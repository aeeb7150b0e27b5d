//! The marketplace: flows that the provider starts, for a person who is signed in.
//!
//! 1. An app is listed that may use codes, is led back to one address, and need not use PKCE: a
//!    flow that it did not start has no challenge of it.
//! 2. Its page says what it will be able to do. The button on it leads straight to the app's
//!    redirect URI with a code, as in the document of the system; the button is the consent.
//! 3. There is no `state`: the app did not ask. It must treat what it gets as unasked for, which is
//!    the price of this flow (RFC 9700 section 4.7).

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
        listed.items.iter().filter(|client| can_start(&visit, client)).collect();
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

/// Whether a flow of this client can be started here.
fn can_start(visit: &Visit, client: &ClientInfo) -> bool {
    client.permits(GrantType::AuthorizationCode).is_ok()
        && client.redirect(None).is_ok()
        && visit.grants().policy_of(client).is_ok_and(|policy| !policy.demands_pkce(Some(client)))
}

async fn app_of(visit: &Visit, id: Option<&str>) -> Result<ClientInfo, Response> {
    let found = visit.grants().client(id.unwrap_or_default()).await.map_err(failed)?;
    let found = found.filter(|client| can_start(visit, client));
    found.ok_or_else(|| wrong(StatusCode::NOT_FOUND, "There is no such app here."))
}

pub(super) async fn app(visit: Visit) -> Result<Response, Response> {
    let app = app_of(&visit, visit.query.get("id")).await?;
    let leads_to = origin_of(app.redirect(None).unwrap_or_default());
    let scopes: Vec<String> = app.scopes.iter().map(|scope| visit.people.in_words(scope)).collect();
    let body = html! {
        @if scopes.is_empty() {
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
    Ok(visit.page(MARKET, called(&app), &body).form_action(&leads_to).render())
}

pub(super) async fn start(posted: Posted) -> Result<Response, Response> {
    let visit = &posted.visit;
    let app = app_of(visit, posted.form.get("client_id")).await?;
    let facts = facts(&visit.headers, visit.from);
    let asked = Authorize::new(&app.id, visit.subject())
        .scopes(&app.scopes)
        .label(called(&app))
        .sealed_facts(&facts);
    let code = visit.grants().authorize(asked).await.map_err(failed)?;
    let redirect_uri = app.redirect(None).unwrap_or_default();
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
