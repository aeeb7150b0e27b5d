//! Who is signed in: sessions in the store, so that any number of servers over one store would need
//! no state of their own.
//!
//! 1. A session is a family of the client [`PAGES`], which the server registers for itself, and its
//!    cookie is the family's access token. So it is listed, ended, and expired as everything else
//!    that was granted, and a sign-in makes a new one each time.
//! 2. Its audience is the pages alone: it opens no API, and no other token opens a page.
//! 3. A form carries a digest of the cookie that it was shown with. Another site can send the form,
//!    and the cookie goes along, but it cannot know the digest; and what a browser says of where a
//!    form comes from is looked at as well.

use crate::failure::Failure;
use axum::http::{HeaderMap, HeaderValue, header};
use data_encoding::HEXLOWER;
use grantkeep::{Error, ErrorKind, FamilyId};
use grantkeep_grants::{Checked, Creation, Demand, Grant, Grants, NewClient, Policy, Refreshing};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::time::Duration;
use zeroize::Zeroizing;

/// The client that sessions belong to.
pub(crate) const PAGES: &str = "grantkeep-pages";
/// What they are good for.
const AUDIENCE: &str = "https://pages.invalid";
/// How long one lasts.
const LIFETIME: Duration = Duration::from_secs(12 * 3_600);
/// What a digest of a cookie is for.
const CSRF: &str = "grantkeep pages 2026-11 csrf";
/// No label of a session is longer, in characters.
const LABEL_CHARS_MAX: usize = 80;

/// How the cookies are called and sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cookies {
    /// True where the server is reached by TLS.
    pub(crate) secure: bool,
}

/// A browser that has signed in.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) subject: String,
    pub(crate) family: FamilyId,
    cookie: Zeroizing<String>,
}

/// The grants with the policy of sessions, and their client registered.
///
/// # Errors
/// Whatever the store answers.
pub(crate) async fn prepare(grants: Grants) -> Result<Grants, Failure> {
    let policy =
        Policy { access_lifetime: LIFETIME, refreshing: Refreshing::Off, ..Policy::default() };
    let grants = grants.with_policy(PAGES, policy)?;
    let client = NewClient::confidential(PAGES).name("The pages of this server").policy(PAGES);
    // It may be there from before, and was disabled if the store is one that was restored. Sessions
    // from before that are not in force again.
    if matches!(grants.create_client(client).await?, Creation::Taken) {
        grants.enable_client(PAGES).await?;
    }
    Ok(grants)
}

impl Cookies {
    /// The name of a cookie; `__Host-` has a browser send it to this host alone, by TLS
    /// (RFC 6265bis section 4.1.3.2).
    fn name(self, name: &str) -> String {
        if self.secure { format!("__Host-{name}") } else { name.to_owned() }
    }

    fn read<'a>(self, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        let name = self.name(name);
        let fields = headers.get_all(header::COOKIE).iter().filter_map(|field| field.to_str().ok());
        let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| {
            let (known, value) = pair.trim().split_once('=')?;
            (known == name).then_some(value)
        });
        pairs.next()
    }

    /// The field that sets a cookie, or takes it back.
    fn field(self, name: &str, value: &str, lasts: Duration) -> Option<HeaderValue> {
        let (name, secure) = (self.name(name), if self.secure { "; Secure" } else { "" });
        let seconds = lasts.as_secs();
        let text =
            format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
        let mut field = HeaderValue::try_from(text).ok()?;
        field.set_sensitive(true);
        Some(field)
    }

    /// The field that ends a session in the browser.
    pub(crate) fn forget(self) -> Option<HeaderValue> {
        self.field("session", "", Duration::ZERO)
    }

    /// What stands for a browser that has not signed in, and the field that sets it if it is new.
    pub(crate) fn visitor(self, headers: &HeaderMap) -> Option<(Visitor, Option<HeaderValue>)> {
        let drawn = |value: &&str| HEXLOWER.decode(value.as_bytes()).is_ok_and(|v| v.len() == 32);
        if let Some(known) = self.read(headers, "visitor").filter(drawn) {
            return Some((Visitor(known.to_owned()), None));
        }
        let mut random = [0; 32];
        SystemRandom::new().fill(&mut random).ok()?;
        let value = HEXLOWER.encode(&random);
        let field = self.field("visitor", &value, LIFETIME);
        Some((Visitor(value), field))
    }
}

/// A browser that has not signed in.
#[derive(Debug)]
pub(crate) struct Visitor(String);

/// What a form is shown with.
pub(crate) trait Shown {
    /// What the browser keeps, and another site does not know.
    fn secret(&self) -> &str;

    /// What the form carries: a digest of that and of what the form is for.
    fn csrf(&self, purpose: &str) -> String {
        let key = blake3::derive_key(CSRF, self.secret().as_bytes());
        blake3::keyed_hash(&key, purpose.as_bytes()).to_hex().to_string()
    }

    /// Whether a form carries it.
    fn is_own(&self, purpose: &str, carried: Option<&str>) -> bool {
        let (own, carried) = (self.csrf(purpose), carried.unwrap_or_default());
        constant_time_eq::constant_time_eq(own.as_bytes(), carried.as_bytes())
    }
}

impl Shown for Visitor {
    fn secret(&self) -> &str {
        &self.0
    }
}

impl Shown for Session {
    fn secret(&self) -> &str {
        &self.cookie
    }
}

/// The session of a request, if there is one.
///
/// # Errors
/// Whatever the store answers.
pub(crate) async fn session(
    grants: &Grants,
    cookies: Cookies,
    headers: &HeaderMap,
) -> grantkeep::Result<Option<Session>> {
    let Some(cookie) = cookies.read(headers, "session") else { return Ok(None) };
    let demand = Demand::new(AUDIENCE).audience_required();
    let Checked::Allowed(claims) = grants.check(cookie, &demand).await? else { return Ok(None) };
    let (Some(subject), Some(family)) = (claims.subject, claims.family) else { return Ok(None) };
    if claims.client.as_deref() != Some(PAGES) {
        return Ok(None);
    }
    let cookie = Zeroizing::new(cookie.to_owned());
    Ok(Some(Session { subject, family, cookie }))
}

/// Signs somebody in; answers the session, and the field that sets its cookie.
///
/// # Errors
/// Whatever the store answers.
pub(crate) async fn sign_in(
    grants: &Grants,
    cookies: Cookies,
    headers: &HeaderMap,
    subject: &str,
) -> grantkeep::Result<(Session, Option<HeaderValue>)> {
    let label = label(headers);
    let grant = Grant::new(PAGES, subject).audience([AUDIENCE]).label(label.as_str());
    let issued = grants.open(grant).await?;
    let cookie = Zeroizing::new(issued.access.expose().to_owned());
    let field = cookies.field("session", &cookie, LIFETIME);
    let Some(family) = issued.family else {
        return Err(Error::new(ErrorKind::Unavailable, "a session was opened without a family"));
    };
    Ok((Session { subject: subject.to_owned(), family, cookie }, field))
}

/// What people call the browser, or its own words for itself, cut short.
pub(crate) fn label(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).and_then(|field| field.to_str().ok());
    let agent = agent.unwrap_or("a browser");
    let of = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    match (of(&BROWSERS), of(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        _ => agent.chars().take(LABEL_CHARS_MAX).collect(),
    }
}

/// Browsers by what they say of themselves. Each claims to be those below it as well.
const BROWSERS: [(&str, &str); 5] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

/// Systems, likewise.
const SYSTEMS: [(&str, &str); 6] = [
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS X", "Mac"),
    ("Linux", "Linux"),
];

/// True unless the browser says that another site has sent this form. An old one says nothing, and
/// has the digest in the form to go by.
pub(crate) fn is_same_site(headers: &HeaderMap, origin: &str) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    headers.get(header::ORIGIN).is_none_or(|from| from.as_bytes() == origin.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a browser is called what people call it, and by its own words where nobody knows it,
    // cut short. Method: what some browsers say of themselves.
    #[test]
    fn browsers_are_called_what_people_call_them() {
        let called = |agent: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::USER_AGENT, agent.parse().unwrap());
            label(&headers)
        };
        let webkit = "AppleWebKit/537.36 (KHTML, like Gecko)";
        let known = [
            (
                format!("Mozilla/5.0 (X11; Linux x86_64) {webkit} Chrome/156.0 Safari/537.36"),
                "Chrome on Linux",
            ),
            (
                format!("Mozilla/5.0 (Windows NT 10.0) {webkit} Chrome/1.0 Safari/1 Edg/1"),
                "Edge on Windows",
            ),
            (
                format!("Mozilla/5.0 (iPhone; CPU like Mac OS X) {webkit} Version/1 Safari/1"),
                "Safari on iPhone",
            ),
            ("Mozilla/5.0 (Android 15; rv:1) Gecko/1 Firefox/1".to_owned(), "Firefox on Android"),
        ];
        for (agent, name) in known {
            assert_eq!(called(&agent), name);
        }
        assert_eq!(called("curl/8.5.0"), "curl/8.5.0");
        assert_eq!(called(&"x".repeat(500)).len(), LABEL_CHARS_MAX);
        assert_eq!(label(&HeaderMap::new()), "a browser");
    }
}
