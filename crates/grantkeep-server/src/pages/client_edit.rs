//! For operators: changing a client's name and redirect URIs, and deleting it.
//!
//! A form that changes a client carries a digest of what it showed. If the client is another by
//! then, nothing is changed, and what was typed is shown again beside what there is now.

use crate::pages::client::{client_of, page_of};
use crate::pages::clients::{NAME_CHARS_MAX, ONE, needs_redirect, too_long, uris};
use crate::pages::layout::{see_other, sentence};
use crate::pages::market::called;
use crate::pages::nav::CLIENTS;
use crate::pages::visit::{Operator, OperatorPosted, Visit, address};
use crate::people::failed;
use axum::http::StatusCode;
use axum::response::Response;
use grantkeep::ErrorKind;
use grantkeep_grants::ClientInfo;
use maud::html;

pub(super) const EDIT: &str = "/operator/clients/edit";
pub(super) const DELETE: &str = "/operator/clients/delete";

/// What the digest of a client is for.
const SEEN: &str = "grantkeep pages 2026-11 client as it was shown";

/// A digest of what of a client the form changes.
fn seen(name: &str, redirect_uris: &[String]) -> String {
    let mut digest = blake3::Hasher::new_derive_key(SEEN);
    for text in std::iter::once(name).chain(redirect_uris.iter().map(String::as_str)) {
        // No text has a line break in it but a name, whose length goes before it.
        digest.update(format!("{} {text}\n", text.len()).as_bytes());
    }
    digest.finalize().to_hex().to_string()
}

pub(super) async fn page(Operator(visit): Operator) -> Result<Response, Response> {
    let client = client_of(&visit, visit.query.get("id")).await?;
    let listed = client.redirect_uris.join("\n");
    Ok(form(&visit, &client, (&client.name, &listed), None, StatusCode::OK))
}

/// The form, with what was typed into it.
fn form(
    visit: &Visit,
    client: &ClientInfo,
    (name, redirect_uris): (&str, &str),
    said: Option<&str>,
    status: StatusCode,
) -> Response {
    let described = said.map(|_| "said");
    let rows = redirect_uris.lines().count().clamp(3, 12);
    let body = html! {
        form method="post" action=(EDIT) class="card" {
            (visit.proof(EDIT))
            input type="hidden" name="id" value=(client.id);
            input type="hidden" name="seen" value=(seen(&client.name, &client.redirect_uris));
            @if let Some(said) = said { p class="wrong" id="said" role="alert" { (said) } }
            label {
                "Name"
                input type="text" name="name" value=(name) required maxlength=(NAME_CHARS_MAX)
                    autocomplete="off" aria-describedby=[described];
            }
            label {
                "Redirect URIs, one on each line"
                textarea name="redirect_uris" rows=(rows) spellcheck="false"
                    aria-describedby="exact" { (redirect_uris) }
            }
            p class="quiet under" id="exact" {
                "Compared to the letter. One that is not listed here is refused from now on."
            }
            p class="choices" {
                button { "Save the changes" }
                a class="button plain" href=(address(ONE, &[("id", &client.id)])) { "Cancel" }
            }
        }
    };
    let title = format!("Edit {}", called(client));
    visit.page(CLIENTS, &title, &body).status(status).render()
}

pub(super) async fn edit(OperatorPosted(posted): OperatorPosted) -> Result<Response, Response> {
    let visit = &posted.visit;
    let client = client_of(visit, posted.form.get("id")).await?;
    let name = posted.form.get("name").unwrap_or_default().trim();
    let typed = posted.form.get("redirect_uris").unwrap_or_default();
    let listed: Vec<String> = uris(typed).map(str::to_owned).collect();
    let again = |client: &ClientInfo, said: &str, status| {
        Ok(form(visit, client, (name, typed), Some(said), status))
    };
    if name.is_empty() {
        return again(&client, "The name is missing.", StatusCode::BAD_REQUEST);
    }
    if let Some(wrong) = too_long(name).or_else(|| needs_redirect(&client.grants, listed.len())) {
        return again(&client, &wrong, StatusCode::BAD_REQUEST);
    }
    let shown = posted.form.get("seen");
    let mut is_another = false;
    let edited = visit.grants().update_client(&client.id, |edit| {
        is_another = shown != Some(seen(&edit.name, &edit.redirect_uris).as_str());
        if !is_another {
            name.clone_into(&mut edit.name);
            edit.redirect_uris.clone_from(&listed);
        }
    });
    match edited.await {
        Ok(Some(_)) if !is_another => Ok(page_of(&client.id, "client-changed")),
        Ok(Some(client)) => {
            let now = [&[client.name.clone()][..], &client.redirect_uris].concat().join(", ");
            let wrong = format!(
                "Somebody has changed this client meanwhile. Now it is: {now}. Save again to have \
                 what is below instead."
            );
            again(&client, &wrong, StatusCode::CONFLICT)
        }
        Ok(None) => client_of(visit, None).await.map(|client| page_of(&client.id, "")),
        Err(cause) if cause.kind() == ErrorKind::Limit => {
            again(&client, &sentence(&cause.to_string()), StatusCode::BAD_REQUEST)
        }
        Err(cause) => Err(failed(cause)),
    }
}

pub(super) async fn ask_delete(Operator(visit): Operator) -> Result<Response, Response> {
    let client = client_of(&visit, visit.query.get("id")).await?;
    let secrets = client.secrets.len();
    let own = address(ONE, &[("id", &client.id)]);
    let body = html! {
        p { "When it is deleted:" }
        ul {
            li { "Everybody who has connected " strong { (called(&client)) } " is disconnected: \
                  its codes, its access tokens, and its refresh tokens are refused at once." }
            @if secrets > 0 {
                li {
                    "Its " @if secrets == 1 { "secret is" } @else { (secrets) " secrets are" }
                    " refused, and so is its id, " span class="id" { (client.id) } "."
                }
            } @else {
                li { "Its id, " span class="id" { (client.id) } ", is refused." }
            }
            li { "Nothing of it comes back, also when its id is registered again." }
        }
        @if client.is_enabled() {
            p { "To stop it for a while, disable it instead: then it can be enabled again." }
        }
        form method="post" action=(DELETE) class="choices" {
            (visit.proof(DELETE))
            input type="hidden" name="id" value=(client.id);
            button class="danger" { "Delete the client" }
            a class="button plain" href=(own) { "Cancel" }
        }
    };
    let title = format!("Delete {}?", called(&client));
    Ok(visit.page(CLIENTS, &title, &body).render())
}

pub(super) async fn delete(OperatorPosted(posted): OperatorPosted) -> Result<Response, Response> {
    let visit = &posted.visit;
    let client = client_of(visit, posted.form.get("id")).await?;
    visit.grants().delete_client(&client.id).await.map_err(failed)?;
    Ok(see_other("/operator/clients?done=client-deleted"))
}
