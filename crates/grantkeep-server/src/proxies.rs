//! Proxies of one's own: behind them the address of a connection is theirs, and whose it was before
//! is in `X-Forwarded-For`.
//!
//! 1. The field is believed where the connection comes from one of the addresses that the operator
//!    has named, and from nobody else: anybody can write it.
//! 2. Each proxy appends the address that it was reached from. So the field is read from its end,
//!    and the first address that is no proxy's is the client's; what stands before it may be
//!    anybody's writing.
//! 3. Where that place has no address, the client's is not known, and the connection's stands.
//!
//! The address takes the place of the connection's ([`ConnectInfo`]), for whatever limits or notes
//! it.

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderName};
use axum::middleware::{Next, from_fn};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A router that believes these proxies, and nobody where there are none.
pub(crate) fn believed(router: Router, proxies: &[IpAddr]) -> Router {
    if proxies.is_empty() {
        return router;
    }
    let proxies: Arc<[IpAddr]> = proxies.iter().map(IpAddr::to_canonical).collect();
    router.layer(from_fn(move |mut request: Request, next: Next| {
        if let Some(client) = client_of(&request, &proxies) {
            // The port is the proxy's own affair.
            request.extensions_mut().insert(ConnectInfo(SocketAddr::new(client, 0)));
        }
        next.run(request)
    }))
}

/// The client of a request that comes from a proxy, where that says so.
fn client_of(request: &Request, proxies: &[IpAddr]) -> Option<IpAddr> {
    let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    if !proxies.contains(&peer.ip().to_canonical()) {
        return None;
    }
    last_but_for(request.headers(), proxies)
}

/// The last address of the field that is no proxy's.
fn last_but_for(headers: &HeaderMap, proxies: &[IpAddr]) -> Option<IpAddr> {
    let fields = headers.get_all(FORWARDED_FOR).iter().rev();
    let hops = fields.flat_map(|field| field.as_bytes().rsplit(|byte| *byte == b','));
    let mut addresses = hops.map(address);
    addresses.find(|hop| hop.is_none_or(|address| !proxies.contains(&address))).flatten()
}

/// The address of one hop, with a port or without.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || Some(text.parse::<SocketAddr>().ok()?.ip());
    Some(bare.parse::<IpAddr>().ok().or_else(with_port)?.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn client(peer: &str, proxies: &[&str], fields: &[&str]) -> Option<String> {
        let proxies: Vec<IpAddr> = proxies.iter().map(|proxy| proxy.parse().unwrap()).collect();
        let mut request = Request::new(Body::empty());
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 4_711)));
        for field in fields {
            request.headers_mut().append(FORWARDED_FOR, field.parse().unwrap());
        }
        client_of(&request, &proxies).map(|client| client.to_string())
    }

    // Goal: a proxy that was named is believed for the client that it has seen, and for nothing
    // that the client has written; nobody else is believed. Method: connections from a proxy and
    // from elsewhere, with fields of one hop, of several, forged ones, and ones that say nothing.
    #[test]
    fn the_last_hop_of_a_named_proxy_is_believed() {
        let own = &["127.0.0.1", "10.0.0.2"];
        for (fields, believed) in [
            (&["192.0.2.7"][..], Some("192.0.2.7")),
            (&["203.0.113.9, 192.0.2.7"], Some("192.0.2.7")),
            (&["203.0.113.9", "192.0.2.7"], Some("192.0.2.7")),
            (&["203.0.113.9, 192.0.2.7 , 10.0.0.2,127.0.0.1"], Some("192.0.2.7")),
            (&["192.0.2.7:5000"], Some("192.0.2.7")),
            (&["2001:db8::1"], Some("2001:db8::1")),
            (&["[2001:db8::1]:5000"], Some("2001:db8::1")),
            (&["[2001:db8::1]"], Some("2001:db8::1")),
            (&["::ffff:192.0.2.7, ::ffff:10.0.0.2"], Some("192.0.2.7")),
            // The client's place is taken by something else: what is before it may be forged.
            (&["203.0.113.9, unknown"], None),
            (&["203.0.113.9, "], None),
            (&["203.0.113.9", ""], None),
            (&["127.0.0.1"], None),
            (&[], None),
        ] {
            assert_eq!(client("127.0.0.1", own, fields).as_deref(), believed, "{fields:?}");
        }
        assert_eq!(client("::ffff:10.0.0.2", own, &["192.0.2.7"]).as_deref(), Some("192.0.2.7"));
        assert_eq!(client("10.0.0.3", own, &["192.0.2.7"]), None);
        assert_eq!(client("127.0.0.1", &[], &["192.0.2.7"]), None);
    }
}
