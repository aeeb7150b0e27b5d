//! A secret that is shown once: in a field to copy it from, by a button or by hand.

use crate::pages::layout::{Page, asset};
use crate::pages::visit::Visit;
use axum::response::Response;
use maud::{Markup, html};

pub(super) const SCRIPT_PATH: &str = "/copy.js";
const SCRIPT: &str = include_str!("copy.js");

pub(super) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

/// The page with a secret, and the way back to where it is listed.
pub(super) fn page<'a>(
    visit: &Visit,
    (here, back): (&str, &str),
    title: &'a str,
    says: &Markup,
    secrets: &[(&str, &str)],
) -> Page<'a> {
    let body = html! {
        p { (says) }
        @for (at, (name, secret)) in secrets.iter().enumerate() {
            @let id = format!("secret-{at}");
            div class="secret" {
                label for=(id) { (name) }
                textarea id=(id) readonly spellcheck="false" autocomplete="off"
                    rows=(rows(secret)) { (secret) }
                button type="button" class="small plain" data-copies=(id) hidden {
                    "Copy" span class="unseen" { " " (name) }
                }
            }
        }
        p class="quiet" role="status" data-copied { }
        p { a class="button" href=(back) { "I have kept it: go on" } }
    };
    visit.page(here, title, &body).script(SCRIPT_PATH)
}

/// As many lines as it takes on a phone.
fn rows(secret: &str) -> usize {
    secret.len().div_ceil(32).clamp(1, 12)
}
