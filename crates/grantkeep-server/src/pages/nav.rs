//! What stands above the pages: the system's name, the way to each page that is for this person,
//! who that is, and the way out.

use crate::pages::visit::Visit;
use crate::systems::System;
use grantkeep_grants::GrantType;
use maud::{Markup, html};

pub(crate) const MARKET: &str = "/apps";
pub(crate) const CONNECTED: &str = "/apps/connected";
pub(crate) const KEYS: &str = "/apps/api-keys";
pub(crate) const DEVICE: &str = "/device";
pub(crate) const BROWSERS: &str = "/account/browsers";
pub(crate) const PASSWORD: &str = "/account/password";
pub(crate) const CLIENTS: &str = "/operator/clients";
pub(crate) const GRANTS: &str = "/operator/grants";
pub(crate) const DASHBOARD: &str = "/operator/dashboard";

/// The pages of a system for everybody: each path, and what it is called.
pub(crate) fn places(system: &System) -> impl Iterator<Item = (&'static str, &'static str)> {
    [
        (system.one_click, MARKET, "Apps"),
        (system.asks(), CONNECTED, "Connected apps"),
        (system.personal, KEYS, "API keys"),
        (system.has(&GrantType::DeviceCode), DEVICE, "Add a device"),
        (true, BROWSERS, "Browsers"),
    ]
    .into_iter()
    .filter_map(|(is_there, path, name)| is_there.then_some((path, name)))
}

/// Those for operators.
const FOR_OPERATORS: [(&str, &str); 3] =
    [(DASHBOARD, "Dashboard"), (CLIENTS, "Clients"), (GRANTS, "Grants")];

/// The head of a page; `here` is the path that is marked.
pub(crate) fn head(visit: &Visit, here: &str) -> Markup {
    let place = |(path, name): (&str, &str)| {
        let current = (path == here).then_some("page");
        html! { li { a href=(path) aria-current=[current] { (name) } } }
    };
    let account = |(path, name): (&str, &str)| {
        let current = (path == here).then_some("page");
        html! { " " a href=(path) aria-current=[current] { (name) } }
    };
    let operators = if visit.is_operator() { &FOR_OPERATORS[..] } else { &[] };
    html! {
        header {
            p class="brand" { a href="/" { (visit.people.system.title) } }
            nav aria-label="Pages" {
                ul {
                    @for each in places(visit.people.system) { (place(each)) }
                    @for each in operators { (place(*each)) }
                }
            }
            p class="who" {
                span { span class="unseen" { "Signed in as " } strong { (visit.subject()) } }
                @if visit.people.users.changes_passwords() { (account((PASSWORD, "Password"))) }
                (account(("/signout", "Sign out")))
            }
        }
    }
}
