//! The description of an environment for its diagnosis.

use crate::{
    certificate::VaultCertificate,
    dns::Published,
    features::PROVIDERS,
    key_vault::Vault,
    manifests::{Manifests, TlsNames},
    names,
    settings::Settings,
    tls_secret::{NAMESPACE, SECRET},
};
use landfall_cloud::{
    ReadyCluster,
    arm::Zone,
    environment::{Environment, ObjectKey, PublishedRecords},
};
use landfall_engine::JournalState;
use serde::de::DeserializeOwned;

/// Returns the names and objects that the settings select, and the resources that the journal records.
/// `settings` contain the names at the time of creation.
#[must_use]
pub fn description(settings: &Settings, journal_state: &JournalState, subscription: &str) -> Environment {
    let cluster: Option<ReadyCluster> = output(journal_state, "cluster-ready");
    let vault: Option<Vault> = output(journal_state, "key-vault");
    let held: Option<VaultCertificate> = output(journal_state, "certificate");
    let manifests = Manifests::new(settings);
    let tls = match (&cluster, &vault, &held) {
        (Some(cluster), Some(vault), Some(held)) => manifests.tls(&TlsNames {
            identity: &cluster.secrets,
            vault: &vault.name,
            tenant: &vault.tenant,
            certificate: &held.name,
            with_chain: !held.self_signed,
        }),
        _ => Vec::new(),
    };
    Environment {
        name: settings.environment.clone(),
        location: settings.location.clone(),
        resource_group: settings.resource_group.clone(),
        cluster_name: settings.cluster.name.clone(),
        vault_name: names::vault(settings, subscription),
        certificate_name: settings.certificate.name.clone(),
        providers: PROVIDERS.map(str::to_owned).into(),
        owner_key: names::OWNER.to_owned(),
        tls_secret: ObjectKey { namespace: NAMESPACE.to_owned(), name: SECRET.to_owned() },
        apps: manifests.apps,
        gateways: manifests.gateways,
        tls,
        is_recorded: journal_state
            .0
            .values()
            .any(|step_state| step_state.output.is_some() || step_state.ticket.is_some()),
        cluster,
        vault: vault.as_ref().map(Vault::reference),
        certificate: held.as_ref().map(VaultCertificate::reference),
        published: output(journal_state, "dns").map(|Published { zone, records }| PublishedRecords {
            zone: zone.map(|zone| Zone { id: zone.id, name: zone.name }),
            records,
        }),
    }
}

fn output<T: DeserializeOwned>(journal_state: &JournalState, step: &str) -> Option<T> {
    serde_json::from_value(journal_state.step_state(step)?.output.clone()?).ok()
}
