//! Clients and people from files: read as a whole at start-up, before anything else is made.
//!
//! 1. A file is TOML, one table for each client or person. What it does not know, and what is
//!    missing, is refused, naming the file and the line.
//! 2. A client whose id is registered already is left as it is: its secret may have been replaced
//!    and it may have been disabled since, and a start must undo neither.
//! 3. People are those of the file for as long as the server runs. Who changes a password has its
//!    new hash put into the file in the place of the old one, before the new one counts: the file
//!    is read again then, since an operator may have edited it, and is replaced as a whole.
//! 4. No error shows what stands in the place of a secret or of a hash.

use grantkeep::{Error, ErrorKind, Result, read_named_file};
use grantkeep_grants::{Creation, GrantType, Grants, NewClient};
use grantkeep_server::{KnownUsers, OneClick, System};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use toml::Spanned;
use url::Url;
use zeroize::Zeroizing;

/// No such file is longer, in bytes: 16 MiB.
const FILE_BYTES_MAX: usize = 16 << 20;

/// A file that was read: its text is kept to say where in it something is.
struct Named<T> {
    what: &'static str,
    path: PathBuf,
    text: Zeroizing<String>,
    read: T,
}

impl<T: DeserializeOwned> Named<T> {
    fn read(what: &'static str, path: &Path) -> Result<Self> {
        let bytes = Zeroizing::new(read_named_file(what, path, FILE_BYTES_MAX)?);
        let named = Named { what, path: path.to_owned(), text: Zeroizing::default(), read: () };
        let text = std::str::from_utf8(&bytes);
        let text = text.map_err(|cause| named.wrong(0, &"not UTF-8 text").with_source(cause))?;
        let text = Zeroizing::new(text.to_owned());
        match toml::from_str(&text) {
            Ok(read) => Ok(Self { what, path: named.path, text, read }),
            Err(cause) => {
                // Its source would be printed with the line that it is in, secrets and all.
                let at = cause.span().map_or(0, |span| span.start);
                let what = cause.message().lines().next().unwrap_or_default().to_owned();
                Err(Named { text, ..named }.wrong(at, &what))
            }
        }
    }
}

impl<T> Named<T> {
    /// What is wrong with what stands at this byte.
    fn wrong(&self, at: usize, why: &dyn fmt::Display) -> Error {
        let line = self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        let (what, path) = (self.what, self.path.display());
        Error::new(ErrorKind::Limit, format!("{what} in {path}: line {line}: {why}"))
    }
}

/// A text that is not shown.
struct Hidden(Zeroizing<String>);

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self(Zeroizing::new(text))),
            // The parser's own message would show what stands there.
            _ => Err(D::Error::custom("a text in quotes is expected here")),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientTables {
    #[serde(default)]
    client: Vec<ClientTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientTable {
    id: Spanned<String>,
    #[serde(default)]
    name: String,
    secret: Option<Hidden>,
    #[serde(default)]
    redirect_uris: Vec<String>,
    grants: Vec<Spanned<String>>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    public: bool,
    one_click_redirect_uri: Option<Spanned<String>>,
    one_click_page: Option<Spanned<String>>,
}

impl ClientTable {
    /// What is wrong with it that the store would not say, or not where.
    fn check(&self) -> std::result::Result<(), (usize, String)> {
        let at = self.id.span().start;
        match (self.public, &self.secret) {
            (false, None) => {
                let why = "missing field `secret`: give one of 16 characters or more, or say \
                           `public = true`";
                return Err((at, why.to_owned()));
            }
            (true, Some(_)) => {
                return Err((at, "a public client has no `secret`: leave it out".to_owned()));
            }
            _ => {}
        }
        for grant in &self.grants {
            if GrantType::read(grant.get_ref()).is_none() {
                let why = format!("{:?} is not a grant type", grant.get_ref());
                return Err((grant.span().start, why));
            }
        }
        let redirected = |grant: &Spanned<String>| grant.get_ref() == "authorization_code";
        if self.redirect_uris.is_empty() && self.grants.iter().any(redirected) {
            let why = "missing field `redirect_uris`: a client with the grant type \
                       authorization_code needs one";
            return Err((at, why.to_owned()));
        }
        self.check_one_click()
    }

    fn check_one_click(&self) -> std::result::Result<(), (usize, String)> {
        match (&self.one_click_redirect_uri, &self.one_click_page) {
            (Some(_), Some(page)) => {
                let why = "`one_click_page` and `one_click_redirect_uri` exclude each other: the \
                           page gets no code";
                Err((page.span().start, why.to_owned()))
            }
            (Some(uri), None) if !self.redirect_uris.contains(uri.get_ref()) => {
                let why = "`one_click_redirect_uri` is none of the `redirect_uris`: add it there";
                Err((uri.span().start, why.to_owned()))
            }
            (None, Some(page)) if !is_page(page.get_ref()) => {
                let why = "`one_click_page` is no https address (or http on this machine)";
                Err((page.span().start, why.to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Where its flows lead that the server starts, if the file says so, and where it says that.
    fn one_click(&self) -> Option<(usize, OneClick)> {
        let code = self.one_click_redirect_uri.as_ref();
        let page = self.one_click_page.as_ref();
        code.map(|uri| (uri.span().start, OneClick::Code(uri.get_ref().clone()))).or_else(|| {
            page.map(|page| (page.span().start, OneClick::Page(page.get_ref().clone())))
        })
    }

    fn as_new(&self) -> NewClient<'_> {
        let id = self.id.get_ref().as_str();
        let new = match &self.secret {
            Some(Hidden(secret)) => NewClient::confidential(id).secret(secret.as_str()),
            None => NewClient::public(id),
        };
        let grants = self.grants.iter().filter_map(|grant| GrantType::read(grant.get_ref()));
        let scopes: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        let new = new.name(self.name.as_str()).grants(grants).scopes(scopes);
        self.redirect_uris.iter().fold(new, |new, uri| new.redirect_uri(uri))
    }
}

/// Whether a browser may be led there.
fn is_page(address: &str) -> bool {
    let Ok(url) = Url::parse(address) else { return false };
    let here = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    url.has_host() && (url.scheme() == "https" || (url.scheme() == "http" && here))
}

/// The clients of a file.
pub(crate) struct ClientsFile(Named<ClientTables>);

/// What became of the clients of a file.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Registered {
    /// Those that are new.
    pub(crate) new: usize,
    /// Those that were registered already, and are left as they are.
    pub(crate) known: usize,
}

impl ClientsFile {
    /// Reads a file of clients.
    ///
    /// # Errors
    /// For a file that cannot be read, and whatever is wrong with what is in it, naming the line.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let file = Named::<ClientTables>::read("the clients", path)?;
        let mut ids = BTreeSet::new();
        for table in &file.read.client {
            table.check().map_err(|(at, why)| file.wrong(at, &why))?;
            if !ids.insert(table.id.get_ref()) {
                let why = format!("the id {:?} comes twice", table.id.get_ref());
                return Err(file.wrong(table.id.span().start, &why));
            }
        }
        Ok(Self(file))
    }

    /// Where flows lead that this system starts, by the client's id.
    ///
    /// # Errors
    /// If the system starts none, and a client is to be started, naming its line.
    pub(crate) fn one_click(&self, system: &System) -> Result<BTreeMap<String, OneClick>> {
        let mut all = BTreeMap::new();
        for table in &self.0.read.client {
            let Some((at, one_click)) = table.one_click() else { continue };
            if !system.one_click {
                let why = format!("{} starts no flows itself: leave it out", system.title);
                return Err(self.0.wrong(at, &why));
            }
            all.insert(table.id.get_ref().clone(), one_click);
        }
        Ok(all)
    }

    /// Registers those that are not registered yet.
    ///
    /// # Errors
    /// What the grants refuse in a client, naming its line; and whatever the store answers.
    pub(crate) async fn register(&self, grants: &Grants) -> Result<Registered> {
        let mut registered = Registered::default();
        for table in &self.0.read.client {
            let created =
                grants.create_client(table.as_new()).await.map_err(|cause| match cause.kind() {
                    ErrorKind::Limit => self.0.wrong(table.id.span().start, &cause),
                    _ => cause,
                })?;
            match created {
                Creation::Created(_) => registered.new += 1,
                _ => registered.known += 1,
            }
        }
        Ok(registered)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserTables {
    #[serde(default)]
    user: Vec<UserTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserTable {
    name: Spanned<String>,
    password_hash: Spanned<Hidden>,
    #[serde(default)]
    operator: bool,
}

/// Adds the people of a file; answers how many there are.
///
/// # Errors
/// As [`ClientsFile::read`], and for a hash that is none of Argon2.
pub(crate) fn add_users(path: &Path, users: &KnownUsers) -> Result<usize> {
    let file = Named::<UserTables>::read("the users", path)?;
    let mut names = BTreeSet::new();
    for UserTable { name, password_hash, operator } in &file.read.user {
        let wrong = |why: &dyn fmt::Display| file.wrong(name.span().start, why);
        if name.get_ref().is_empty() {
            return Err(wrong(&"a name is empty"));
        }
        if !names.insert(name.get_ref()) {
            return Err(wrong(&format!("the name {:?} comes twice", name.get_ref())));
        }
        let added = users.add(name.get_ref(), &password_hash.get_ref().0, *operator);
        added.map_err(|cause| wrong(&cause))?;
    }
    Ok(names.len())
}

/// Puts the hash of somebody's new password into the file of people, in the place of the old one.
/// All else in the file stays, to the byte.
///
/// # Errors
/// As [`add_users`], for somebody who is not in the file any more, and where it cannot be written.
///
/// # Durability
/// The file has the new hash, also after a crash, when this returns; else it has the old one.
pub(crate) fn keep_password(path: &Path, name: &str, hash: &str) -> io::Result<()> {
    let file = Named::<UserTables>::read("the users", path).map_err(io::Error::other)?;
    let table = file.read.user.iter().find(|table| table.name.get_ref() == name);
    let table = table.ok_or_else(|| io::Error::other(file.wrong(0, &"nobody is called so")))?;
    let place = table.password_hash.span();
    let (before, after) = (file.text.get(..place.start), file.text.get(place.end..));
    let (Some(before), Some(after)) = (before, after) else {
        return Err(io::Error::other(file.wrong(place.start, &"it has no place for a hash")));
    };
    // A hash has no quote in it: its characters are those of PHC strings.
    let text = Zeroizing::new(format!("{before}'{hash}'{after}"));
    // It may be a link to the file that is meant.
    let path = std::fs::canonicalize(path)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut fresh = tempfile::Builder::new().prefix(".users-").tempfile_in(directory)?;
    fresh.as_file().set_permissions(std::fs::metadata(&path)?.permissions())?;
    fresh.write_all(text.as_bytes())?;
    fresh.as_file().sync_all()?;
    fresh.persist(&path)?;
    std::fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a file with this text.
    fn said(text: &str, read: impl FnOnce(&Path) -> Result<()>) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("named.toml");
        std::fs::write(&path, text).unwrap();
        let error = read(&path).unwrap_err();
        assert!(std::error::Error::source(&error).is_none(), "a source may show the line");
        let said = error.to_string();
        assert!(said.contains("named.toml: line "), "{said}");
        said
    }

    // Goal: what is wrong with a file of clients is told with its line, and never what stands in
    // the place of a secret. Method: each fault in the second table of a file.
    #[test]
    fn faults_of_a_clients_file_are_told_with_their_line() {
        let first = "[[client]]\nid = 'a'\nsecret = 'of sixteen or more'\ngrants = []\n\n";
        for (line, told, second) in [
            (6, "missing field `id`", "[[client]]\nsecret = 'hush-hush-hush-hush'\ngrants = []"),
            (6, "missing field `grants`", "[[client]]\nid = 'b'\nsecret = 'hush-hush-hush-hush'"),
            (7, "missing field `secret`", "[[client]]\nid = 'b'\ngrants = []"),
            (9, "unknown field `secrets`", "[[client]]\nid = 'b'\ngrants = []\nsecrets = 'hush'"),
            (6, "unknown field `clients`", "[[clients]]\nid = 'b'\nsecret = 'hush'\ngrants = []"),
            (8, "a text in quotes", "[[client]]\nid = 'b'\nsecret = ['hush']\ngrants = []"),
            (8, "", "[[client]]\nid = 'b'\nsecret = hush\ngrants = []"),
            (8, "", "[[client]]\nid = 'b'\nsecret = 'hush\ngrants = []"),
            (
                8,
                "is none of the `redirect_uris`",
                "[[client]]\nid = 'b'\none_click_redirect_uri = 'https://b.example/cb'\n\
                 secret = 'hush-hush-hush-hush'\ngrants = []",
            ),
            (
                8,
                "is no https address",
                "[[client]]\nid = 'b'\none_click_page = 'http://b.example'\n\
                 secret = 'hush-hush-hush-hush'\ngrants = []",
            ),
            (
                8,
                "exclude each other",
                "[[client]]\nid = 'b'\none_click_page = 'https://b.example'\n\
                 one_click_redirect_uri = 'x'\nsecret = 'hush-hush-hush-hush'\ngrants = []",
            ),
            (
                7,
                "has no `secret`",
                "[[client]]\nid = 'b'\nsecret = 'hush'\ngrants = []\npublic = true",
            ),
            (8, "not a grant type", "[[client]]\nid = 'b'\ngrants = ['a b']\nsecret = 'hush'"),
            (
                7,
                "`redirect_uris`",
                "[[client]]\nid = 'b'\nsecret = 'hush'\ngrants = ['authorization_code']",
            ),
            (7, "comes twice", "[[client]]\nid = 'a'\nsecret = 'hush-hush-hush-hush'\ngrants = []"),
        ] {
            let said =
                said(&format!("{first}{second}\n"), |path| ClientsFile::read(path).map(drop));
            assert!(
                said.contains(&format!("line {line}: ")) && said.contains(told),
                "{second}: {said}"
            );
            assert!(!said.contains("hush"), "{said}");
        }
    }

    // Goal: what is wrong with a file of people is told with its line, and never a hash. Method:
    // each fault in the second table of a file.
    #[test]
    fn faults_of_a_users_file_are_told_with_their_line() {
        let hash = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$BJdyuLG4Dtu0ZOLQYHp8X0EiXvoGy+5L";
        let first = format!("[[user]]\nname = 'alice'\npassword_hash = '{hash}'\n\n");
        for (line, told, second) in [
            (5, "missing field `name`", "[[user]]\npassword_hash = 'hush'"),
            (5, "missing field `password_hash`", "[[user]]\nname = 'bob'"),
            (6, "none of Argon2", "[[user]]\nname = 'bob'\npassword_hash = '$2b$12$hush'"),
            (7, "a text in quotes", "[[user]]\nname = 'bob'\npassword_hash = 77_77"),
            (7, "unknown field `admin`", "[[user]]\nname = 'bob'\nadmin = true"),
            (6, "comes twice", "[[user]]\nname = 'alice'\npassword_hash = 'hush'"),
            (6, "is empty", "[[user]]\nname = ''\npassword_hash = 'hush'"),
        ] {
            let users = KnownUsers::new().unwrap();
            let said =
                said(&format!("{first}{second}\n"), |path| add_users(path, &users).map(drop));
            assert!(
                said.contains(&format!("line {line}: ")) && said.contains(told),
                "{second}: {said}"
            );
            assert!(!said.contains("hush") && !said.contains("77"), "{said}");
        }
    }

    // Goal: a new hash takes the place of the old one, of that person alone, and all else in the
    // file stays: what an operator has written since, comments, and who may read it. Method: a file
    // behind a link that is edited meanwhile; then one that no longer has the person.
    #[test]
    fn a_new_hash_takes_the_place_of_the_old_one() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("users.toml"), dir.path().join("link.toml"));
        let of = |password: &str| grantkeep_server::hash(password).unwrap();
        let (old, new, hers) = (of("old"), of("new"), of("hers"));
        let text = |hash: &str, more: &str| {
            format!(
                "# Ours.\n[[user]]\nname = 'bob'\npassword_hash = {hash} # his\n{more}\n\
                 [[user]]\nname = \"alice\"\noperator = true\npassword_hash = \"{hers}\"\n"
            )
        };
        std::fs::write(&path, text(&format!("\"{old}\""), "")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        add_users(&link, &KnownUsers::new().unwrap()).unwrap();
        std::fs::write(&path, text(&format!("\"{old}\""), "operator = true")).unwrap();
        keep_password(&link, "bob", &new).unwrap();
        let kept = std::fs::read_to_string(&path).unwrap();
        assert_eq!(kept, text(&format!("'{new}'"), "operator = true"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
        assert_eq!(add_users(&link, &KnownUsers::new().unwrap()).unwrap(), 2);
        assert!(keep_password(&link, "carol", &new).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), kept);
    }
}
