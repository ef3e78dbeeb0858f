//! The federated credentials of the identity: one for each service account of a workload that mounts the class. The
//! token endpoint exchanges a token of such a service account, signed by the cluster's issuer, for one of the identity.
//!
//! A recreated cluster has another issuer. A credential has a name that depends on its service account alone, so that it
//! is overwritten then.

use crate::{
    Clients,
    cluster::AcceptedCluster,
    error_context::{ErrorContext, TrackWrite},
    graph::Records,
    identity::UserAssignedIdentity,
    manifests::{Manifests, ServiceAccount},
    names, operation,
    resource_spec::{LockScope, Resource, ResourceSpec, Right},
    settings::Settings,
};
use landfall_cloud::{
    ApiErrorKind,
    arm::{
        Condition, FederatedCredential as Existing, SubscriptionClient,
        identity::{API, credential_body},
    },
};
use landfall_engine::{Change, Check, Context, Poll, RecordOf, Step, StepError, UndoOutcome, Wait};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

const RIGHTS: &[Right] = &[Right {
    act: "write federated credentials of managed identities",
    action: "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write",
}];

/// Ensures that the identity trusts the service accounts.
pub struct FederatedCredentials {
    azure: SubscriptionClient,
    group: String,
    identity: RecordOf<UserAssignedIdentity>,
    accounts: Vec<ServiceAccount>,
}

/// The existing credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Federation {
    /// The resource id of the identity.
    pub identity: String,
    /// The issuer that the credentials trust.
    pub issuer: String,
    /// Resource ids of the credentials, in the order of the service accounts.
    pub credentials: Vec<String>,
}

impl FederatedCredentials {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clients, s: &Settings, records: &Records) -> Self {
        Self {
            azure: c.azure.clone(),
            group: s.resource_group.clone(),
            identity: records.identity,
            accounts: Manifests::new(s).trusted_accounts(s),
        }
    }

    fn id(identity: &str, account: &ServiceAccount) -> String {
        format!("{identity}/federatedIdentityCredentials/{}", names::credential(account))
    }

    /// Returns the id of an existing credential as its creation recorded it. Azure spells it in another case, and an
    /// output that differs would make dependents check again.
    fn recorded_id(identity: &str, account: &ServiceAccount, found: &Existing) -> String {
        let own = Self::id(identity, account);
        if own.eq_ignore_ascii_case(&found.id) { own } else { found.id.clone() }
    }

    /// Returns the credentials of an identity; none without the identity.
    async fn list(&self, identity: &str) -> Result<Vec<Existing>, StepError> {
        match self.azure.federated_credentials(identity).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => Ok(Vec::new()),
            listed => listed.context("list the federated credentials"),
        }
    }

    /// Returns the cluster's issuer: from the answer to its creation, else from the cluster itself.
    async fn issuer(&self, cx: &Context, cluster: &AcceptedCluster) -> Result<String, StepError> {
        if let Some(issuer) = &cluster.issuer {
            return Ok(issuer.clone());
        }
        let wait = Wait::new("the cluster's issuer", Duration::from_secs(5), Duration::from_secs(3600));
        let what = format!("read cluster {}", cluster.name);
        let request = || self.azure.cluster(&self.group, &cluster.name);
        operation::poll_until(cx, wait, &what, request, |body| {
            let issuer = body.as_ref().and_then(crate::cluster::body::issuer);
            Ok(issuer.map_or_else(|| Poll::not_yet("the cluster has no issuer so far"), Poll::Ready))
        })
        .await
    }

    /// Returns the credential with which the service account is trusted now.
    fn trusted<'a>(listed: &'a [Existing], issuer: &str, account: &ServiceAccount) -> Option<&'a Existing> {
        listed.iter().find(|one| one.trusts(issuer, &account.subject()))
    }

    fn output(&self, identity: &str, issuer: &str, credentials: Vec<String>) -> Federation {
        Federation { identity: identity.to_owned(), issuer: issuer.to_owned(), credentials }
    }

    /// Returns the recorded credentials that no service account needs any more.
    fn outdated(&self, cx: &Context, wanted: &[String]) -> Vec<String> {
        let recorded = cx.last_output::<Federation>().filter(|_| cx.owned());
        let mut recorded = recorded.map(|recorded| recorded.credentials).unwrap_or_default();
        recorded.retain(|one| is_own(one) && !wanted.iter().any(|id| id.eq_ignore_ascii_case(one)));
        recorded
    }

    /// Writes one credential. Two writes at a time under one identity conflict.
    async fn write(
        &self,
        cx: &Context,
        identity: &str,
        issuer: &str,
        account: &ServiceAccount,
    ) -> Result<String, StepError> {
        let id = Self::id(identity, account);
        let what = format!("create the federated credential {}", names::credential(account));
        let body = credential_body(issuer, &account.subject());
        let put = || async {
            match self.azure.arm().put(&id, API, &body, Condition::None).await.track_write(cx) {
                // Another party wrote the same one, with another name, since the list was read.
                Err(error) if error.message.contains("already exists for this Managed Identity") => {
                    Ok(Err(error))
                }
                put => put.map(Ok),
            }
        };
        match operation::retry_while_busy(cx, &what, put).await? {
            Ok(_) => Ok(id),
            Err(error) => match Self::trusted(&self.list(identity).await?, issuer, account) {
                Some(found) => Ok(Self::recorded_id(identity, account, found)),
                None => Err(error).context(&what),
            },
        }
    }

    async fn delete(&self, cx: &Context, id: &str) -> Result<(), StepError> {
        let name = id.rsplit('/').next().unwrap_or(id);
        let what = format!("delete the federated credential {name}");
        operation::retry_while_busy(cx, &what, || self.azure.arm().delete(id, API)).await.map(|_| ())
    }
}

/// Returns whether a credential has a name that landfall gives.
fn is_own(id: &str) -> bool {
    id.rsplit('/').next().is_some_and(|name| name.starts_with(names::CREDENTIAL))
}

impl Step for FederatedCredentials {
    type Input = (UserAssignedIdentity, AcceptedCluster);
    type Output = Federation;

    fn title(&self) -> String {
        let accounts: Vec<String> = self.accounts.iter().map(ServiceAccount::to_string).collect();
        format!("federated credential for {}", accounts.join(", "))
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(3900)
    }

    fn typical_duration(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn check(
        &self,
        cx: &Context,
        (identity, cluster): &Self::Input,
    ) -> Result<Check<Federation>, StepError> {
        let listed = self.list(&identity.id).await?;
        // Without an issuer nothing is trusted yet.
        let Some(issuer) = &cluster.issuer else { return Ok(Check::Missing) };
        let (mut credentials, mut changes, mut missing) = (Vec::new(), Vec::new(), false);
        for account in &self.accounts {
            let own = Self::id(&identity.id, account);
            match Self::trusted(&listed, issuer, account) {
                Some(found) => credentials.push(Self::recorded_id(&identity.id, account, found)),
                None => match listed.iter().find(|one| one.id.eq_ignore_ascii_case(&own)) {
                    Some(differing) => changes.extend(differences(differing, issuer, account)),
                    None => missing = true,
                },
            }
        }
        for outdated in self.outdated(cx, &credentials) {
            let name = outdated.rsplit('/').next().unwrap_or_default().to_owned();
            changes.push(Change { field: "credential".to_owned(), is: json!(name), wanted: json!(null) });
        }
        Ok(match (missing, changes.is_empty()) {
            (true, true) => Check::Missing,
            (true, false) => Check::Partial { changes },
            (false, false) => Check::Drifted { changes },
            (false, true) => Check::InSync(self.output(&identity.id, issuer, credentials)),
        })
    }

    async fn apply(&self, cx: &Context, (identity, cluster): &Self::Input) -> Result<Federation, StepError> {
        let issuer = self.issuer(cx, cluster).await?;
        let listed = self.list(&identity.id).await?;
        let mut credentials = Vec::new();
        for account in &self.accounts {
            credentials.push(match Self::trusted(&listed, &issuer, account) {
                Some(found) => Self::recorded_id(&identity.id, account, found),
                None => self.write(cx, &identity.id, &issuer, account).await?,
            });
        }
        for outdated in self.outdated(cx, &credentials) {
            self.delete(cx, &outdated).await?;
        }
        Ok(self.output(&identity.id, &issuer, credentials))
    }

    fn parent(&self) -> Option<&'static str> {
        Some(self.identity.id())
    }

    /// Returns the credentials with landfall's names, whatever they trust.
    async fn recover(
        &self,
        _: &Context,
        (identity, cluster): &Self::Input,
    ) -> Result<Option<Federation>, StepError> {
        let listed = self.list(&identity.id).await?;
        let own: Vec<String> = listed.into_iter().map(|one| one.id).filter(|id| is_own(id)).collect();
        let issuer = cluster.issuer.clone().unwrap_or_default();
        Ok((!own.is_empty()).then(|| self.output(&identity.id, &issuer, own)))
    }

    async fn undo(&self, cx: &Context, federation: Federation) -> Result<UndoOutcome, StepError> {
        if cx.owns(self.identity) && !cx.retired() {
            return Ok(UndoOutcome::DeletedWithParent);
        }
        let listed = self.list(&federation.identity).await?;
        let exists = |id: &String| listed.iter().any(|one| one.id.eq_ignore_ascii_case(id));
        let (own, foreign): (Vec<&String>, Vec<&String>) =
            federation.credentials.iter().filter(|id| exists(id)).partition(|id| is_own(id) || cx.adopted());
        for id in &own {
            self.delete(cx, id).await?;
        }
        Ok(match (own.is_empty(), foreign.is_empty()) {
            (true, false) => UndoOutcome::Kept { why: "another party created it".to_owned() },
            (true, true) => UndoOutcome::AlreadyDeleted,
            (false, _) => UndoOutcome::Deleted,
        })
    }
}

/// Lists the values in which a credential differs from the wanted one.
fn differences(is: &Existing, issuer: &str, account: &ServiceAccount) -> Vec<Change> {
    let wanted = [
        ("issuer", &is.issuer, issuer.to_owned()),
        ("subject", &is.subject, account.subject()),
        ("audience", &is.audience, landfall_cloud::arm::identity::AUDIENCE.to_owned()),
    ];
    let differs = |(field, is, wanted): (&str, &String, String)| {
        (*is != wanted).then(|| Change { field: field.to_owned(), is: json!(is), wanted: json!(wanted) })
    };
    wanted.into_iter().filter_map(differs).collect()
}

impl Resource for FederatedCredentials {
    fn resource(&self) -> ResourceSpec {
        ResourceSpec::new("federated credential", "").needs(RIGHTS).locked_at(|past| {
            past.read_output::<Federation>()
                .map(|federation| LockScope::At(federation.identity))
                .into_iter()
                .collect()
        })
    }
}
