//! All that a store holds, written out: `docs/transfer.md`.

use crate::transfer_in::{import, line, sha256};
use crate::world::*;
use grantkeep::{ErrorKind, Wait as _};
use grantkeep_grants::{DeviceRequest, Exported, NewClient, NewPersonal};
use serde_json::Value;
use std::io::{self, Write};

fn exported(world: &World) -> (Exported, Vec<Value>, String) {
    let mut output = Vec::new();
    let mut lines = 0;
    let export = world.grants.export(&mut output, |at| lines = at.lines);
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
