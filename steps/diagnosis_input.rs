//! The description of an environment for its diagnosis.

use crate::{
    Clients,
    certificate::{VaultCertificate, acme::AcmeDirectory},
    dns::Published,
    graph::deployment,
    key_vault::Vault,
    manifests::{Manifests, TlsNames},
    names,
    operator::listeners,
    settings::{Settings, Teardown},
    tls_secret::{NAMESPACE, SECRET},
};
use landfall_cloud::{
    Roots,
    arm::Zone,
    environment_description::{Environment, ObjectKey, PublishedRecords},
};
use landfall_engine::JournalState;

/// Returns the authorities to which the recorded certificate leads. A staging server's authority vouches for nothing.
fn certificate_roots(
    clients: &Clients,
    settings: &Settings,
    held: Option<&VaultCertificate>,
) -> Option<Roots> {
    let acme = settings.certificate.acme.as_ref()?;
    held.filter(|held| held.acme.as_deref() == Some(&acme.directory.to_string()))?;
    match (&acme.directory, &acme.root) {
        (AcmeDirectory::Production, _) => Some(clients.acme.certificate_roots().clone()),
        (AcmeDirectory::Staging, _) => None,
        (AcmeDirectory::Url(_), Some(root)) => Some(Roots::Only(vec![root.clone()])),
        (AcmeDirectory::Url(_), None) => Some(Roots::System),
    }
}

/// Returns the names and objects that the settings select, and the resources that the journal records.
/// `settings` contain the names at the time of creation. Sends no request.
#[must_use]
pub fn description(clients: &Clients, settings: &Settings, journal_state: &JournalState) -> Environment {
    let (_, resources) = deployment(clients, settings, &Teardown::default());
    let records = resources.records();
    let cluster = journal_state.output_of(records.cluster);
    let vault = journal_state.output_of(records.vault);
    let held = journal_state.output_of(records.certificate);
    let manifests = Manifests::new(settings);
    let identity = journal_state.output_of(records.identity).filter(|_| settings.uses_workload_identity());
    let client_id = match (settings.uses_workload_identity(), &identity, &cluster) {
        (true, Some(identity), _) => Some(identity.client_id.clone()),
        // A renewal has no record of the identity, and compares no client id.
        (true, None, Some(_)) => Some(String::new()),
        (false, _, Some(cluster)) => Some(cluster.secrets.client_id.clone()),
        _ => None,
    };
    let tls = match (&client_id, &vault, &held) {
        (Some(client_id), Some(vault), Some(held)) if cluster.is_some() => manifests.tls(&TlsNames {
            client_id,
            vault: &vault.name,
            tenant: &vault.tenant,
            certificate: &held.name,
            with_chain: !held.self_signed,
        }),
        _ => Vec::new(),
    };
    let operated = if settings.has_operator_tls() { listeners::of(&manifests.gateways) } else { Vec::new() };
    // What the operator makes, as far as a diagnosis compares it.
    let (tls, gateways) = match operated.is_empty() {
        true => (tls, manifests.gateways),
        false => (
            listeners::classes(&operated, &settings.certificate.name),
            listeners::with_references(&manifests.gateways),
        ),
    };
    let own = ObjectKey { namespace: NAMESPACE.to_owned(), name: SECRET.to_owned() };
    let tls_secret = operated
        .first()
        .map(|listener| ObjectKey { namespace: listener.namespace.clone(), name: listener.secret() });
    Environment {
        name: settings.environment.clone(),
        location: settings.location.clone(),
        resource_group: settings.resource_group.clone(),
        cluster_name: settings.cluster.name.clone(),
        vault_name: names::vault(settings, clients.azure.id()),
        identity_name: settings.uses_workload_identity().then(|| names::identity(settings)),
        certificate_name: settings.certificate.name.clone(),
        providers: resources.providers().into_iter().map(str::to_owned).collect(),
        owner_key: names::OWNER.to_owned(),
        tls_secret: tls_secret.unwrap_or(own),
        apps: manifests.apps,
        gateways,
        tls,
        is_recorded: journal_state
            .0
            .values()
            .any(|step_state| step_state.output.is_some() || step_state.ticket.is_some()),
        cluster,
        vault: vault.as_ref().map(Vault::reference),
        certificate_roots: certificate_roots(clients, settings, held.as_ref()),
        certificate: held.as_ref().map(VaultCertificate::reference),
        published: journal_state.output_of(records.dns).map(|Published { zone, records, .. }| {
            PublishedRecords {
                zone: zone.map(|zone| Zone { id: zone.id, name: zone.name, name_servers: Vec::new() }),
                records,
            }
        }),
    }
}
