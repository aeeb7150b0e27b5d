//! All that a store holds, written out: `docs/transfer.md`.

use crate::interposed::Interposed;
use crate::transfer_in::{import, line, on_disk, sha256};
use crate::world::*;
use grantkeep::backend::Backend;
use grantkeep::{Client, ErrorKind, ManualClock, Record as _, Wait as _};
use grantkeep_grants::{
    Authorize, DeviceRequest, Exported, Grant, Grants, NewClient, NewPersonal, Policy,
};
use serde_json::Value;
use std::io::{self, Write};
use std::sync::Arc;

fn exported(world: &World) -> (Exported, Vec<Value>, String) {
    exported_by(&world.grants)
}

fn exported_by<B: Backend>(grants: &Grants<B>) -> (Exported, Vec<Value>, String) {
    let mut output = Vec::new();
    let mut lines = 0;
    let export = grants.export(&mut output, |at| lines = at.lines);
    let exported = export.wait().unwrap();
    let text = String::from_utf8(output).unwrap();
    let values: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, exported.lines());
    assert_eq!(values.len() as u64, exported.lines() + 1, "and the last line");
    (exported, values, text)
}

// Goal: P9, everything goes out, with what is in force told from what is not, and no text of a
// token or a secret. Method: one of each kind, some of them revoked in each way; each text looked
// for in the lines.
#[test]
fn everything_goes_out_and_no_text_does() {
    let world = World::new();
    let mut texts = Vec::new();
    let kept = world.pair();
    let (other, code) = (world.pair(), world.code());
    let personal =
        world.grants.create_personal(NewPersonal::new("bob", "laptop")).wait().unwrap().token;
    let device = world.grants.device(DeviceRequest::new(CLIENT)).wait().unwrap();
    let client = NewClient::confidential("client-9").secret("a secret of client-9");
    world.grants.create_client(client).wait().unwrap();
    let sha256 = sha256("the old server's token");
    let family = r#""client":"c","subject":"carol","expires_in":9"#;
    let family = line("family", &format!(r#""name":"f","sha256":"{sha256}",{family}"#));
    import(&world.grants, &family).unwrap();
    world.grants.revoke(refresh_of(&other)).wait().unwrap();
    world.grants.revoke_subject("bob").wait().unwrap();

    let (counts, lines, text) = exported(&world);
    assert_eq!((counts.tokens, counts.tokens_active), (2, 1));
    assert_eq!((counts.personal, counts.personal_active), (1, 0));
    assert_eq!((counts.families, counts.families_active), (3, 2));
    assert_eq!((counts.clients, counts.devices, counts.refresh_tokens), (1, 1, 1));
    // Two are spent.
    assert_eq!(counts.codes, 3);
    let of = |kind: &str, active: bool| {
        let is = |line: &&Value| line["kind"] == kind && line["active"] == active;
        lines.iter().filter(is).count()
    };
    assert_eq!((of("token", true), of("token", false)), (1, 1));
    assert_eq!((of("code", true), of("family", true), of("client", true)), (1, 2, 1));
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["kind"], &last["tokens"], &last["families_active"]),
        (&Value::from("end"), &Value::from(2), &Value::from(2),)
    );
    texts.extend([kept.access.expose(), refresh_of(&kept), code.expose(), personal.expose()]);
    texts.extend([device.device_code.expose(), "a secret of client-9", "old server's token"]);
    for secret in texts {
        assert!(!text.contains(secret), "{secret} is in the export");
    }
    let id = world.grants.store().id(kept.access.expose().as_bytes()).unwrap();
    let id = data_encoding::HEXLOWER.encode(id.as_bytes());
    assert!(lines.iter().any(|line| line["id"] == id.as_str()), "found with the root key");
}

// Goal: each row has one line, however many there are. Method: 2,500 tokens in several pages; their
// ids.
#[test]
fn each_row_has_one_line() {
    let world = World::new();
    let lines: Vec<String> = (0..2_500)
        .map(|number| {
            let text = format!(r#""text":"token number {number:08}""#);
            line("token", &format!(r#"{text},"client":"c","expires_in":9"#))
        })
        .collect();
    import(&world.grants, &lines.join("\n")).unwrap();
    let (counts, lines, _) = exported(&world);
    assert_eq!((counts.tokens, counts.tokens_active), (2_500, 2_500));
    let mut ids: Vec<&str> = lines.iter().filter_map(|line| line["id"].as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 2_500);
    world.clock.advance(s(9));
    let (counts, ..) = exported(&world);
    assert_eq!(counts.tokens_active, 0);
}

/// An output that takes so many bytes and no more.
struct Narrow(usize);

impl Write for Narrow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// Goal: an export that cannot be written says so. Method: outputs that refuse at each length up to
// the whole.
#[test]
fn an_export_that_is_not_whole_is_an_error() {
    let world = World::new();
    world.pair();
    let whole = exported(&world).2.len();
    for room in 0..whole {
        let error = world.grants.export(&mut Narrow(room), |_| {}).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{room}");
        assert!(std::error::Error::source(&error).is_some());
    }
    world.grants.export(&mut Narrow(whole), |_| {}).wait().unwrap();
}

/// The line of this kind, the only one.
fn line_of<'l>(lines: &'l [Value], kind: &str) -> &'l Value {
    let mut of_kind = lines.iter().filter(|line| line["kind"] == kind);
    let found = of_kind.next().unwrap();
    assert!(of_kind.next().is_none(), "two of {kind}");
    found
}

// Goal: what died with its root key is not told as in force. Method: a family, a personal token, a
// code, and an access token with sealed payloads under key 1; export them under keys 1 and 2, and
// under key 2.
#[test]
fn what_died_with_its_key_is_not_active() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("store");
    let grants = on_disk(&dir, &[1]);
    grants.open(Grant::new("c", "alice").sealed_payload(b"claims")).wait().unwrap();
    grants.create_personal(NewPersonal::new("alice", "laptop")).wait().unwrap();
    grants.authorize(Authorize::new("c", "alice").sealed_payload(b"claims")).wait().unwrap();
    grants.store().close().unwrap();
    for (keys, live) in [(&[1, 2][..], true), (&[2], false)] {
        let grants = on_disk(&dir, keys);
        let (counts, lines, _) = exported_by(&grants);
        for kind in ["family", "token", "personal", "code"] {
            assert_eq!(line_of(&lines, kind)["active"], live, "{kind} under {keys:?}");
        }
        let active = [counts.families_active, counts.tokens_active, counts.personal_active];
        assert_eq!(active, [u64::from(live); 3]);
        grants.store().close().unwrap();
    }
}

// Goal: P6, what ended with its log-in session is not told as in force. Method: a family and a code
// of a session, before and after that ends.
#[test]
fn what_ended_with_its_session_is_not_active() {
    let world = World::new();
    world.grants.open(Grant::new("c", "alice").session("log-in")).wait().unwrap();
    world.grants.authorize(Authorize::new("c", "alice").session("log-in")).wait().unwrap();
    for live in [true, false] {
        let (_, lines, _) = exported(&world);
        for kind in ["family", "token", "code"] {
            assert_eq!(line_of(&lines, kind)["active"], live, "{kind}");
        }
        world.grants.revoke_session("log-in").wait().unwrap();
    }
}

// Goal: the last line counts the lines that there are, also where a client is deleted meanwhile.
// Method: two clients, of which one goes between the two looks that an export takes.
#[test]
fn a_client_that_goes_meanwhile_is_not_counted() {
    let clock = Arc::new(ManualClock::at(std::time::UNIX_EPOCH + s(1_800_000_000)));
    let grants = Interposed::grants(clock, Policy::default());
    for id in ["one", "two"] {
        grants.create_client(NewClient::public(id)).wait().unwrap();
    }
    let deleting = grants.clone();
    grants.store().backend().before_get(Client::KIND, move || {
        let grants = deleting.clone();
        let hooked = deleting.store().backend();
        hooked.before_get(Client::KIND, move || {
            for id in ["one", "two"] {
                grants.delete_client(id).wait().unwrap();
            }
        });
    });
    let (counts, lines, _) = exported_by(&grants);
    assert_eq!(counts.clients, 0);
    assert_eq!(lines.len(), 1, "the last line alone");
}

// Goal: a family goes out with its log-in session and its own idle lifetime, and comes in with
// them. Method: export a family that has both, import it by what its line says, end the session by
// its name, and let it lie unused, to the millisecond.
#[test]
fn a_family_keeps_its_session_and_its_idle_lifetime() {
    let world = World::new();
    let grant = Grant::new("c", "alice").session("log-in").idle(s(600));
    world.grants.open(grant).wait().unwrap();
    let (_, lines, _) = exported(&world);
    let family = line_of(&lines, "family");
    let again = |name: &str| {
        let kept = format!(r#""session_id":{},"idle":{}"#, family["session"], family["idle_s"]);
        let owners = format!(r#""client":{},"subject":{}"#, family["client"], family["subject"]);
        let text = format!(r#""text":"the refresh token of {name}","expires_in":60"#);
        line("family", &format!(r#""name":"{name}",{text},"ends_in":86400,{owners},{kept}"#))
    };
    let other = World::new();
    import(&other.grants, &[again("f-1"), again("f-2")].join("\n")).unwrap();
    let refresh = |name: &str| {
        let request = grantkeep_grants::RefreshRequest::by("c");
        other.grants.refresh(&format!("the refresh token of {name}"), &request).wait().unwrap()
    };
    let pair = rotated(refresh("f-1"));
    other.clock.advance(s(60) - MS);
    assert!(other.is_active(refresh_of(&pair)));
    other.clock.advance(s(540));
    assert!(other.is_active(refresh_of(&pair)));
    other.clock.advance(MS);
    assert!(!other.is_active(refresh_of(&pair)), "it is idle for 600 s");

    let ended = World::new();
    import(&ended.grants, &again("f-1")).unwrap();
    assert!(ended.is_active("the refresh token of f-1"));
    ended.grants.revoke_session("log-in").wait().unwrap();
    assert!(!ended.is_active("the refresh token of f-1"));
}

// Goal: sessions and idle lifetimes of families are checked as the other fields. Method: each thing
// that can be wrong with them.
#[test]
fn wrong_sessions_are_refused() {
    let world = World::new();
    for (wrong, told) in [
        (r#""session_id":"00""#, "32 hex digits"),
        (r#""session":"a","session_id":"00000000000000000000000000000000""#, "give one"),
        (r#""session":"""#, "log-in session"),
        (r#""idle":0"#, "the least is 1"),
    ] {
        let owners = r#""client":"c","subject":"alice","expires_in":60"#;
        let family = line("family", &format!(r#""name":"f",{owners},{wrong}"#));
        let error = import(&world.grants, &family).unwrap_err();
        assert!(error.kind() == ErrorKind::Limit && error.to_string().contains(told), "{error}");
    }
}
