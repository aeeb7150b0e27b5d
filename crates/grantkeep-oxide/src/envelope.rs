//! What a grant of oxide-auth holds beyond what the store knows: sealed, beside the record.

use chrono::DateTime;
use grantkeep::{Error, ErrorKind, Result};
use oxide_auth::primitives::grant::{Extensions, Grant, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use url::Url;
use zeroize::Zeroizing;

/// The format of the payloads that this version writes: JSON after this byte.
const FORMAT: u8 = 1;

/// Extensions by their names: all of them are texts, or there alone.
type Named = BTreeMap<String, Option<String>>;

#[derive(Serialize, Deserialize)]
struct Envelope {
    redirect_uri: String,
    until_s: i64,
    until_ns: u32,
    public: Named,
    private: Named,
}

/// The payload that goes with a grant.
pub(crate) fn close(grant: &Grant) -> Result<Zeroizing<Vec<u8>>> {
    let owned = |(name, value): (&str, Option<&str>)| (name.to_owned(), value.map(str::to_owned));
    let envelope = Envelope {
        redirect_uri: grant.redirect_uri.as_str().to_owned(),
        until_s: grant.until.timestamp(),
        until_ns: grant.until.timestamp_subsec_nanos(),
        public: grant.extensions.public().map(owned).collect(),
        private: grant.extensions.private().map(owned).collect(),
    };
    let mut bytes = Zeroizing::new(vec![FORMAT]);
    serde_json::to_writer(&mut *bytes, &envelope).map_err(|cause| {
        Error::new(ErrorKind::Limit, "a grant's extensions cannot be stored").with_source(cause)
    })?;
    Ok(bytes)
}

/// The grant that a record and its payload make together; its time is that of the payload.
pub(crate) fn open(
    (owner, client, scope): (String, String, &str),
    payload: &[u8],
) -> Result<Grant> {
    let damaged = || Error::new(ErrorKind::Corrupt, "a grant's payload is not one of oxide-auth");
    let (format, json) = payload.split_first().ok_or_else(damaged)?;
    if *format != FORMAT {
        let message = format!("a grant's payload is of format {format}, this version reads 1");
        return Err(Error::new(ErrorKind::Format, message));
    }
    let envelope: Envelope =
        serde_json::from_slice(json).map_err(|cause| damaged().with_source(cause))?;
    let mut extensions = Extensions::new();
    for (name, value) in envelope.public {
        extensions.set_raw(name, Value::public(value));
    }
    for (name, value) in envelope.private {
        extensions.set_raw(name, Value::private(value));
    }
    Ok(Grant {
        owner_id: owner,
        client_id: client,
        scope: scope.parse().map_err(|_| damaged())?,
        redirect_uri: Url::parse(&envelope.redirect_uri).map_err(|_| damaged())?,
        until: DateTime::from_timestamp(envelope.until_s, envelope.until_ns).ok_or_else(damaged)?,
        extensions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a grant is opened as it was closed, to the nanosecond. Method: extensions of each
    // kind, with and without content, odd texts; a leap second; then every cut.
    #[test]
    fn a_grant_is_opened_as_it_was_closed() {
        let mut extensions = Extensions::new();
        for (name, value) in [
            ("public", Value::public(Some("\"quoted\" \u{e9}\0".to_owned()))),
            ("flag", Value::public(None)),
            ("private", Value::private(Some(String::new()))),
            ("secret flag", Value::private(None)),
        ] {
            extensions.set_raw(name.to_owned(), value);
        }
        for (seconds, nanoseconds) in [(1_800_000_000, 1), (-1, 999_999_999), (59, 1_000_000_001)] {
            let grant = Grant {
                owner_id: "alice".to_owned(),
                client_id: "client-1".to_owned(),
                scope: "one two three".parse().unwrap(),
                redirect_uri: "https://app.example/cb?a=b".parse().unwrap(),
                until: DateTime::from_timestamp(seconds, nanoseconds).unwrap(),
                extensions: extensions.clone(),
            };
            let payload = close(&grant).unwrap();
            let owned = || ("alice".to_owned(), "client-1".to_owned(), "one two three");
            assert_eq!(open(owned(), &payload).unwrap(), grant);
            for len in 0..payload.len() {
                assert!(open(owned(), &payload[..len]).is_err());
            }
            let newer = [&[2], &payload[1..]].concat();
            assert_eq!(open(owned(), &newer).unwrap_err().kind(), ErrorKind::Format);
        }
    }
}
