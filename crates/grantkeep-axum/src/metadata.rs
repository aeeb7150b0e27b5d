//! What the server says of itself: RFC 8414.

use crate::oauth::OAuth;
use axum::Json;
use axum::extract::State;
use grantkeep::backend::Backend;
use grantkeep_grants::GrantType;
use serde::Serialize;
use url::Url;

/// Where it is, for an issuer without a path: RFC 8414 section 3.
const PATH: &str = "/.well-known/oauth-authorization-server";

/// Where it is looked for. The path of an issuer comes after the well-known one (RFC 8414 section
/// 3.1), which a proxy that serves several issuers passes on as it is, or without that path. It is
/// the second alone where a part of the path begins with a sign that the router takes for its own.
pub(crate) fn places(issuer: &str) -> Vec<String> {
    let path = Url::parse(issuer).map(|url| url.path().trim_end_matches('/').to_owned());
    let routed = |path: &String| !(path.is_empty() || path.contains("/:") || path.contains("/*"));
    let own = path.ok().filter(routed).map(|path| format!("{PATH}{path}"));
    own.into_iter().chain([PATH.to_owned()]).collect()
}

/// The members that hold here.
#[derive(Debug, Serialize)]
pub(crate) struct Metadata {
    issuer: String,
    token_endpoint: String,
    introspection_endpoint: String,
    revocation_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_authorization_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pushed_authorization_request_endpoint: Option<String>,
    grant_types_supported: Vec<String>,
    response_types_supported: Vec<&'static str>,
    response_modes_supported: Vec<&'static str>,
    code_challenge_methods_supported: Vec<&'static str>,
    token_endpoint_auth_methods_supported: [&'static str; 3],
    introspection_endpoint_auth_methods_supported: [&'static str; 2],
    revocation_endpoint_auth_methods_supported: [&'static str; 3],
    authorization_response_iss_parameter_supported: bool,
}

pub(crate) async fn metadata<B: Backend>(State(OAuth(oauth)): State<OAuth<B>>) -> Json<Metadata> {
    let asks = oauth.serves(&GrantType::AuthorizationCode);
    let known = [
        GrantType::AuthorizationCode,
        GrantType::RefreshToken,
        GrantType::ClientCredentials,
        GrantType::Password,
        GrantType::DeviceCode,
    ];
    let grants = known.into_iter().filter(|grant| oauth.serves(grant));
    let mut methods = Vec::new();
    if asks {
        methods.push("S256");
        if oauth.grants.policy().allow_plain_pkce {
            methods.push("plain");
        }
    }
    let asking = |path: &str| asks.then(|| oauth.address(path));
    let devices = oauth.serves(&GrantType::DeviceCode);
    let paths = &oauth.paths;
    Json(Metadata {
        issuer: oauth.issuer.clone(),
        token_endpoint: oauth.address(&paths.token),
        introspection_endpoint: oauth.address(&paths.introspect),
        revocation_endpoint: oauth.address(&paths.revoke),
        authorization_endpoint: asking(&paths.authorize),
        device_authorization_endpoint: devices.then(|| oauth.address(&paths.device)),
        pushed_authorization_request_endpoint: asking(&paths.push),
        grant_types_supported: grants.map(|grant| grant.as_str().to_owned()).collect(),
        response_types_supported: if asks { vec!["code"] } else { Vec::new() },
        response_modes_supported: if asks { vec!["query"] } else { Vec::new() },
        code_challenge_methods_supported: methods,
        token_endpoint_auth_methods_supported: [
            "client_secret_basic",
            "client_secret_post",
            "none",
        ],
        introspection_endpoint_auth_methods_supported: [
            "client_secret_basic",
            "client_secret_post",
        ],
        revocation_endpoint_auth_methods_supported: [
            "client_secret_basic",
            "client_secret_post",
            "none",
        ],
        authorization_response_iss_parameter_supported: asks,
    })
}
