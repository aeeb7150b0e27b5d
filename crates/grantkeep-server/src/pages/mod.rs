//! The pages: rendered here, with one small style sheet, two small scripts, and nothing from
//! anybody else.

pub(crate) mod ask;
mod browsers;
mod client;
mod client_edit;
mod clients;
mod connected;
mod dashboard;
mod device;
mod guess;
mod keys;
pub(crate) mod layout;
pub(crate) mod market;
mod nav;
mod password;
mod secret;
mod sign;
mod subject;
pub(crate) mod tally;
mod visit;
mod when;

use crate::people::People;
use axum::Router;
use axum::routing::{get, post};
use grantkeep_grants::GrantType;
pub use market::OneClick;
use std::sync::Arc;

/// The pages that there are for the people of a system. What is counted for the dashboard is
/// counted from now on, on the runtime that this is called on.
pub(crate) fn router(people: Arc<People>) -> Router {
    tally::begin(&people);
    let system = people.system;
    let mut pages = Router::new()
        .route(layout::STYLE_PATH, get(layout::style))
        .route("/", get(sign::home))
        .route("/signin", get(sign::page).post(sign::sign_in))
        .route("/signout", get(sign::ask_out).post(sign::sign_out))
        .route(nav::BROWSERS, get(browsers::list))
        .route(browsers::OUT, post(browsers::out))
        .route(browsers::OTHERS_OUT, post(browsers::others_out))
        .route(browsers::EVERYTHING_OUT, post(browsers::everything_out))
        .route(secret::SCRIPT_PATH, get(secret::script));
    if people.users.changes_passwords() {
        pages = pages.route(nav::PASSWORD, get(password::page).post(password::change));
    }
    if system.asks() {
        pages = pages
            .route(nav::CONNECTED, get(connected::list))
            .route(connected::DISCONNECT, post(connected::disconnect))
            .route(connected::END, post(connected::end));
    }
    if system.personal {
        pages = pages
            .route(nav::KEYS, get(keys::list))
            .route(keys::CREATE, post(keys::create))
            .route(keys::REVOKE, post(keys::revoke));
    }
    if system.one_click {
        pages = pages
            .route(nav::MARKET, get(market::list))
            .route(market::APP, get(market::app))
            .route(market::START, post(market::start));
    }
    if system.has(&GrantType::DeviceCode) {
        pages = pages
            .route(nav::DEVICE, get(device::page).post(device::look))
            .route(device::DECIDE, post(device::decide));
    }
    pages.merge(for_operators()).with_state(people)
}

/// Those of operators.
fn for_operators() -> Router<Arc<People>> {
    Router::new()
        .route(nav::CLIENTS, get(clients::list))
        .route(clients::NEW, get(clients::new))
        .route(clients::CREATE, post(clients::create))
        .route(clients::ONE, get(client::show))
        .route(client_edit::EDIT, get(client_edit::page).post(client_edit::edit))
        .route(client_edit::DELETE, get(client_edit::ask_delete).post(client_edit::delete))
        .route(client::ROTATE, post(client::rotate))
        .route(client::REMOVE_SECRET, post(client::remove_secret))
        .route(client::DISABLE, post(client::disable))
        .route(client::ENABLE, post(client::enable))
        .route(nav::GRANTS, get(subject::show))
        .route(subject::END, post(subject::end))
        .route(subject::REVOKE_KEY, post(subject::revoke_key))
        .route(subject::END_ALL, post(subject::end_all))
        .route(nav::DASHBOARD, get(dashboard::page))
        .route(dashboard::DATA, get(dashboard::data))
        .route(dashboard::SCRIPT_PATH, get(dashboard::script))
}
