//! User-assigned managed identities and their federated credentials (Microsoft.ManagedIdentity, 2024-11-30).
//!
//! An identity is a service principal of the directory. A federated credential lets tokens of another issuer stand in
//! for the identity; the token endpoint asks [`CloudState::trusts_assertion`].

mod federated_credentials;
mod names;

use serde_json::{Value, json};

use crate::arm::error::ArmError;
use crate::arm::resource_type::{Action, Draft, Hooks, Properties, Resource, ResourceType, Write, id_of};
use crate::arm::{Call, groups, id, versions};
use crate::clock::{SimTime, Timing};
use crate::durations;
use crate::request::Reply;
use crate::state::CloudState;

pub use federated_credentials::{CREDENTIAL, credential_due};

/// The type of identities.
pub const IDENTITY: ResourceType = ResourceType {
    versions: versions::IDENTITIES,
    check_name: names::check_name,
    properties: |_| Ok(Properties::new()),
    read_only: &["tenantId", "principalId", "clientId"],
    put: Write::in_response(durations::IDENTITY_PUT),
    creation_state: None,
    lower_case_group: true,
    actions: &[Action {
        name: "listAssociatedResources",
        versions: versions::ASSOCIATED_RESOURCES,
        handler: associated_resources,
    }],
    hooks: Hooks {
        prepare: draw_principal,
        written: add_principal,
        deleted: |state, identity| state.directory.remove(identity.text("principalId")),
        ..Hooks::NONE
    },
    ..ResourceType::new("Microsoft.ManagedIdentity/userAssignedIdentities")
};

/// Draws the ids of a new identity.
fn draw_principal(state: &mut CloudState, _: &Call<'_>, draft: &mut Draft) -> Result<(), ArmError> {
    if draft.existing.is_none() {
        let drawn = properties(state, None);
        draft.desired.properties.extend(drawn);
    }
    Ok(())
}

/// Returns the properties of an identity with a client id and an object id; draws them if there are none.
pub(super) fn properties(state: &mut CloudState, ids: Option<(&str, &str)>) -> Properties {
    let drawn = ids.is_none().then(|| (state.uuid("identity-client"), state.uuid("identity-object")));
    let (client, object) = match (&drawn, ids) {
        (Some((client, object)), _) => (client.as_str(), object.as_str()),
        (None, ids) => ids.unwrap_or_default(),
    };
    let values =
        [("tenantId", state.directory.tenant.as_str()), ("principalId", object), ("clientId", client)];
    values.map(|(name, value)| (name.to_owned(), json!(value))).into_iter().collect()
}

/// Adds the service principal of a new identity. The directory shows it after its replication.
fn add_principal(state: &mut CloudState, identity: &Resource, now: SimTime, timing: &Timing) {
    let object = identity.text("principalId").to_owned();
    if state.directory.by_object_id(&object).is_none() {
        let visible = timing.after(now, durations::PRINCIPAL_REPLICATION);
        let client = identity.text("clientId").to_owned();
        state.directory.add_managed_identity(object, client, identity.name(), &identity.id, visible);
    }
}

/// Lists the resources that use an identity.
fn associated_resources(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let wanted = id_of(&IDENTITY, call);
    if state.tracked.get(&wanted).is_none() {
        return Err(ArmError::resource_not_found(IDENTITY.kind, call.param("name"), call.param("group")));
    }
    let uses = |member: &Value| {
        let used = member["identity"]["userAssignedIdentities"].as_object();
        used.is_some_and(|used| used.keys().any(|one| id::same(one, &wanted)))
    };
    let all = state.groups.values().flat_map(|group| groups::in_group(state, &group.name));
    let found: Vec<Value> = all
        .filter(uses)
        .map(|member| {
            let own = member["id"].as_str().unwrap_or_default();
            json!({
                "id": own, "name": member["name"], "type": member["type"],
                "resourceGroup": id::part(own, "resourceGroups"),
                "subscriptionId": state.subscription, "subscriptionDisplayName": "landfall",
            })
        })
        .collect();
    Ok(Reply::json(200, &json!({ "totalCount": found.len(), "value": found })))
}

#[cfg(test)]
mod tests;
