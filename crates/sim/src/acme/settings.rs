//! The switches of a CA, which the admin API and faults change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The switches of a CA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// The share of valid nonces that is refused, in percent. Pebble's default is 5.
    pub(crate) bad_nonce_percent: u8,
    /// The share of new orders that reuse a valid authorization, in percent. Boulder: 100, Pebble: 50.
    pub(crate) reuse_percent: u8,
    /// The profile of an order that names none: `classic`, another one, or `random` as with Pebble.
    pub(crate) default_profile: String,
    /// True if new accounts need an external account binding.
    pub(crate) binding_required: bool,
    /// The external accounts: key id and HMAC key in base64url. Each can be bound once.
    pub(crate) bindings: BTreeMap<String, String>,
    /// True if a failed authorization leaves its order `pending`.
    pub(crate) failed_order_stays_pending: bool,
    /// True if an order shows `replaces`.
    pub(crate) shows_replaces: bool,
    /// The renewal information.
    pub(crate) renewal: RenewalInformation,
    /// True if rate limits apply.
    pub(crate) limited: bool,
}

/// The kind of renewal information.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RenewalInformation {
    /// The usual window.
    Usual,
    /// The CA will revoke its certificates: the window is in the past.
    Incident,
    /// The end of the window is not after its start.
    Invalid,
    /// The directory has none.
    None,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bad_nonce_percent: 5,
            reuse_percent: 50,
            default_profile: "classic".to_owned(),
            binding_required: false,
            bindings: BTreeMap::new(),
            failed_order_stays_pending: false,
            shows_replaces: true,
            renewal: RenewalInformation::Usual,
            limited: true,
        }
    }
}
