//! Signing in, and saying yes or no to a client.

use crate::pages::layout::Page;
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

/// What the page to sign in on says besides.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Said<'a> {
    Nothing,
    Notice(&'a str),
    /// It is an answer to a form, and not the one that was hoped for.
    Wrong {
        why: &'a str,
        /// The user name that was typed: whoever has mistyped a password keeps it.
        name: &'a str,
    },
}

/// The page to sign in on; its form goes to `action`.
pub(crate) fn sign_in(title: &str, action: &str, csrf: &str, said: Said<'_>) -> Response {
    let name = match said {
        Said::Wrong { name, .. } => name,
        Said::Nothing | Said::Notice(_) => "",
    };
    let body = html! {
        h1 { "Sign in to " (title) }
        @match said {
            Said::Nothing => {}
            Said::Notice(notice) => { p class="notice" role="status" { (notice) } }
            Said::Wrong { why, .. } => { p class="wrong" role="alert" { (why) } }
        }
        form method="post" action=(action) {
            input type="hidden" name="csrf" value=(csrf);
            label {
                "User name"
                input type="text" name="username" value=(name) autocomplete="username" required
                    autofocus[name.is_empty()];
            }
            label {
                "Password"
                input type="password" name="password" autocomplete="current-password" required
                    autofocus[!name.is_empty()];
            }
            p class="choices" { button { "Sign in" } }
        }
    };
    // Not 401, which has to name an authentication scheme of HTTP (RFC 9110 section 15.5.2).
    let wrong = matches!(said, Said::Wrong { .. });
    let status = if wrong { StatusCode::FORBIDDEN } else { StatusCode::OK };
    Page::new(&format!("Sign in to {title}"), body).status(status).render()
}

/// What is asked for, in words.
pub(crate) struct Question<'a> {
    pub(crate) client: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) scopes: &'a [String],
    pub(crate) action: &'a str,
    /// The resource servers it is for; none means any.
    pub(crate) resources: &'a [String],
    pub(crate) csrf: &'a str,
    /// The origin that the answer leads to.
    pub(crate) leads_to: &'a str,
}

/// The page to approve or deny on.
pub(crate) fn approve(question: &Question<'_>) -> Response {
    let body: Markup = html! {
        h1 { (question.client) " asks for access" }
        p { "You are signed in as " strong { (question.subject) } "." }
        @if question.scopes.is_empty() {
            p { "It will know who you are, and nothing else." }
        } @else {
            p { "It will be able to:" }
            ul { @for scope in question.scopes { li { (scope) } } }
        }
        @if !question.resources.is_empty() {
            p { "It will be able to do so at " (question.resources.join(", ")) " alone." }
        }
        p class="quiet" {
            "You go on at " (question.leads_to) ". You can take this back at any time, under \
             connected apps."
        }
        form method="post" action=(question.action) class="choices" {
            input type="hidden" name="csrf" value=(question.csrf);
            button name="decision" value="approve" { "Authorize" }
            button name="decision" value="deny" class="plain" { "Deny" }
        }
    };
    let title = format!("{} asks for access", question.client);
    Page::new(&title, body).leads_away().render()
}
