//! Checks of restrictions: read-only locks, and whether the cluster and the vault admit the signed-in identity
//! and this machine.
//!
//! A restriction that admits this run is no finding; it is reported among the signs.

use super::{
    Finding,
    rules::{Findings, Flow},
    snapshot::Snapshot,
};
use crate::{object_fields::text, snapshot::Unread};
use landfall_cloud::{
    ApiError, ApiErrorKind,
    arm::{ClusterRestrictions, Lock, VaultRestrictions},
    kubernetes::ROLE_MISSING,
};

/// Checks the locks of the resource group and above. A read-only lock also refuses the sign-in to the cluster.
pub(super) fn locks(snapshot: &Snapshot<'_>, findings: &mut Findings) -> Flow {
    let group = snapshot.group_id();
    let all = snapshot.locks.as_deref().unwrap_or_default();
    let locks: Vec<&Lock> = all.iter().filter(|lock| lock.blocks_writes(&group)).collect();
    let refuses_sign_in = snapshot.cluster_error().is_some_and(|unread| is(unread, "ScopeLocked"));
    for lock in locks {
        let finding = Finding::new(
            "READ_ONLY_LOCK",
            format!("the lock {} forbids every change of {}", lock.name, lock.scope),
            format!("ask its author, or delete it: az lock delete --ids {}", lock.id),
        );
        let finding = finding.evidence(format!("its level is {}", lock.level));
        let finding = match &lock.notes {
            Some(notes) => finding.evidence(format!("its notes: {notes}")),
            None => finding,
        };
        match refuses_sign_in {
            true => findings.report(finding),
            false => findings.report_latent(finding),
        }
    }
    Flow::Continue(())
}

/// Checks that the API server admits this machine, and the identity.
pub(super) fn cluster(snapshot: &Snapshot<'_>, findings: &mut Findings) -> Flow {
    let Ok(Some(body)) = &snapshot.cluster else { return Flow::Continue(()) };
    let restrictions = ClusterRestrictions::of(body);
    let name = &snapshot.environment.cluster_name;
    let unread = snapshot.cluster_objects().into_iter().flat_map(|objects| objects.unread());
    let unread: Vec<&Unread> = snapshot.cluster_error().into_iter().chain(unread).collect();
    let refused = unread.iter().filter_map(|unread| unread.error()).find(|error| error.is(ROLE_MISSING));
    if let Some(error) = refused {
        findings.report(without_role(name, error));
        return Flow::Continue(());
    }
    let silent = snapshot.cluster_error().filter(|unread| unread.error().is_none_or(is_transport));
    if let (Some(unread), Some((why, remedy))) = (silent, restrictions.network_restriction(body)) {
        let code = if restrictions.private { "CLUSTER_PRIVATE" } else { "CLUSTER_ADDRESS_NOT_AUTHORIZED" };
        findings.report(Finding::new(code, why, remedy).evidence(unread.description()));
        return Flow::Continue(());
    }
    if restrictions.any() && unread.is_empty() {
        findings.add_symptom(format!("cluster {name} is restricted: {}", restrictions.listed().join("; ")));
    }
    Flow::Continue(())
}

fn without_role(name: &str, error: &ApiError) -> Finding {
    let finding = Finding::new(
        "CLUSTER_ROLE_MISSING",
        format!(
            "the signed-in identity has no Kubernetes role in {name}, which signs in through Microsoft Entra ID"
        ),
        error.remedy.clone().unwrap_or_default(),
    );
    let finding = finding.evidence(error.to_string());
    error.details.iter().map(|(_, why)| why.clone()).fold(finding, Finding::evidence)
}

/// Checks that the vault admits this machine. The nodes have their own way to the vault, so the refusal has no
/// effect on them.
pub(super) fn vault(snapshot: &Snapshot<'_>, findings: &mut Findings) -> Flow {
    let Ok(Some(body)) = &snapshot.vault else { return Flow::Continue(()) };
    let restrictions = VaultRestrictions::of(body);
    if !restrictions.any() {
        return Flow::Continue(());
    }
    let (name, listed) = (text(body, "/name"), restrictions.listed().join("; "));
    let refusal = match &snapshot.versions {
        Some(Err(error)) if error.is("ForbiddenByConnection") || error.is("ForbiddenByFirewall") => error,
        _ => {
            findings.add_symptom(format!("key vault {name} is restricted: {listed}"));
            return Flow::Continue(());
        }
    };
    let finding = Finding::new(
        "VAULT_NOT_REACHABLE",
        format!("key vault {name} does not admit this machine: {listed}"),
        restrictions.remedy(name),
    );
    findings.report_latent(finding.evidence(first_line(refusal)));
    Flow::Continue(())
}

fn first_line(error: &ApiError) -> String {
    error.to_string().lines().next().unwrap_or_default().trim().to_owned()
}

fn is(unread: &Unread, code: &str) -> bool {
    unread.error().is_some_and(|error| error.is(code))
}

fn is_transport(error: &ApiError) -> bool {
    error.kind == ApiErrorKind::Transport
}
