//! Signing in and out, as pages of their own.
//!
//! Where a sign-in leads is in the address of its page: a path of this server, and nothing else, so
//! that nobody is led elsewhere by a link to it.

use crate::pages::ask::Said;
use crate::pages::layout::see_other;
use crate::pages::nav::{BROWSERS, DASHBOARD, places};
use crate::pages::visit::{Posted, Visit, address, form, peer, query};
use crate::people::{People, failed};
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::Response;
use grantkeep_axum::Params;
use maud::html;
use std::sync::Arc;

/// The first page there is for whoever is signed in.
pub(super) async fn home(visit: Visit) -> Response {
    let first = places(visit.people.system).next();
    // Where nobody but operators has anything to do, that is where they do it.
    let first = match first {
        Some((BROWSERS, _)) if visit.is_operator() => DASHBOARD,
        Some((path, _)) => path,
        None => BROWSERS,
    };
    see_other(first)
}

pub(super) async fn page(
    State(people): State<Arc<People>>,
    request: Request,
) -> Result<Response, Response> {
    let (parts, _) = request.into_parts();
    let query = query(&parts)?;
    if people.session(&parts.headers).await?.is_some() {
        return Ok(see_other(next(&query)));
    }
    let said = match query.get("done") {
        Some("signed-out") => Said::Notice("You are signed out."),
        _ => Said::Nothing,
    };
    people.sign_in_page(&parts.headers, &action(&query), said)
}

pub(super) async fn sign_in(
    State(people): State<Arc<People>>,
    request: Request,
) -> Result<Response, Response> {
    let (parts, body) = request.into_parts();
    people.check_origin(&parts.headers)?;
    let (query, from) = (query(&parts)?, peer(&parts));
    let headers = parts.headers.clone();
    let form = form(Request::from_parts(parts, body)).await?;
    let (_, cookie) = people.sign_in(&headers, from, &action(&query), &form).await?;
    let mut response = see_other(next(&query));
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

pub(super) async fn ask_out(visit: Visit) -> Response {
    let body = html! {
        p { "This browser forgets you. Apps that you have connected keep their access." }
        (visit.button("/signout", &[], &html! { "Sign out" }))
    };
    visit.page("/signout", "Sign out", &body).render()
}

pub(super) async fn sign_out(posted: Posted) -> Result<Response, Response> {
    let Posted { visit, .. } = posted;
    visit.grants().revoke_family(visit.session.family).await.map_err(failed)?;
    let mut response = see_other("/signin?done=signed-out");
    if let Some(cookie) = visit.people.cookies.forget() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Where the form goes, with where it leads.
fn action(query: &Params) -> String {
    match next(query) {
        "/" => "/signin".to_owned(),
        next => address("/signin", &[("next", next)]),
    }
}

/// Where a sign-in leads: a path of this server. A browser reads two slashes, or a slash and a
/// backslash, as another host.
fn next(query: &Params) -> &str {
    let is_own = |next: &&str| {
        let visible = next.bytes().all(|byte| matches!(byte, 0x21..=0x7e) && byte != b'\\');
        visible && next.starts_with('/') && !next.starts_with("//")
    };
    query.get("next").filter(is_own).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a sign-in leads to a page of this server and nowhere else (RFC 9700 section 4.11).
    // Method: paths, and the ways to write another host that browsers know.
    #[test]
    fn a_sign_in_leads_nowhere_else() {
        let next_of = |next: &str| {
            let query = address("", &[("next", next)]);
            super::next(&Params::of_form(query.trim_start_matches('?')).unwrap()).to_owned()
        };
        for own in ["/device?user_code=WDJB-MJHT", "/apps", "/"] {
            assert_eq!(next_of(own), own);
        }
        let elsewhere = ["//evil.example", "/\\evil.example", "https://evil.example", "evil", ""];
        for elsewhere in elsewhere.into_iter().chain(["/\t/evil.example", "/\r\nx: y", "/\u{e4}"]) {
            assert_eq!(next_of(elsewhere), "/", "{elsewhere:?}");
        }
    }
}
