//! For operators: the clients, and how one is made.

use crate::pages::layout::wrong;
use crate::pages::market::called;
use crate::pages::nav::CLIENTS;
use crate::pages::secret;
use crate::pages::visit::{Operator, OperatorPosted, address, more, number};
use crate::pages::when::when;
use crate::people::failed;
use crate::session::PAGES;
use axum::http::StatusCode;
use axum::response::Response;
use grantkeep_grants::{ClientInfo, ClientState, Creation, GrantType, NewClient};
use maud::{Markup, html};

pub(super) const NEW: &str = "/operator/clients/new";
pub(super) const CREATE: &str = "/operator/clients/create";
pub(super) const ONE: &str = "/operator/clients/one";

/// Clients on one page.
const PAGE: usize = 50;

/// No name of a client is longer, in characters.
pub(super) const NAME_CHARS_MAX: usize = 100;

/// The grant types by the names of their boxes.
const GRANT_TYPES: [(&str, GrantType, &str); 5] = [
    ("code", GrantType::AuthorizationCode, "authorization code"),
    ("refresh", GrantType::RefreshToken, "refresh token"),
    ("own", GrantType::ClientCredentials, "client credentials"),
    ("password", GrantType::Password, "password"),
    ("device", GrantType::DeviceCode, "device code"),
];

/// What a grant type is called where it is chosen; its own name for one that is not.
pub(super) fn grant_in_words(grant: &GrantType) -> &str {
    let known = GRANT_TYPES.iter().find(|(_, known, _)| known == grant);
    known.map_or(grant.as_str(), |(_, _, words)| words)
}

pub(super) async fn list(Operator(visit): Operator) -> Result<Response, Response> {
    let listed = visit.grants().clients(visit.cursor(), PAGE).await.map_err(failed)?;
    // The pages themselves are none that anybody manages.
    let clients: Vec<&ClientInfo> =
        listed.items.iter().filter(|client| client.id != PAGES).collect();
    let body = html! {
        p { a class="button" href=(NEW) { "New client" } }
        @if clients.is_empty() && visit.cursor().is_none() && listed.next.is_none() {
            div class="empty" {
                p { strong { "No clients yet" } }
                p { "An app needs a client before it can ask anybody for access." }
            }
        } @else {
            ul class="items" {
                @for client in &clients {
                    li {
                        div {
                            h2 { a href=(address(ONE, &[("id", &client.id)])) { (called(client)) } }
                            p class="quiet" {
                                (kind(client)) ", created " (when(client.created_at)) ", id "
                                span class="id" { (client.id) }
                            }
                        }
                        (state(client))
                    }
                }
            }
        }
        (more(CLIENTS, &[], listed.next))
    };
    Ok(visit.page(CLIENTS, "Clients", &body).render())
}

pub(super) fn kind(client: &ClientInfo) -> &'static str {
    if client.confidential { "Confidential" } else { "Public" }
}

/// The state in words; its color is only beside them.
pub(super) fn state(client: &ClientInfo) -> Markup {
    html! {
        @match client.state {
            ClientState::Enabled => span class="state good" { "enabled" },
            ClientState::Disabled { at } => span class="state bad" { "disabled " (when(at)) },
            ClientState::AwaitsReview { since } => {
                span class="state bad" { "awaits review, restored " (when(since)) }
            }
        }
    }
}

/// What is wrong with a name that is too long.
pub(super) fn too_long(name: &str) -> Option<String> {
    let wrong = || format!("The name is longer than {NAME_CHARS_MAX} characters.");
    (name.chars().count() > NAME_CHARS_MAX).then(wrong)
}

/// What is wrong with so few redirect URIs for these grants.
pub(super) fn needs_redirect(grants: &[GrantType], uris: usize) -> Option<String> {
    let wrong = || "A client with the authorization code grant needs a redirect URI.".to_owned();
    (uris == 0 && grants.contains(&GrantType::AuthorizationCode)).then(wrong)
}

/// The redirect URIs that were typed, one on each line.
pub(super) fn uris(typed: &str) -> impl Iterator<Item = &str> {
    typed.lines().map(str::trim).filter(|uri| !uri.is_empty())
}

pub(super) async fn new(Operator(visit): Operator) -> Result<Response, Response> {
    let system = visit.people.system;
    let scopes: Vec<&str> = system.scopes.iter().map(|(name, _)| *name).collect();
    let body = html! {
        form method="post" action=(CREATE) class="card" {
            (visit.proof(CREATE))
            (number()?)
            label {
                "Name"
                input type="text" name="name" required maxlength=(NAME_CHARS_MAX)
                    autocomplete="off";
            }
            fieldset {
                legend { "Kind" }
                label class="choice" {
                    input type="radio" name="kind" value="confidential" checked;
                    "confidential: a server, which can keep a secret"
                }
                label class="choice" {
                    input type="radio" name="kind" value="public";
                    "public: an app on its user's device, which cannot"
                }
            }
            label {
                "Redirect URIs, one on each line"
                textarea name="redirect_uris" rows="3" spellcheck="false"
                    placeholder="https://app.example/callback" {}
            }
            fieldset {
                legend { "Grants" }
                @for (name, grant, words) in &GRANT_TYPES {
                    @if system.has(grant) {
                        label class="choice" {
                            input type="checkbox" name=(name) value="yes" checked;
                            (words)
                        }
                    }
                }
            }
            label {
                "Scopes, separated by spaces"
                input type="text" name="scopes" autocomplete="off" spellcheck="false"
                    value=(scopes.join(" "));
            }
            p class="choices" {
                button { "Create the client" }
                a class="button plain" href=(CLIENTS) { "Cancel" }
            }
        }
    };
    Ok(visit.page(CLIENTS, "New client", &body).render())
}

pub(super) async fn create(OperatorPosted(posted): OperatorPosted) -> Result<Response, Response> {
    let name = posted.field("name", "The name")?.trim();
    let visit = &posted.visit;
    let chosen = GRANT_TYPES.into_iter().filter(|(box_name, grant, _)| {
        visit.people.system.has(grant) && posted.form.get(box_name).is_some()
    });
    let chosen: Vec<GrantType> = chosen.map(|(_, grant, _)| grant).collect();
    let uris: Vec<&str> = uris(posted.form.get("redirect_uris").unwrap_or_default()).collect();
    if let Some(what) = too_long(name).or_else(|| needs_redirect(&chosen, uris.len())) {
        return Err(wrong(StatusCode::BAD_REQUEST, &what));
    }
    let new = match posted.form.get("kind") {
        Some("confidential") => NewClient::confidential(None),
        Some("public") => NewClient::public(None),
        _ => return Err(wrong(StatusCode::BAD_REQUEST, "The kind of the client is missing.")),
    };
    let new = new.name(name).grants(chosen).scopes(posted.form.get("scopes").unwrap_or_default());
    let new = uris.into_iter().fold(new, NewClient::redirect_uri);
    posted.first().await?;
    let Creation::Created(made) = visit.grants().create_client(new).await.map_err(failed)? else {
        return Err(wrong(StatusCode::CONFLICT, "The id is that of another client."));
    };
    let back = address(ONE, &[("id", &made.client.id)]);
    let mut secrets = vec![("Client id", made.client.id.as_str())];
    secrets.extend(made.secret.as_ref().map(|secret| ("Client secret", secret.expose())));
    let says = html! {
        "The client " strong { (name) } " is registered. "
        @if made.secret.is_some() {
            "Copy its secret now: it is shown only once, and nobody can look it up later."
        } @else {
            "It has no secret: it is known by its id alone, and must use PKCE."
        }
    };
    Ok(secret::page(visit, (CLIENTS, &back), "The new client", &says, &secrets).render())
}
