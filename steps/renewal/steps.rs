//! The steps of a renewal: vault and cluster are only found, and the certificate is replaced.

use crate::{
    Clients,
    certificate::Certificate,
    cluster_ready,
    error_context::ErrorContext,
    graph::Records,
    key_vault::{KeyVault, Vault},
    names,
    settings::{Renewal, Settings},
};
use landfall_cloud::{ReadyCluster, arm::SubscriptionClient};
use landfall_engine::{Check, Context, Graph, Kind, Leftover, Step, StepError, UndoOutcome};
use std::time::Duration;

/// Wires the steps of a renewal: the vault and the cluster are only found, and the certificate is replaced.
pub(super) fn wire(c: &Clients, s: &Settings, has_cluster: bool) -> Graph {
    let mut settings = s.clone();
    settings.certificate.renewal = Some(Renewal::Now);
    let mut graph = Graph::new();
    let records = Records::default();
    let name = names::vault(s, c.azure.id());
    let vault = graph.add(
        "key-vault",
        FindVault { azure: c.azure.clone(), group: s.resource_group.clone(), name },
        (),
    );
    let certificate = Certificate::new(c, &settings, &records).with_progress_in_tags();
    graph.add("certificate", certificate, (vault, vault.done()));
    let find =
        FindCluster { azure: c.azure.clone(), group: s.resource_group.clone(), name: s.cluster.name.clone() };
    graph.add_optional("cluster-ready", has_cluster, find, ());
    graph
}

/// Finds the vault, and creates none.
struct FindVault {
    azure: SubscriptionClient,
    group: String,
    name: String,
}

impl Step for FindVault {
    type Input = ();
    type Output = Vault;

    fn title(&self) -> String {
        format!("key vault {}", self.name)
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(120)
    }

    async fn check(&self, _: &Context, (): &()) -> Result<Check<Vault>, StepError> {
        let what = format!("find key vault {}", self.name);
        let body = self.azure.vault(&self.group, &self.name).await.context(&what)?;
        found(body.as_ref().and_then(KeyVault::parse), &what)
    }

    async fn apply(&self, _: &Context, (): &()) -> Result<Vault, StepError> {
        Err(missing(&format!("find key vault {}", self.name)))
    }

    async fn undo(&self, _: &Context, _: Vault) -> Result<UndoOutcome, StepError> {
        Ok(UndoOutcome::AlreadyDeleted)
    }
}

/// Finds the cluster, and creates none.
struct FindCluster {
    azure: SubscriptionClient,
    group: String,
    name: String,
}

impl Step for FindCluster {
    type Input = ();
    type Output = ReadyCluster;

    fn title(&self) -> String {
        format!("cluster {}", self.name)
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(120)
    }

    async fn check(&self, _: &Context, (): &()) -> Result<Check<ReadyCluster>, StepError> {
        let what = format!("find cluster {}", self.name);
        let body = self.azure.cluster(&self.group, &self.name).await.context(&what)?;
        found(body.and_then(|body| cluster_ready::found(&body, &self.name)), &what)
    }

    async fn apply(&self, _: &Context, (): &()) -> Result<ReadyCluster, StepError> {
        Err(missing(&format!("find cluster {}", self.name)))
    }

    async fn undo(&self, _: &Context, _: ReadyCluster) -> Result<UndoOutcome, StepError> {
        Ok(UndoOutcome::AlreadyDeleted)
    }
}

fn found<T>(resource: Option<T>, what: &str) -> Result<Check<T>, StepError> {
    Ok(match resource {
        Some(resource) => Check::InSync(resource),
        None => Check::Refused { error: missing(what) },
    })
}

fn missing(what: &str) -> StepError {
    StepError::new(Kind::Failed, what)
        .cause("it does not exist")
        .hint("landfall up creates it")
        .leftover(Leftover::Nothing)
}
