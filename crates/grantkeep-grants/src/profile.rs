//! Policies of known systems, to start from.

use crate::format::Format;
use crate::policy::{Policy, Refreshing};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Ready-made policies. Each is plain data: change what differs.
#[derive(Debug, Clone, Copy)]
pub struct Profile;

impl Profile {
    /// Hourfleet: opaque access tokens of 15 minutes for users and for client applications, and
    /// refresh tokens that live much longer (90 days unused, 1 year at most).
    pub fn hourfleet() -> Policy {
        let format = Format::base64url().chars(128);
        Policy {
            access_lifetime: HOUR / 4,
            client_credentials_lifetime: HOUR / 4,
            refresh_idle: 90 * DAY,
            refresh_absolute: 365 * DAY,
            code_format: format.clone(),
            access_format: format.clone(),
            refresh_format: format.clone(),
            personal_format: format,
            ..Policy::default()
        }
    }

    /// REST API v1: code, access token, and refresh token of 64 hex characters; 7,200 s.
    pub fn rest_api_v1() -> Policy {
        Policy {
            access_lifetime: 2 * HOUR,
            client_credentials_lifetime: 2 * HOUR,
            code_format: Format::hex(),
            access_format: Format::hex(),
            refresh_format: Format::hex(),
            personal_format: Format::hex(),
            ..Policy::default()
        }
    }

    /// Hospitable: access tokens of 1,200 characters and 12 hours, codes and refresh tokens of
    /// 1,000 hex characters, 90 days unused; each refresh answers a new pair, and renews the 90
    /// days for up to 5 years.
    pub fn hospitable() -> Policy {
        Policy {
            access_lifetime: 12 * HOUR,
            client_credentials_lifetime: 12 * HOUR,
            refresh_idle: 90 * DAY,
            refresh_absolute: 5 * 365 * DAY,
            code_format: Format::hex().chars(1_000),
            access_format: Format::base64url().chars(1_200),
            refresh_format: Format::hex().chars(1_000),
            personal_format: Format::base64url().chars(1_200),
            ..Policy::default()
        }
    }

    /// Hapn: client credentials only, 3,600 s, any number live at once, none renewable.
    pub fn hapn() -> Policy {
        let format = Format::base64url().chars(64);
        Policy {
            access_lifetime: HOUR,
            client_credentials_lifetime: HOUR,
            refreshing: Refreshing::Off,
            code_format: format.clone(),
            access_format: format.clone(),
            refresh_format: format.clone(),
            personal_format: format,
            ..Policy::default()
        }
    }
}
