//! Check that the existing vault and cluster admit this machine and the signed-in identity, and that no read-only
//! lock forbids writes.
//!
//! The bodies of the resources declare their restrictions. Only a restricted resource is contacted: it tells
//! whether it admits this run.

use super::{PreflightCheckId, finding::Finding};
use crate::{
    Clusters, cluster::body as cluster_body, cluster_ready, manifests::Manifests, names, settings::Settings,
    tls_secret,
};
use futures::future::try_join_all;
use landfall_cloud::{
    ApiError, ApiErrorKind, ClusterSession, ReadyCluster, Vaults,
    arm::{ClusterRestrictions, Lock, State, SubscriptionClient, VaultRestrictions},
    kubernetes::{ClusterOrigin, Kind, NOT_REACHABLE, ROLE_MISSING},
};
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::timeout;

/// The maximum time of one contact, in real time. A network that drops packets gives no answer at all.
const CONTACT_TIME_MAX: Duration = Duration::from_secs(30);
/// The maximum number of missing rights in a message.
const RIGHTS_SHOWN_MAX: usize = 3;

/// The input of the queries.
pub(super) struct Subject<'a> {
    pub(super) azure: &'a SubscriptionClient,
    pub(super) clusters: &'a Clusters,
    pub(super) vaults: &'a Vaults,
    pub(super) settings: &'a Settings,
    pub(super) manifests: &'a Manifests,
}

/// The evaluation of a restriction.
pub(super) enum Evaluated {
    /// It refuses this run.
    Refused(Box<Finding>),
    /// It admits this run; with the text for a person.
    Noted(String),
}

/// The results of the queries; each may fail alone. `None` for a resource without restrictions.
pub(super) struct AccessResults {
    pub(super) cluster: Result<Option<Evaluated>, ApiError>,
    pub(super) vault: Result<Option<Evaluated>, ApiError>,
    pub(super) locks: Result<Vec<Lock>, ApiError>,
}

/// Sends all queries concurrently.
pub(super) async fn query(subject: &Subject<'_>) -> AccessResults {
    let group = &subject.settings.resource_group;
    let (cluster, vault, locks) = tokio::join!(cluster(subject), vault(subject), subject.azure.locks(group));
    AccessResults { cluster, vault, locks }
}

fn refused(action: String) -> Finding {
    Finding::refused(PreflightCheckId::Access, action)
}

async fn cluster(subject: &Subject<'_>) -> Result<Option<Evaluated>, ApiError> {
    let s = subject.settings;
    let name = &s.cluster.name;
    let Some(body) = subject.azure.recent_cluster(&s.resource_group, name).await? else { return Ok(None) };
    let restrictions = ClusterRestrictions::of(&body);
    let ready = cluster_ready::created(&body, name, None).filter(|_| !cluster_body::is_stopped(&body));
    let Some(ready) = ready.filter(|_| restrictions.any() && State::of(&body) != State::Deleting) else {
        return Ok(None);
    };
    let what = format!("use cluster {name}");
    let opened = match timeout(CONTACT_TIME_MAX, subject.clusters.open(&ready)).await {
        Ok(opened) => opened,
        Err(_) => Err(ApiError::new(ApiErrorKind::Transport, "the API server does not answer")),
    };
    let session = match opened {
        Ok(session) => session,
        Err(error) => return cluster_refusal(error, what, &restrictions, &body).map(Some),
    };
    if restrictions.entra
        && let Some(finding) = missing_rights(subject, &session, &ready, what).await?
    {
        return Ok(Some(Evaluated::Refused(Box::new(finding))));
    }
    let listed = restrictions.listed().join("; ");
    Ok(Some(Evaluated::Noted(format!("cluster {name} is restricted, and admits this run: {listed}"))))
}

/// Evaluates a cluster that could not be opened. An error for another reason than a restriction is no refusal.
fn cluster_refusal(
    error: ApiError,
    what: String,
    restrictions: &ClusterRestrictions,
    body: &Value,
) -> Result<Evaluated, ApiError> {
    let finding = refused(what).cause(error.message.clone());
    let (code, why, remedy) = match error.kind {
        ApiErrorKind::Forbidden if error.is(ROLE_MISSING) => {
            let why = error.details.last().map(|(_, why)| why.clone()).unwrap_or_default();
            (ROLE_MISSING, why, error.remedy.clone().unwrap_or_default())
        }
        ApiErrorKind::Transport => match restrictions.network_restriction(body) {
            Some((why, remedy)) => (NOT_REACHABLE, why, remedy),
            None => return Err(error),
        },
        _ => return Err(error),
    };
    Ok(Evaluated::Refused(Box::new(finding.code(code).cause(why).fix(remedy))))
}

/// Asks the API server for the right to apply every kind of object that it does not allow.
async fn missing_rights(
    subject: &Subject<'_>,
    session: &ClusterSession,
    ready: &ReadyCluster,
    what: String,
) -> Result<Option<Finding>, ApiError> {
    let needed = needed_rights(subject.manifests);
    let asked = needed.iter().map(|(verb, kind, namespace)| async move {
        session.api.allows(verb, kind, namespace.as_deref()).await
    });
    let allowed = try_join_all(asked).await?;
    let missing: Vec<String> = needed
        .iter()
        .zip(allowed)
        .filter(|(_, allowed)| !allowed)
        .map(|((verb, kind, namespace), _)| match namespace {
            Some(namespace) => format!("{verb} {} in {namespace}", kind.plural),
            None => format!("{verb} {}", kind.plural),
        })
        .collect();
    if missing.is_empty() {
        return Ok(None);
    }
    let more = match missing.len().saturating_sub(RIGHTS_SHOWN_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown = missing.iter().take(RIGHTS_SHOWN_MAX).cloned().collect::<Vec<_>>().join(", ");
    let finding = refused(what).code(ROLE_MISSING).cause(format!("it may not {shown}{more}"));
    let origin = ClusterOrigin::new(subject.azure, &ready.id);
    Ok(Some(match origin.missing_role().await {
        Some((why, remedy)) => finding.cause(why).fix(remedy),
        None => {
            finding.fix("request a role in the cluster, such as Azure Kubernetes Service RBAC Cluster Admin")
        }
    }))
}

/// Returns the rights that a run needs: to apply every object of a known kind, and to read the TLS Secret.
fn needed_rights(manifests: &Manifests) -> Vec<(&'static str, Kind, Option<String>)> {
    let all = manifests.apps.iter().chain(&manifests.gateways);
    let known = all.filter_map(|manifest| {
        let kind = Kind::known_of(&manifest.object)?;
        let namespace = manifest.object.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
        Some((kind.plural.to_string(), kind.namespaced.then_some(namespace), kind))
    });
    let mut seen = BTreeSet::new();
    let applied = known.filter(|(plural, namespace, _)| seen.insert((plural.clone(), namespace.clone())));
    let mut needed: Vec<_> = applied.map(|(_, namespace, kind)| ("patch", kind, namespace)).collect();
    let tls = || Some(tls_secret::NAMESPACE.to_owned());
    needed.push(("patch", Kind::SECRET_PROVIDER_CLASS, tls()));
    needed.push(("get", Kind::SECRET, tls()));
    needed
}

async fn vault(subject: &Subject<'_>) -> Result<Option<Evaluated>, ApiError> {
    let s = subject.settings;
    let name = names::vault(s, subject.azure.id());
    let Some(body) = subject.azure.recent_vault(&s.resource_group, &name).await? else { return Ok(None) };
    let restrictions = VaultRestrictions::of(&body);
    let uri = body["properties"]["vaultUri"].as_str().unwrap_or_default();
    if !restrictions.any() || uri.is_empty() || State::of(&body) != State::Succeeded {
        return Ok(None);
    }
    let request = async { subject.vaults.at(uri)?.certificate(&s.certificate.name).await };
    let answer = timeout(CONTACT_TIME_MAX, request).await;
    let listed = restrictions.listed().join("; ");
    let (code, why) = match answer {
        Ok(Err(error)) if error.is("ForbiddenByConnection") => {
            ("ForbiddenByConnection", first_line(&error.message))
        }
        Ok(Err(error)) if error.is("ForbiddenByFirewall") => {
            ("ForbiddenByFirewall", first_line(&error.message))
        }
        Ok(Err(error)) if error.kind == ApiErrorKind::Transport => return Err(error),
        Err(_) => ("ForbiddenByConnection", "the vault does not answer".to_owned()),
        // The vault checks the network first: any other answer means that it admits this machine.
        Ok(_) => {
            let note = format!("key vault {name} is restricted, and admits this run: {listed}");
            return Ok(Some(Evaluated::Noted(note)));
        }
    };
    let finding = refused(format!("use key vault {name}")).code(code).cause(why).cause(listed);
    Ok(Some(Evaluated::Refused(Box::new(finding.fix(restrictions.remedy(&name))))))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// Evaluates read-only locks: one at the group or above it refuses every run; one on a single resource only a
/// change of that resource.
pub(super) fn locks(locks: &[Lock], group: &str) -> Vec<Evaluated> {
    let read_only = locks.iter().filter(|lock| lock.level.eq_ignore_ascii_case("ReadOnly"));
    read_only
        .filter_map(|lock| {
            let notes = lock.notes.as_ref().map(|notes| format!(" ({notes})")).unwrap_or_default();
            if lock.blocks_writes(group) {
                let finding = refused("write to the resource group".to_owned())
                    .code("ScopeLocked")
                    .cause(format!("the lock {} at {} is ReadOnly{notes}", lock.name, lock.scope))
                    .fix(format!(
                        "ask its author, or delete it: az lock delete --ids {}; it also refuses the sign-in to the \
                         cluster",
                        lock.id
                    ));
                return Some(Evaluated::Refused(Box::new(finding)));
            }
            lock.blocks_deletion(group).then(|| {
                Evaluated::Noted(format!(
                    "the lock {} is ReadOnly{notes}: Azure refuses every change of {}",
                    lock.name, lock.scope
                ))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "/subscriptions/s/resourceGroups/rg";

    fn lock(scope: &str, level: &str) -> Lock {
        Lock {
            id: format!("{scope}/providers/Microsoft.Authorization/locks/keep"),
            name: "keep".to_owned(),
            scope: scope.to_owned(),
            level: level.to_owned(),
            notes: Some("until the audit".to_owned()),
        }
    }

    #[test]
    fn a_read_only_lock_refuses_at_the_group_and_is_noted_below_it() {
        let network = format!("{GROUP}/providers/Microsoft.Network/virtualNetworks/vn");
        let evaluate = |scope: &str, level: &str| locks(&[lock(scope, level)], GROUP);
        for scope in [GROUP, "/subscriptions/s"] {
            let found = evaluate(scope, "ReadOnly");
            let [Evaluated::Refused(finding)] = found.as_slice() else { panic!("{scope} is not refused") };
            assert!(finding.causes[0].contains("ReadOnly (until the audit)"), "{finding:?}");
        }
        assert!(
            matches!(evaluate(&network, "ReadOnly").as_slice(), [Evaluated::Noted(note)] if note.contains("vn"))
        );
        for (scope, level) in [(GROUP, "CanNotDelete"), ("/subscriptions/s/resourceGroups/other", "ReadOnly")]
        {
            assert!(evaluate(scope, level).is_empty(), "{scope} {level}");
        }
    }
}
