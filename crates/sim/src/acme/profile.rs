//! Certificate profiles (draft-aaron-acme-profiles), with the values of Let's Encrypt.
//! <https://letsencrypt.org/docs/profiles/>

/// One hour in seconds.
const HOUR: f64 = 3600.0;
/// One day in seconds.
const DAY: f64 = 24.0 * HOUR;

/// A profile. Durations are in seconds; those of the service are in cloud time, `validity` is real.
#[derive(Debug, Clone, Copy)]
pub(super) struct Profile {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
    pub(super) validity: i64,
    pub(super) pending_authorization: f64,
    pub(super) valid_authorization: f64,
    pub(super) order: f64,
    pub(super) names_max: usize,
    /// True if the certificate has a common name, key encipherment and a subject key identifier.
    pub(super) has_legacy_fields: bool,
}

/// All profiles.
pub(super) const PROFILES: [Profile; 3] = [
    Profile {
        name: "classic",
        text: "https://letsencrypt.org/docs/profiles#classic",
        validity: 90 * 86_400,
        pending_authorization: 7.0 * DAY,
        valid_authorization: 30.0 * DAY,
        order: 7.0 * DAY,
        names_max: 100,
        has_legacy_fields: true,
    },
    Profile {
        name: "tlsserver",
        text: "https://letsencrypt.org/docs/profiles#tlsserver",
        validity: 45 * 86_400,
        pending_authorization: HOUR,
        valid_authorization: 7.0 * HOUR,
        order: 8.0 * HOUR,
        names_max: 25,
        has_legacy_fields: false,
    },
    Profile {
        name: "shortlived",
        text: "https://letsencrypt.org/docs/profiles#shortlived",
        validity: 160 * 3600,
        pending_authorization: HOUR,
        valid_authorization: 7.0 * HOUR,
        order: 8.0 * HOUR,
        names_max: 25,
        has_legacy_fields: false,
    },
];

/// Finds a profile.
pub(super) fn named(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == name)
}
