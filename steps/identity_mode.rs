//! The identity with which the sync workload reads the vault, and its value where the settings have none.

use crate::{
    Clients, cluster_ready,
    graph::Records,
    manifests::Manifests,
    settings::Settings,
    tls_secret::{NAMESPACE, SECRET},
};
use landfall_cloud::kubernetes::{DynamicObject, Kind};
use landfall_engine::JournalState;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The regions in which an identity cannot have federated credentials.
/// <https://learn.microsoft.com/entra/workload-id/workload-identity-federation-considerations>
const WITHOUT_FEDERATION: [&str; 2] = ["malaysiasouth", "newzealandnorth"];

/// The identity with which the sync workload reads the vault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdentityMode {
    /// A user-assigned identity that trusts the service account of the sync workload, and no other pod.
    #[default]
    Workload,
    /// The identity of the Secrets Store add-on, which every pod on the nodes can use.
    AddOn,
}

impl IdentityMode {
    /// Returns the mode by its name in the settings.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Workload, Self::AddOn].into_iter().find(|mode| mode.as_str() == name)
    }

    /// Returns the name in the settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Workload => "workload",
            Self::AddOn => "add-on",
        }
    }

    /// Returns the mode of a SecretProviderClass, from its parameters.
    fn of_parameters(parameters: &Value) -> Self {
        let is_true = |name: &str| {
            parameters[name].as_str().is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
        };
        let is_workload = parameters["clientID"].as_str().is_some_and(|id| !id.trim().is_empty());
        match is_workload && !is_true("useVMManagedIdentity") && !is_true("usePodIdentity") {
            true => Self::Workload,
            false => Self::AddOn,
        }
    }

    /// Returns the mode of the class that creates our Secret, if it is among these objects.
    fn of_classes<'a>(classes: impl Iterator<Item = &'a DynamicObject>) -> Option<Self> {
        let creates_secret = |class: &&DynamicObject| {
            let secrets = class.data["spec"]["secretObjects"].as_array().into_iter().flatten();
            secrets.into_iter().any(|secret| secret["secretName"] == SECRET)
        };
        let mut classes = classes;
        let class = classes.find(creates_secret)?;
        Some(Self::of_parameters(&class.data["spec"]["parameters"]))
    }
}

/// Returns the mode that the journal records; `None` if no step that depends on it has run.
#[must_use]
pub fn recorded(records: &Records, journal_state: &JournalState) -> Option<IdentityMode> {
    // Earlier versions recorded no mode, and knew only the add-on.
    let synced = journal_state.output_of(records.secret);
    let of_secret = synced.map(|synced| synced.identity.unwrap_or(IdentityMode::AddOn));
    let has_begun = |step: &str| {
        let step_state = journal_state.step_state(step);
        step_state.is_some_and(|step_state| step_state.owned || step_state.output.is_some())
    };
    let of_others = || {
        [(records.identity.id(), IdentityMode::Workload), (records.add_on_access.id(), IdentityMode::AddOn)]
            .into_iter()
            .find_map(|(step, mode)| has_begun(step).then_some(mode))
    };
    // A cluster of an earlier version that is not ready yet was requested without an issuer.
    let of_cluster = || {
        let accepted = journal_state.output_of(records.accepted)?;
        accepted.issuer.is_none().then_some(IdentityMode::AddOn)
    };
    of_secret.or_else(of_others).or_else(of_cluster)
}

/// Returns the mode of an environment whose settings have none: that of a class among the user's own manifests, the
/// recorded one, that of the live class, else the default.
///
/// The cluster is asked only if the journal records nothing, so that an environment whose journal was lost keeps
/// its mode. If it cannot be asked, the result is the mode that changes nothing in it.
pub async fn resolve(
    clients: &Clients,
    settings: &Settings,
    records: &Records,
    journal_state: &JournalState,
) -> IdentityMode {
    if let Some(mode) = settings.identity {
        return mode;
    }
    let manifests = Manifests::new(settings);
    let of_manifests = IdentityMode::of_classes(manifests.own_classes());
    match of_manifests.or_else(|| recorded(records, journal_state)) {
        Some(mode) => mode,
        None => of_cluster(clients, settings).await.unwrap_or_else(|| of_region(settings)),
    }
}

/// Returns the mode of a new environment.
fn of_region(settings: &Settings) -> IdentityMode {
    match WITHOUT_FEDERATION.contains(&settings.location.as_str()) {
        true => IdentityMode::AddOn,
        false => IdentityMode::Workload,
    }
}

/// Returns the contradiction between the configured mode and the region, or a class among the user's own manifests, as
/// a cause.
#[must_use]
pub fn contradiction(settings: &Settings) -> Option<String> {
    let configured = settings.identity?;
    if configured == IdentityMode::Workload && of_region(settings) == IdentityMode::AddOn {
        let region = &settings.location;
        return Some(format!("identity is \"workload\", but {region} offers no federated credentials"));
    }
    let manifests = Manifests::new(settings);
    let of_manifests = IdentityMode::of_classes(manifests.own_classes())?;
    (of_manifests != configured).then(|| {
        let needed = match configured {
            IdentityMode::Workload => "must have clientID and no useVMManagedIdentity",
            IdentityMode::AddOn => "must have useVMManagedIdentity and userAssignedIdentityID",
        };
        format!(
            "identity is \"{}\", but the SecretProviderClass in the manifests uses the other one: it {needed}",
            configured.as_str()
        )
    })
}

/// Returns the mode of the live class; `None` without a cluster or a class.
async fn of_cluster(clients: &Clients, settings: &Settings) -> Option<IdentityMode> {
    let body =
        clients.azure.recent_cluster(&settings.resource_group, &settings.cluster.name).await.ok()??;
    let unchanged = match body.pointer("/properties/securityProfile/workloadIdentity/enabled") {
        Some(Value::Bool(true)) => IdentityMode::Workload,
        _ => IdentityMode::AddOn,
    };
    let ready = cluster_ready::created(&body, &settings.cluster.name, None)?;
    let Ok(session) = clients.clusters.open(&ready).await else { return Some(unchanged) };
    match session.api.list(&Kind::SECRET_PROVIDER_CLASS, Some(NAMESPACE), None).await {
        Ok(classes) => IdentityMode::of_classes(classes.iter()),
        Err(_) => Some(unchanged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_region_without_federated_credentials_has_the_add_on() {
        let mut settings = crate::settings::tests::settings();
        assert_eq!(of_region(&settings), IdentityMode::Workload);
        settings.location = "malaysiasouth".to_owned();
        assert_eq!(of_region(&settings), IdentityMode::AddOn);
        assert_eq!(contradiction(&settings), None);
        settings.identity = Some(IdentityMode::Workload);
        assert!(contradiction(&settings).is_some_and(|why| why.contains("malaysiasouth")));
    }

    #[test]
    fn a_class_with_a_client_id_alone_uses_the_workload() {
        let of = |parameters: Value| IdentityMode::of_parameters(&parameters);
        assert_eq!(of(json!({ "clientID": "c" })), IdentityMode::Workload);
        assert_eq!(of(json!({ "clientID": "c", "useVMManagedIdentity": "false" })), IdentityMode::Workload);
        assert_eq!(of(json!({ "clientID": "c", "useVMManagedIdentity": "true" })), IdentityMode::AddOn);
        assert_eq!(
            of(json!({ "userAssignedIdentityID": "u", "useVMManagedIdentity": "true" })),
            IdentityMode::AddOn
        );
        for mode in [IdentityMode::Workload, IdentityMode::AddOn] {
            assert_eq!(IdentityMode::parse(mode.as_str()), Some(mode));
        }
    }
}
