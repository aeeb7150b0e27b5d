//! A person with a browser, for clients in any language: `GET /decide?url=...&decision=approve`
//! opens an address, follows its pages and their forms to the end, and answers where they lead.
//!
//! It does what a browser does that matters to a server: it keeps cookies, says where a form comes
//! from, and goes from a form to another origin only where the page's `form-action` names it.

use crate::forms::{Form, forms};
use crate::http::{Answer, send};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use std::collections::BTreeMap;
use std::sync::Arc;
use url::{Url, form_urlencoded};

/// No flow has more pages.
const PAGES_MAX: usize = 10;

/// The person.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) name: &'static str,
    pub(crate) password: &'static str,
}

/// Serves the browser on any free port of this machine; its address.
pub(crate) async fn serve(person: Person) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(decide).with_state(Arc::new(person));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn decide(State(person): State<Arc<Person>>, request: Request) -> (StatusCode, String) {
    let query = request.uri().query().unwrap_or_default().as_bytes();
    let query: BTreeMap<_, _> = form_urlencoded::parse(query).into_owned().collect();
    let (Some(address), Some(decision)) = (query.get("url"), query.get("decision")) else {
        return (StatusCode::BAD_REQUEST, "url and decision are missing".to_owned());
    };
    match person.follow(address, decision).await {
        Ok(led) => (StatusCode::OK, led),
        Err(wrong) => (StatusCode::BAD_GATEWAY, wrong),
    }
}

/// What a browser keeps while a person goes from page to page.
struct Visit {
    cookies: BTreeMap<String, String>,
    at: Url,
    /// The `Content-Security-Policy` of the page whose form was sent.
    policy: Option<String>,
    /// Whether that form said what the person wants.
    has_decided: bool,
}

/// A form to be sent.
struct Filled {
    action: String,
    body: String,
    decides: bool,
}

impl Person {
    /// Where the pages at this address lead, when they lead away from the server; otherwise the
    /// last page.
    pub(crate) async fn follow(&self, address: &str, decision: &str) -> Result<String, String> {
        let at = Url::parse(address).map_err(|cause| format!("{address}: {cause}"))?;
        let mut visit = Visit { cookies: BTreeMap::new(), at, policy: None, has_decided: false };
        let mut answer = visit.open(None).await?;
        for _ in 0..PAGES_MAX {
            if (300..400).contains(&answer.status) {
                let location = answer.field("location").ok_or("a redirect to nowhere")?;
                let next = visit.at.join(location).map_err(|cause| format!("{cause}"))?;
                visit.check_policy(&next)?;
                if next.origin() != visit.at.origin() {
                    return Ok(location.to_owned());
                }
                visit.at = next;
                answer = visit.open(None).await?;
                continue;
            }
            let text = answer.text();
            if answer.status >= 400 {
                return Err(format!("{}: {} {text}", visit.at, answer.status));
            }
            // What follows a decision may have a form as well: for the next one.
            let filled = self.filled(&forms(&text), &visit.at, decision);
            let Some(Filled { action, body, decides }) = filled.filter(|_| !visit.has_decided)
            else {
                return Ok(text);
            };
            visit.has_decided = decides;
            visit.policy = answer.field("content-security-policy").map(str::to_owned);
            visit.at = visit.at.join(&action).map_err(|cause| format!("{cause}"))?;
            answer = visit.open(Some(body)).await?;
        }
        Err(format!("{address}: more than {PAGES_MAX} pages"))
    }

    /// The form that leads on, filled in.
    fn filled(&self, forms: &[Form], at: &Url, decision: &str) -> Option<Filled> {
        let has = |form: &Form, name: &str| form.inputs.iter().any(|input| input.name == name);
        let pressed = |form: &Form| form.buttons.iter().find(|b| b.value == decision).cloned();
        let form = forms.iter().find(|form| has(form, "password"));
        let form = form.or_else(|| forms.iter().find(|form| pressed(form).is_some()));
        let form = form.or_else(|| forms.iter().find(|form| has(form, "user_code")))?;
        let mut body = form_urlencoded::Serializer::new(String::new());
        for input in form.inputs.iter().filter(|input| !input.name.is_empty()) {
            let typed = match input.name.as_str() {
                "username" => self.name.to_owned(),
                "password" => self.password.to_owned(),
                "user_code" if input.value.is_empty() => user_code(at).unwrap_or_default(),
                _ => input.value.clone(),
            };
            body.append_pair(&input.name, &typed);
        }
        let button = pressed(form);
        if let Some(button) = &button {
            body.append_pair(&button.name, &button.value);
        }
        let decides = button.is_some();
        Some(Filled { action: form.action.clone(), body: body.finish(), decides })
    }
}

fn user_code(at: &Url) -> Option<String> {
    let code = at.query_pairs().find(|(name, _)| name == "user_code")?;
    Some(code.1.into_owned())
}

impl Visit {
    /// Opens where it is, with a form or without, and keeps the cookies of the answer.
    async fn open(&mut self, form: Option<String>) -> Result<Answer, String> {
        let method = if form.is_some() { "POST" } else { "GET" };
        let mut request = axum::http::Request::builder().method(method).uri(self.at.as_str());
        if form.is_some() {
            let origin = self.at.origin().ascii_serialization();
            request = request
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(header::ORIGIN, origin)
                .header("sec-fetch-site", "same-origin");
        }
        if !self.cookies.is_empty() {
            let pairs: Vec<_> = self.cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
            request = request.header(header::COOKIE, pairs.join("; "));
        }
        let request = request.body(form.unwrap_or_default()).map_err(|cause| cause.to_string())?;
        let answer = send(request).await?;
        for field in answer.headers.get_all(header::SET_COOKIE) {
            let pair = field.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.insert(name.trim().to_owned(), value.to_owned());
            }
        }
        Ok(answer)
    }

    /// Refuses to go from a form where its page's policy does not let one lead (CSP Level 3 section
    /// 6.4.1).
    fn check_policy(&self, next: &Url) -> Result<(), String> {
        let Some(policy) = &self.policy else { return Ok(()) };
        let directives = policy.split(';').map(str::trim);
        let mut sources = directives.filter_map(|one| one.strip_prefix("form-action "));
        let Some(sources) = sources.next() else { return Ok(()) };
        let origin = next.origin().ascii_serialization();
        let own = next.origin() == self.at.origin();
        let scheme = format!("{}:", next.scheme());
        let named = sources
            .split(' ')
            .any(|source| source == origin || source == scheme || (own && source == "'self'"));
        if named { Ok(()) } else { Err(format!("{policy} lets no form lead to {origin}")) }
    }
}
