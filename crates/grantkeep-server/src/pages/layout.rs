//! What every page has: its frame, its style sheet, and the fields that keep others out.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

/// Where the style sheet is.
pub(crate) const STYLE_PATH: &str = "/style.css";
const STYLE: &str = include_str!("style.css");

/// A whole page. `form_action` is another origin that its forms may end at, such as the client that
/// a decision leads back to.
pub(crate) fn page(
    status: StatusCode,
    title: &str,
    body: &Markup,
    form_action: Option<&str>,
) -> Response {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="stylesheet" href=(STYLE_PATH);
                link rel="icon" href="data:,";
            }
            body { main { (body) } }
        }
    };
    let mut response = (status, document.into_string()).into_response();
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
         img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'self'{}{}",
        if form_action.is_some() { " " } else { "" },
        form_action.unwrap_or_default(),
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

/// The style sheet.
pub(crate) async fn style() -> Response {
    let fields = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (fields, STYLE).into_response()
}

/// A page that says what is wrong.
pub(crate) fn wrong(status: StatusCode, what: &str) -> Response {
    let body = html! {
        h1 { "That did not work" }
        p { (what) }
        p class="quiet" { "Nothing was changed. Go back to where you came from, and try again." }
    };
    page(status, "That did not work", &body, None)
}
