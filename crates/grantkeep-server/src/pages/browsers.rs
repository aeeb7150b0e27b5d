//! The browsers that a person is signed in with, and signing out of the others.

use crate::pages::layout::see_other;
use crate::pages::nav::BROWSERS;
use crate::pages::visit::{Posted, Visit, more};
use crate::pages::when::when;
use crate::people::failed;
use crate::session::PAGES;
use axum::response::Response;
use grantkeep::FamilyId;
use grantkeep_grants::{GrantInForce, OthersRevoked};
use maud::{Markup, html};

pub(super) const OUT: &str = "/account/browsers/out";
pub(super) const OTHERS_OUT: &str = "/account/browsers/others-out";
pub(super) const EVERYTHING_OUT: &str = "/account/browsers/everything-out";

/// Families that are looked at for one page.
const PAGE: usize = 200;

pub(super) async fn list(visit: Visit) -> Result<Response, Response> {
    let listed = visit.grants().families_of(visit.subject(), visit.cursor(), PAGE).await;
    let listed = listed.map_err(failed)?;
    let mut browsers: Vec<&GrantInForce> =
        listed.items.iter().filter(|grant| grant.client == PAGES).collect();
    browsers.sort_by_key(|browser| (browser.family != visit.session.family, browser.granted_at));
    let others = listed.next.is_some()
        || browsers.iter().any(|browser| browser.family != visit.session.family);
    let body = html! {
        p { "You are signed in with these browsers. Sign out any that you do not know." }
        ul class="items" { @for browser in &browsers { (item(&visit, browser)) } }
        (more(BROWSERS, &[], listed.next))
        h2 { "Everywhere else" }
        @if !others {
            p class="quiet" { "You are signed in nowhere else." }
        }
        div class="choices" {
            @if others {
                (visit.button(OTHERS_OUT, &[], &html! { "Sign out all other browsers" }))
            }
            (visit.asked(
                EVERYTHING_OUT,
                &[],
                ("Sign out everywhere else", ""),
                "All other browsers are signed out, and every connected app loses its access. \
                 Your API keys stay.",
            ))
        }
    };
    Ok(visit.page(BROWSERS, "Browsers", &body).render())
}

fn item(visit: &Visit, browser: &GrantInForce) -> Markup {
    let family = browser.family.to_string();
    let own = browser.family == visit.session.family;
    html! {
        li {
            div {
                h2 {
                    @if browser.label.is_empty() { "A browser" } @else { (browser.label) }
                }
                p class="quiet" {
                    @if own { strong { "This browser. " } }
                    "Signed in " (when(browser.granted_at)) ". Ends " (when(browser.ends_at)) "."
                }
            }
            @if own {
                a class="button small plain" href="/signout" { "Sign out" }
            } @else {
                (visit.button(OUT, &[("family", &family)], &html! {
                    "Sign out" span class="unseen" { " " (browser.label) }
                }))
            }
        }
    }
}

pub(super) async fn out(posted: Posted) -> Result<Response, Response> {
    let family: FamilyId = posted.field("family", "The browser")?.parse().map_err(failed)?;
    let visit = &posted.visit;
    visit.grants().revoke_family_of(visit.subject(), family).await.map_err(failed)?;
    Ok(see_other("/account/browsers?done=browser-out"))
}

/// Signs out every other browser: apps keep their access.
pub(super) async fn others_out(posted: Posted) -> Result<Response, Response> {
    let visit = &posted.visit;
    end_others(visit, visit.session.family).await?;
    Ok(see_other("/account/browsers?done=browsers-out"))
}

/// Ends every session of this person but one, each by itself.
pub(super) async fn end_others(visit: &Visit, kept: FamilyId) -> Result<(), Response> {
    let (grants, subject) = (visit.grants(), visit.subject());
    let mut cursor = None;
    loop {
        let listed = grants.families_of(subject, cursor, PAGE).await.map_err(failed)?;
        let is_other = |grant: &&GrantInForce| grant.client == PAGES && grant.family != kept;
        for other in listed.items.iter().filter(is_other) {
            grants.revoke_family_of(subject, other.family).await.map_err(failed)?;
        }
        cursor = listed.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

/// Ends all that clients have on behalf of this person but this session, in one write.
pub(super) async fn everything_out(posted: Posted) -> Result<Response, Response> {
    let visit = &posted.visit;
    let ended = visit.grants().revoke_others(visit.subject(), visit.session.family).await;
    Ok(match ended.map_err(failed)? {
        OthersRevoked::Kept => see_other("/account/browsers?done=everything-out"),
        // This session had ended meanwhile.
        _ => see_other("/signin"),
    })
}
