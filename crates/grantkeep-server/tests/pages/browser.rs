//! A site without a network, and browsers that keep cookies and fill in forms.

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode, header};
use futures_util::future::BoxFuture;
use grantkeep::Store;
use grantkeep_axum::Rejection;
use grantkeep_grants::{Creation, Grant, GrantType, Grants, Issued, NewClient};
use grantkeep_server::{Config, PasswordChange, Server, Stop, System, Users};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tower::ServiceExt as _;
use zeroize::Zeroizing;

/// What everybody's password is.
pub(crate) const PASSWORD: &str = "correct horse";
/// Somebody whose name is markup.
pub(crate) const MARKUP: &str = "<script>alert('m')</script>";

/// alice, who is an operator, bob, who may be gone, and somebody whose name is markup; with the
/// passwords that they have changed.
#[derive(Default)]
pub(crate) struct Everybody {
    pub(crate) without_bob: Arc<AtomicBool>,
    changed: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Everybody {
    fn is_right(&self, name: &str, password: &str) -> bool {
        let changed = self.changed.lock().unwrap();
        let own = changed.get(name).map_or(PASSWORD, String::as_str);
        ["alice", "bob", MARKUP].contains(&name) && password == own
    }
}

impl Users for Everybody {
    fn verify(
        &self,
        name: String,
        password: Zeroizing<String>,
    ) -> BoxFuture<'static, Result<Option<String>, Rejection>> {
        let right = self.is_right(&name, &password);
        Box::pin(async move { Ok(right.then_some(name)) })
    }

    fn is_known(&self, subject: &str) -> bool {
        !(subject == "bob" && self.without_bob.load(Ordering::SeqCst))
    }

    fn is_operator(&self, subject: &str) -> bool {
        subject == "alice" || subject == MARKUP
    }

    fn changes_passwords(&self) -> bool {
        true
    }

    fn change_password(
        &self,
        subject: String,
        present: Zeroizing<String>,
        new: Zeroizing<String>,
    ) -> BoxFuture<'static, Result<PasswordChange, Rejection>> {
        let right = self.is_right(&subject, &present);
        if right {
            self.changed.lock().unwrap().insert(subject, new.to_string());
        }
        let answer = if right { PasswordChange::Changed } else { PasswordChange::Wrong };
        Box::pin(async move { Ok(answer) })
    }
}

/// A server that is asked directly.
pub(crate) struct Site {
    pub(crate) server: Server,
    app: Router,
    _directory: TempDir,
}

impl Site {
    pub(crate) async fn of(system: &str) -> Self {
        Self::configured(Self::config(system)).await
    }

    pub(crate) fn config(system: &str) -> Config {
        Config::new(System::named(system).unwrap(), ([127, 0, 0, 1], 0).into())
    }

    pub(crate) async fn configured(config: Config) -> Self {
        Self::with(config, Arc::new(Everybody::default())).await
    }

    /// One of other people.
    pub(crate) async fn with(config: Config, users: Arc<dyn Users>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("tokens")).unwrap();
        Self::on(store, directory, config, users).await
    }

    /// On this store, which is in that directory.
    pub(crate) async fn on(
        store: Store,
        directory: TempDir,
        config: Config,
        users: Arc<dyn Users>,
    ) -> Self {
        let server = Server::bind(store, users, config, &Stop::new()).await.unwrap();
        let app = server.router();
        Self { server, app, _directory: directory }
    }

    pub(crate) fn grants(&self) -> &Grants {
        self.server.grants()
    }

    /// A client with every grant of the system, and its secret.
    pub(crate) async fn client(&self, name: &str) -> (String, String) {
        let new = NewClient::confidential(None)
            .name(name)
            .redirect_uri("https://app.example/cb")
            .grants([GrantType::AuthorizationCode, GrantType::RefreshToken, GrantType::DeviceCode])
            .scopes("property:read");
        let Creation::Created(made) = self.grants().create_client(new).await.unwrap() else {
            panic!("the id is taken");
        };
        (made.client.id, made.secret.unwrap().expose().to_owned())
    }

    /// What a client has on behalf of somebody.
    pub(crate) async fn granted(&self, client: &str, subject: &str) -> Issued {
        let grant = Grant::new(client, subject).scopes("property:read").label("kitchen tablet");
        self.grants().open(grant.sealed_facts(b"192.0.2.7 Tablet/1.0")).await.unwrap()
    }

    /// The status that the example API answers this token with.
    pub(crate) async fn api(&self, token: &str) -> StatusCode {
        let request = Request::get("/properties")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::empty());
        self.app.clone().oneshot(request.unwrap()).await.unwrap().status()
    }

    pub(crate) fn browser(&self) -> Browser<'_> {
        let from = "192.0.2.1:5000".parse().unwrap();
        Browser { site: self, cookies: BTreeMap::new(), from, fields: HeaderMap::new() }
    }

    pub(crate) async fn signed_in(&self, name: &str) -> Browser<'_> {
        let mut browser = self.browser();
        browser.sign_in(name).await;
        browser
    }
}

/// A browser.
#[derive(Clone)]
pub(crate) struct Browser<'a> {
    site: &'a Site,
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) from: SocketAddr,
    /// What it says with each request besides.
    pub(crate) fields: HeaderMap,
}

/// What it was answered.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Browser<'_> {
    async fn send(&mut self, request: axum::http::request::Builder, body: String) -> Page {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = request.extension(ConnectInfo(self.from)).body(Body::from(body)).unwrap();
        request.headers_mut().extend(self.fields.clone());
        if !cookies.is_empty() {
            request.headers_mut().insert(header::COOKIE, cookies.join("; ").parse().unwrap());
        }
        let answer = self.site.app.clone().oneshot(request).await.unwrap();
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, rest) = cookie.split_once('=').unwrap();
            let (value, about) = rest.split_once(';').unwrap();
            if about.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let (parts, body) = answer.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Page { status: parts.status, headers: parts.headers, text }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Page {
        self.send(Request::get(path), String::new()).await
    }

    /// A page that is there.
    pub(crate) async fn page(&mut self, path: &str) -> Page {
        let page = self.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
        page
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let media = "application/x-www-form-urlencoded";
        self.send(Request::post(path).header(header::CONTENT_TYPE, media), form.finish()).await
    }

    /// Sends the first form of a page that goes to `action` and holds `mark`, with more fields.
    pub(crate) async fn submit(
        &mut self,
        page: &Page,
        (action, mark): (&str, &str),
        fields: &[(&str, &str)],
    ) -> Page {
        let hidden = page.hidden(action, mark);
        let hidden = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<(&str, &str)> = hidden.chain(fields.iter().copied()).collect();
        self.post(action, &all).await
    }

    pub(crate) async fn sign_in(&mut self, name: &str) {
        let status = self.sign_in_with(name, PASSWORD).await;
        assert_eq!(status, StatusCode::SEE_OTHER);
    }

    /// What a sign-in with this password is answered.
    pub(crate) async fn sign_in_with(&mut self, name: &str, password: &str) -> StatusCode {
        let page = self.page("/signin").await;
        let fields = [("username", name), ("password", password)];
        self.submit(&page, ("/signin", ""), &fields).await.status
    }

    /// Whether it is signed in.
    pub(crate) async fn is_in(&mut self) -> bool {
        self.get("/account/browsers").await.status == StatusCode::OK
    }
}

impl Page {
    /// The hidden fields of the first form that goes to `action` and holds `mark`.
    pub(crate) fn hidden(&self, action: &str, mark: &str) -> Vec<(String, String)> {
        let action = format!("action=\"{action}\"").replace('&', "&amp;");
        let form = self.text.split("<form").skip(1).find_map(|form| {
            let form = form.split("</form>").next().unwrap();
            (form.contains(&action) && form.contains(mark)).then_some(form)
        });
        let form = form.unwrap_or_else(|| panic!("no form to {action} in {}", self.text));
        let hidden = form.split("<input type=\"hidden\"").skip(1).map(|input| {
            let input = input.split('>').next().unwrap();
            let of = |name: &str| {
                let (_, rest) = input.split_once(&format!("{name}=\"")).unwrap();
                rest.split('"').next().unwrap().replace("&lt;", "<").replace("&gt;", ">")
            };
            (of("name"), of("value"))
        });
        hidden.collect()
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        self.text.contains(text)
    }

    /// Where it leads.
    pub(crate) fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text);
        self.headers[header::LOCATION].to_str().unwrap()
    }

    /// The text of the field that shows a secret.
    pub(crate) fn secret(&self, id: &str) -> String {
        let (_, rest) = self.text.split_once(&format!("<textarea id=\"{id}\"")).unwrap();
        let (_, rest) = rest.split_once('>').unwrap();
        rest.split('<').next().unwrap().to_owned()
    }
}
