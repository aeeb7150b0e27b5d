//! `curl`, as a person and as a client use it.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }

    /// The value of a field of the head.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// A parameter of the address that it redirects to.
    pub(crate) fn redirected(&self, name: &str) -> Option<String> {
        let (_, query) = self.field("location")?.split_once('?')?;
        let pair = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")))?;
        Some(pair.replace("%3A", ":").replace("%2F", "/"))
    }
}

/// Runs a command that begins with `curl`, to the letter, but for the head, which is wanted too.
pub(crate) fn run(command: &str) -> Answer {
    let command = command.replacen("curl ", "curl --silent --show-error --include ", 1);
    let done = Command::new("bash").arg("-c").arg(&command).output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
    read(&text)
}

/// Runs `curl` with these arguments.
pub(crate) fn curl(arguments: &[&str]) -> Answer {
    let done = Command::new("curl")
        .args(["--silent", "--show-error", "--include"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    read(&String::from_utf8_lossy(&done.stdout))
}

fn read(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok());
    Answer { status: status.unwrap_or(0), head: head.to_owned(), body: body.to_owned() }
}

/// A person's browser: it keeps cookies, and fills in forms.
pub(crate) struct Browser<'a> {
    pub(crate) jar: &'a Path,
    /// Where the server is.
    pub(crate) address: &'a str,
}

impl Browser<'_> {
    pub(crate) fn get(&self, address: &str) -> Answer {
        let jar = self.jar.to_str().unwrap();
        curl(&["--cookie", jar, "--cookie-jar", jar, address])
    }

    /// Sends the form of a page, with these fields beside the hidden ones.
    pub(crate) fn send(&self, page: &Answer, fields: &[(&str, &str)]) -> Answer {
        let jar = self.jar.to_str().unwrap();
        let action = attribute(&page.body, "<form", "action").unwrap().replace("&amp;", "&");
        let csrf = attribute(&page.body, "name=\"csrf\"", "value").unwrap();
        let mut arguments: Vec<String> =
            ["--cookie", jar, "--cookie-jar", jar].into_iter().map(str::to_owned).collect();
        for (name, value) in fields.iter().copied().chain([("csrf", csrf.as_str())]) {
            arguments.extend(["--data-urlencode".to_owned(), format!("{name}={value}")]);
        }
        arguments.extend(["--header".to_owned(), format!("Origin: {}", self.address)]);
        arguments.push(format!("{}{action}", self.address));
        curl(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Signs in and decides, from the first page to the redirect.
    pub(crate) fn decide(&self, request: &str, user: (&str, &str), decision: &str) -> Answer {
        let page = self.get(request);
        assert_eq!(page.status, 200, "{}", page.body);
        let page = self.send(&page, &[("username", user.0), ("password", user.1)]);
        assert_eq!(page.status, 200, "{}", page.body);
        self.send(&page, &[("decision", decision)])
    }
}

/// The value of an attribute, in the tag that has `mark`.
fn attribute(page: &str, mark: &str, name: &str) -> Option<String> {
    let from = page.find(mark)?;
    let tag_end = from + page[from..].find('>')?;
    let start = from + page[from..tag_end].find(&format!("{name}=\""))? + name.len() + 2;
    Some(page[start..start + page[start..].find('"')?].to_owned())
}
