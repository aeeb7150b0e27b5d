//! The four systems that the server can be: what each one's own document says of it.
//!
//! Lifetimes, lengths, and PKCE are the profile's policy ([`grantkeep_grants::Profile`]); here is
//! where the endpoints are, what is spelled how, and which grants there are.

use grantkeep_axum::Paths;
use grantkeep_grants::{GrantType, Policy, Profile};

/// One of the four systems.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is something that one document asks for")]
pub struct System {
    /// The name of its profile.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// What the paths of its endpoints begin with.
    base: &'static str,
    /// The last part of the authorization endpoint's path.
    authorize: &'static str,
    /// Another spelling of the `token_type` than `Bearer`.
    pub token_type: Option<&'static str>,
    /// Whether its clients send forms that were escaped as a whole.
    pub splits_forms: bool,
    /// The grants that its document has; those that lead a person to a page need one.
    pub grants: &'static [GrantType],
    /// The scopes of the example, and what a person is told of each.
    pub scopes: &'static [(&'static str, &'static str)],
    /// The paths of its example API.
    pub resources: &'static [&'static str],
    /// What the callers of its example API are called: a person, and a client for itself.
    pub callers: (&'static str, &'static str),
    /// Whether people make personal access tokens.
    pub personal: bool,
    /// Whether it starts flows itself, for a client of its marketplace.
    pub one_click: bool,
    /// Whether a person signs in for each request of a client, signed in before or not.
    pub always_signs_in: bool,
}

/// All four, by the names of their profiles.
pub const SYSTEMS: [System; 4] = [
    System {
        name: "hourfleet",
        title: "Hourfleet",
        base: "/api/oauth",
        authorize: "auth",
        token_type: None,
        splits_forms: false,
        grants: &[
            GrantType::AuthorizationCode,
            GrantType::RefreshToken,
            GrantType::ClientCredentials,
            GrantType::Password,
        ],
        scopes: &[
            ("profile", "see your name, address, and driver's license"),
            ("bookings", "see and make bookings for you"),
        ],
        resources: &["/api/cars", "/api/bookings"],
        callers: ("user", "clientapplication"),
        personal: false,
        one_click: false,
        always_signs_in: false,
    },
    System {
        name: "rest_api_v1",
        title: "REST API v1",
        base: "/oauth",
        authorize: "authorize",
        token_type: Some("bearer"),
        splits_forms: false,
        grants: &[GrantType::AuthorizationCode, GrantType::RefreshToken, GrantType::Password],
        scopes: &[("read", "read your data"), ("write", "change your data")],
        resources: &["/v1/items"],
        callers: ("user", "client"),
        personal: false,
        one_click: false,
        always_signs_in: false,
    },
    System {
        name: "hospitable",
        title: "Hospitable",
        base: "/oauth",
        authorize: "authorize",
        token_type: None,
        splits_forms: false,
        grants: &[GrantType::AuthorizationCode, GrantType::RefreshToken, GrantType::DeviceCode],
        scopes: &[
            ("property:read", "see your properties"),
            ("reservation:read", "see your reservations"),
        ],
        resources: &["/properties", "/v2/properties"],
        callers: ("user", "vendor"),
        personal: true,
        one_click: true,
        always_signs_in: true,
    },
    System {
        name: "hapn",
        title: "Hapn",
        base: "/oauth2",
        authorize: "authorize",
        token_type: None,
        splits_forms: true,
        grants: &[GrantType::ClientCredentials],
        scopes: &[("devices", "see your devices")],
        resources: &["/v1/devices"],
        callers: ("user", "client"),
        personal: false,
        one_click: false,
        always_signs_in: false,
    },
];

impl System {
    /// The system of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SYSTEMS.iter().find(|system| system.name == name)
    }

    /// Where its endpoints are.
    pub fn paths(&self) -> Paths {
        let paths = Paths::under(self.base);
        Paths { authorize: format!("{}/{}", self.base, self.authorize), ..paths }
    }

    /// The policy of its profile.
    ///
    /// # Errors
    /// None in practice: a test reads each.
    pub fn policy(&self) -> grantkeep::Result<Policy> {
        Profile::named(self.name)
    }

    /// Whether it has this grant.
    pub fn has(&self, grant: &GrantType) -> bool {
        self.grants.contains(grant)
    }

    /// Whether any of its grants leads a person to a page.
    pub fn asks(&self) -> bool {
        self.has(&GrantType::AuthorizationCode)
    }
}
