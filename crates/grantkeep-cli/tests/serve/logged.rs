//! What a server logs of its requests.

use super::server::{CLIENT, Place, TOKEN};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// The answer to a request, as it comes.
fn asked(address: SocketAddr, method: &str, target: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         X-Request-Id: of-the-client\r\nCookie: session=hush-in-a-field\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

// Goal: each answer carries an id of the server's own, and the log has one line for it with the
// method, the route, and the status, but nothing that a client sent: neither a path that leads
// nowhere nor a query, a body, or a field, nor a form that was escaped as a whole, which only
// Hapn's clients send and which has the secret in it. Method: requests with a word in each of these
// places; no refusal tells it back.
#[test]
fn requests_are_logged_under_their_ids_and_without_what_was_sent() {
    let place = Place::new();
    let server = place.start(&["--log", "info"]);
    let [(_, client), (_, secret)] = CLIENT;
    let granted =
        format!("client_id={client}&client_secret={secret}&grant_type=client_credentials");
    let whole = format!("grant_type=client_credentials%26client_id%3D{client}%26");
    let whole = format!("{whole}client_secret%3D{secret}%26state%3Dhush-in-one-pair");
    let whole_in_a_name = whole.replacen('=', "%3D", 1);
    let mut seen = Vec::new();
    for (method, target, body, status, line) in [
        ("POST", TOKEN, granted.as_str(), "200", "method=\"POST\" route=\"/api/oauth/token\""),
        ("POST", TOKEN, "code=hush-in-a-body", "400", "route=\"/api/oauth/token\""),
        ("POST", TOKEN, whole.as_str(), "400", "route=\"/api/oauth/token\""),
        ("POST", TOKEN, whole_in_a_name.as_str(), "400", "route=\"/api/oauth/token\""),
        ("GET", "/api/oauth/auth?code=hush-in-a-query", "", "400", "route=\"/api/oauth/auth\""),
        ("GET", "/hush-in-a-path", "", "404", "route=\"none\""),
        ("GET", "/api/cars", "", "401", "route=\"/api/cars\""),
    ] {
        let answer = asked(server.address, method, target, body);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(!answer.contains("hush") && !answer.contains(secret), "{answer}");
        let id = answer.split_once("\r\nx-request-id: ").expect("no id").1;
        let id = id.split_once("\r\n").unwrap().0.to_owned();
        assert!(!seen.iter().any(|(known, _, _)| *known == id) && id != "of-the-client");
        seen.push((id, line, status));
    }
    server.stop();
    let log = fs::read_to_string(place.path("stderr")).unwrap();
    for (id, line, status) in seen {
        let mut found = log.lines().filter(|logged| logged.contains(&format!("id=\"{id}\"")));
        let logged = found.next().expect("no line for a request");
        assert!(logged.contains(line) && logged.contains(&format!("status={status} ")), "{logged}");
        assert!(found.next().is_none(), "two lines for a request");
    }
    assert!(!log.contains("hush") && !log.contains(secret), "{log}");
}
