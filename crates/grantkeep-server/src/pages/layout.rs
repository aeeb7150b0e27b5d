//! What every page has: its frame, its style sheet, and the fields that keep others out.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

/// Where the style sheet is.
pub(crate) const STYLE_PATH: &str = "/style.css";
const STYLE: &str = include_str!("style.css");

/// A whole page, before it is rendered.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    title: &'a str,
    body: Markup,
    status: StatusCode,
    head: Option<Markup>,
    leads_away: bool,
    script: Option<&'static str>,
}

impl<'a> Page<'a> {
    /// A page by itself: a card in the middle, with nothing around it.
    pub(crate) fn new(title: &'a str, body: Markup) -> Self {
        let status = StatusCode::OK;
        Self { title, body, status, head: None, leads_away: false, script: None }
    }

    pub(crate) fn status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// A page among others: what stands above it leads to them, and it is as wide as they are.
    pub(crate) fn under(self, head: Markup) -> Self {
        Self { head: Some(head), ..self }
    }

    /// Its form leads to another site, such as the client that a decision is told to, and on from
    /// there to wherever that leads. Chromium holds each of these hops against `form-action`, and
    /// takes no address of IPv6 there, so such a page has none.
    pub(crate) fn leads_away(self) -> Self {
        Self { leads_away: true, ..self }
    }

    /// The address of a script of this server's own.
    pub(crate) fn script(self, path: &'static str) -> Self {
        Self { script: Some(path), ..self }
    }

    pub(crate) fn render(self) -> Response {
        let document = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) }
                    link rel="stylesheet" href=(STYLE_PATH);
                    link rel="icon" href="data:,";
                    @if let Some(script) = self.script { script src=(script) defer {} }
                }
                @if let Some(head) = &self.head {
                    body {
                        a class="skip" href="#content" { "Skip to the content" }
                        (head)
                        main id="content" tabindex="-1" { (self.body) }
                    }
                } @else {
                    body { main class="alone" { (self.body) } }
                }
            }
        };
        let mut response = (self.status, document.into_string()).into_response();
        let policy = format!(
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
             img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'{}",
            if self.leads_away { "" } else { "; form-action 'self'" },
        );
        let fields: [(HeaderName, &str); 6] = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
            (header::CONTENT_SECURITY_POLICY, &policy),
            (header::REFERRER_POLICY, "same-origin"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
        ];
        for (name, value) in fields {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// The style sheet.
pub(crate) async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

/// A part of pages that is the same for everybody.
pub(crate) fn asset(media_type: &'static str, text: &'static str) -> Response {
    let fields = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "public, max-age=3600"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (fields, text).into_response()
}

/// What an error says, as a sentence of a page.
pub(crate) fn sentence(says: &str) -> String {
    let mut chars = says.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}

/// A page that says what is wrong.
pub(crate) fn wrong(status: StatusCode, what: &str) -> Response {
    let body = html! {
        h1 { "That did not work" }
        p { (what) }
        p class="quiet" { "Nothing was changed. Go back to where you came from, and try again." }
    };
    Page::new("That did not work", body).status(status).render()
}

/// Leads a browser on after a form: to a page that it may load again as often as it likes.
pub(crate) fn see_other(path: &str) -> Response {
    let Ok(location) = HeaderValue::try_from(path) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let fields = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // A code may be in the address that it leads to.
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (StatusCode::SEE_OTHER, fields).into_response()
}
