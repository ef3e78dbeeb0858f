//! Federated credentials of user-assigned identities.
//!
//! Source: federatedIdentityCredentials (2024-11-30) and "Important considerations and restrictions for federated
//! identity credentials".

use serde_json::Value;

use super::names::check_chars;
use crate::arm::Call;
use crate::arm::error::ArmError;
use crate::arm::resource_type::{
    Draft, Hooks, Location, Properties, Resource, ResourceType, Write, parent_id,
};
use crate::arm::versions::IDENTITIES;
use crate::clock::SimTime;
use crate::durations;
use crate::entra::Assertion;
use crate::state::CloudState;

/// The maximum number of credentials of an identity.
const MAX: usize = 20;

/// The type of federated credentials.
pub const CREDENTIAL: ResourceType = ResourceType {
    versions: IDENTITIES,
    location: Location::None,
    check_name: |name| check_chars(name, 3..=120),
    properties: checked,
    put: Write::in_response(durations::FEDERATED_CREDENTIAL_PUT),
    propagation_seconds: durations::FEDERATED_CREDENTIAL_EFFECT,
    creation_state: None,
    lower_case_group: true,
    is_write_of_parent: true,
    busy: Some(busy),
    hooks: Hooks { prepare, ..Hooks::NONE },
    ..ResourceType::new("Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials")
};

/// Returns the next time after `after` at which a credential takes effect.
pub fn credential_due(state: &CloudState, after: SimTime) -> Option<SimTime> {
    let all = state.tracked.of_kind(CREDENTIAL.kind);
    all.map(|credential| credential.effective).filter(|at| *at > after).min()
}

impl CloudState {
    /// Returns whether a credential of an identity has exactly these values and has reached the token endpoint.
    pub fn trusts_assertion(&self, identity: &str, assertion: Assertion<'_>, now: SimTime) -> bool {
        self.tracked.below(identity).iter().any(|credential| {
            credential.effective <= now
                && credential.text("issuer") == assertion.issuer
                && credential.text("subject") == assertion.subject
                && credential.properties["audiences"][0] == assertion.audience
        })
    }
}

fn bad(why: impl Into<String>) -> ArmError {
    ArmError::new(400, "BadRequest", why)
}

/// Returns the stored properties: an issuer, a subject and exactly one audience.
fn checked(given: Properties) -> Result<Properties, ArmError> {
    let text = |name: &str| given.get(name).and_then(Value::as_str).unwrap_or_default();
    let audiences = given.get("audiences").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if text("issuer").is_empty() || text("subject").is_empty() || audiences.is_empty() {
        return Err(bad(
            "The request format was unexpected. Federated Identity Credential must specify 'issuer', 'subject' and \
             'audience'.",
        ));
    }
    if audiences.len() > 1 || !audiences[0].is_string() {
        return Err(bad("The request format was unexpected. Exactly one audience must be specified."));
    }
    if !text("issuer").starts_with("https://") || url::Url::parse(text("issuer")).is_err() {
        return Err(bad(format!("The issuer '{}' is not a valid HTTPS URL.", text("issuer"))));
    }
    let stored =
        given.into_iter().filter(|(name, _)| ["issuer", "subject", "audiences"].contains(&name.as_str()));
    Ok(stored.collect())
}

/// Checks the number of credentials, and that no other one has the same issuer and subject.
fn prepare(state: &mut CloudState, _: &Call<'_>, draft: &mut Draft) -> Result<(), ArmError> {
    let desired = &draft.desired;
    let all = state.tracked.below(parent_id(&desired.id));
    let others: Vec<&Resource> = all.into_iter().filter(|other| other.id != desired.id).collect();
    let same = |other: &&Resource| {
        ["issuer", "subject"].iter().all(|name| other.properties.get(*name) == desired.properties.get(*name))
    };
    if others.iter().any(same) {
        return Err(bad("Issuer and subject combination already exists for this Managed Identity."));
    }
    if others.len() >= MAX {
        return Err(bad(format!(
            "Too many Federated Identity Credentials have been written to the managed identity. The limit is {MAX}."
        )));
    }
    Ok(())
}

fn busy(_: &CloudState, _: &Call<'_>, identity: &Resource) -> ArmError {
    let why = format!(
        "Too many Federated Identity Credentials are written concurrently for the managed identity '{}'. Concurrent \
         Federated Identity Credentials writes under the same managed identity are not supported.",
        identity.id
    );
    ArmError::new(409, "ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity", why)
}
