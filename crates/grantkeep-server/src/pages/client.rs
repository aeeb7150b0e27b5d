//! For operators: one client, its secrets, and whether it may act.

use crate::pages::client_edit::{DELETE, EDIT};
use crate::pages::clients::{ONE, grant_in_words, kind, state};
use crate::pages::layout::{see_other, wrong};
use crate::pages::market::called;
use crate::pages::nav::CLIENTS;
use crate::pages::secret;
use crate::pages::visit::{Operator, OperatorPosted, Posted, Visit, address, number};
use crate::pages::when::when;
use crate::people::failed;
use crate::session::PAGES;
use axum::http::StatusCode;
use axum::response::Response;
use grantkeep_grants::{ClientInfo, NewSecret};
use maud::{Markup, html};

pub(super) const ROTATE: &str = "/operator/clients/rotate";
pub(super) const REMOVE_SECRET: &str = "/operator/clients/remove-secret";
pub(super) const DISABLE: &str = "/operator/clients/disable";
pub(super) const ENABLE: &str = "/operator/clients/enable";

/// The client of this id. The pages themselves are none: whoever disabled them would be signed out,
/// and could not enable them again.
pub(super) async fn client_of(visit: &Visit, id: Option<&str>) -> Result<ClientInfo, Response> {
    let id = id.filter(|id| *id != PAGES).unwrap_or_default();
    let found = visit.grants().client(id).await.map_err(failed)?;
    found.ok_or_else(|| wrong(StatusCode::NOT_FOUND, "There is no such client."))
}

pub(super) fn page_of(id: &str, done: &str) -> Response {
    see_other(&address(ONE, &[("id", id), ("done", done)]))
}

pub(super) async fn show(Operator(visit): Operator) -> Result<Response, Response> {
    let client = client_of(&visit, visit.query.get("id")).await?;
    let grants: Vec<&str> = client.grants.iter().map(grant_in_words).collect();
    let none = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
    let body = html! {
        dl {
            dt { "Id" } dd class="id" { (client.id) }
            dt { "State" } dd { (state(&client)) }
            dt { "Kind" } dd { (kind(&client)) }
            dt { "Created" } dd { (when(client.created_at)) }
            dt { "Grants" } dd { (none(&grants.join(", "))) }
            dt { "Scopes" } dd { (none(client.scopes.as_str())) }
            dt { "Redirect URIs" }
            dd {
                @if client.redirect_uris.is_empty() { "none" }
                @for uri in &client.redirect_uris { div class="id" { (uri) } }
            }
        }
        p class="choices" {
            a class="button small plain" href=(address(EDIT, &[("id", &client.id)])) {
                "Edit" span class="unseen" { " " (called(&client)) }
            }
        }
        @if client.confidential { (secrets(&visit, &client)?) }
        h2 { "Access" }
        (access(&visit, &client))
    };
    Ok(visit.page(CLIENTS, called(&client), &body).render())
}

fn secrets(visit: &Visit, client: &ClientInfo) -> Result<Markup, Response> {
    let several = client.secrets.len() > 1;
    Ok(html! {
        h2 { "Secrets" }
        p { "To rotate: create a secret, hand it to the app, and remove the old one once the app \
             uses the new one. Until then both are accepted." }
        ul class="items" {
            @for each in &client.secrets {
                @let id = each.id.to_string();
                li {
                    div {
                        h3 { "Secret " span class="id" { (id) } }
                        p class="quiet" {
                            "Created " (when(each.created_at)) ". "
                            @if let Some(at) = each.expires_at { "Expires " (when(at)) "." }
                        }
                    }
                    (visit.asked(
                        REMOVE_SECRET,
                        &[("id", &client.id), ("secret", &id)],
                        ("Remove", &id),
                        if several {
                            "Whoever still uses it is refused at once."
                        } else {
                            "It is the only one: the app cannot authenticate without it."
                        },
                    ))
                }
            }
        }
        form method="post" action=(ROTATE) class="choices" {
            (visit.proof(ROTATE))
            (number()?)
            input type="hidden" name="id" value=(client.id);
            button class="small" { "Create another secret" }
        }
    })
}

fn access(visit: &Visit, client: &ClientInfo) -> Markup {
    html! {
        @if !client.is_enabled() {
            p { "Nothing is issued to it. What was revoked stays revoked when it is enabled." }
        }
        div class="choices" {
            @if client.is_enabled() {
                (visit.asked(
                    DISABLE,
                    &[("id", &client.id)],
                    ("Disable", called(client)),
                    "Everything that was issued to it is revoked, and stays revoked. Nothing more \
                     is issued to it until it is enabled.",
                ))
            } @else {
                (visit.button(ENABLE, &[("id", &client.id)], &html! {
                    "Enable" span class="unseen" { " " (called(client)) }
                }))
            }
            a class="button small plain bad" href=(address(DELETE, &[("id", &client.id)])) {
                "Delete" span class="unseen" { " " (called(client)) } "..."
            }
        }
    }
}

/// The client that a form is about.
async fn meant(posted: &Posted) -> Result<ClientInfo, Response> {
    client_of(&posted.visit, posted.form.get("id")).await
}

pub(super) async fn rotate(OperatorPosted(posted): OperatorPosted) -> Result<Response, Response> {
    let (client, visit) = (meant(&posted).await?, &posted.visit);
    posted.first().await?;
    let added = visit.grants().add_client_secret(&client.id, NewSecret::minted()).await;
    let gone = || wrong(StatusCode::NOT_FOUND, "There is no such client.");
    let added = added.map_err(failed)?.ok_or_else(gone)?;
    let back = address(ONE, &[("id", &client.id)]);
    let says = html! {
        "Another secret of " strong { (called(&client)) } ". Copy it now: it is shown only once, \
         and nobody can look it up later. The old one is accepted until you remove it."
    };
    let secret = added.secret.as_ref().map(|secret| ("Client secret", secret.expose()));
    let secrets: Vec<_> = secret.into_iter().collect();
    Ok(secret::page(visit, (CLIENTS, &back), "The new secret", &says, &secrets).render())
}

pub(super) async fn remove_secret(
    OperatorPosted(posted): OperatorPosted,
) -> Result<Response, Response> {
    let client = meant(&posted).await?;
    let secret = posted.field("secret", "The secret")?.parse().map_err(failed)?;
    posted.visit.grants().remove_client_secret(&client.id, secret).await.map_err(failed)?;
    Ok(page_of(&client.id, "secret-removed"))
}

pub(super) async fn disable(OperatorPosted(posted): OperatorPosted) -> Result<Response, Response> {
    let client = meant(&posted).await?;
    posted.visit.grants().disable_client(&client.id).await.map_err(failed)?;
    Ok(page_of(&client.id, "disabled"))
}

pub(super) async fn enable(OperatorPosted(posted): OperatorPosted) -> Result<Response, Response> {
    let client = meant(&posted).await?;
    posted.visit.grants().enable_client(&client.id).await.map_err(failed)?;
    Ok(page_of(&client.id, "enabled"))
}
