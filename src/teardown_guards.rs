//! The decisions of `down` before its question: adoptions, resources to keep because of foreign ones, and
//! refusals.
//!
//! A guard that could not complete its check decides "keep".

use crate::{
    deployment::Deployment,
    exit::Exit,
    failure::Failure,
    render::teardown_preview::{TeardownPreview, lock},
    target::Target,
};
use landfall_engine::{Discovery, Entry, How, JournalState, PlanContext, Stop, discover};
use landfall_steps::{TeardownPreconditions, listed};

/// Discovers the resources of steps without a record, and adds them to the state as found.
///
/// Returns the journal entries that record this.
///
/// # Errors
/// Fails if a resource could not be examined: a partial adoption would lead to a partial deletion.
pub async fn found(
    deployment: &Deployment,
    target: &Target,
    journal_state: &mut JournalState,
    kept: impl Fn(&str) -> bool,
) -> Result<Vec<Entry>, Failure> {
    let plan_context = PlanContext {
        journal_state: journal_state.clone().into(),
        time_scale: target.time_scale,
        stop: Stop::new(),
    };
    let Discovery { found, errors } = discover(&deployment.graph, &plan_context).await;
    let has_resource = |step: &str| deployment.resources().is_deletable(step);
    let refused = errors.into_iter().find(|(step, _)| has_resource(step) && !kept(step));
    if let Some((step, error)) = refused {
        let refused = Failure::of_steps(vec![step.to_owned()], &error);
        return Err(refused.cause("--adopt needs the list of all existing resources; nothing was changed"));
    }
    let entry =
        |(step, output): (&str, _)| Entry::Finished { step: step.to_owned(), how: How::Found, output };
    let entries: Vec<Entry> = found.into_iter().filter(|(step, _)| has_resource(step)).map(entry).collect();
    entries.iter().for_each(|entry| journal_state.apply("", entry));
    Ok(entries)
}

/// Keeps what others use or what could not be examined, each with the reason.
pub fn keep(
    deployment: &mut Deployment,
    preconditions: &mut TeardownPreconditions,
    with_foreign: bool,
    is_deleted: impl Fn(&Deployment, &str) -> bool,
) {
    let resources = deployment.resources();
    let (group, network) = (resources.group_step(), resources.network_step());
    let cluster = resources.cluster_step();
    match &preconditions.cluster_unexamined {
        Some(why) if with_foreign => {
            preconditions.unseen.push(format!("the cluster, which is deleted with its contents: {why}"));
        }
        Some(why) => {
            let why = format!(
                "it could not be examined for foreign objects: {why} (--with-strangers deletes it with its contents)"
            );
            landfall_steps::keep_connected(&mut deployment.graph, cluster, &why);
        }
        None if !preconditions.in_cluster.is_empty() && !with_foreign => {
            let foreign = listed(&preconditions.in_cluster);
            let why = format!("it contains foreign resources: {foreign} (--with-strangers deletes them too)");
            landfall_steps::keep_connected(&mut deployment.graph, cluster, &why);
        }
        None => {}
    }
    if let Some(why) = &preconditions.peerings_failure
        && is_deleted(deployment, network)
    {
        deployment.keep(network, why);
    }
    if is_deleted(deployment, group) {
        // A resource that is reported as kept stays, even if the foreign resources vanish first.
        let why = match (&preconditions.group_unexamined, preconditions.in_group.is_empty()) {
            (Some(why), _) => Some(why.clone()),
            (None, false) => {
                Some(format!("it contains foreign resources: {}", listed(&preconditions.in_group)))
            }
            (None, true) => None,
        };
        if let Some(why) = why {
            deployment.keep(group, &why);
        }
    }
    for locked in &mut preconditions.locks {
        locked.steps.retain(|step| is_deleted(deployment, step));
    }
    preconditions.locks.retain(|locked| !locked.steps.is_empty());
}

/// Refuses a teardown that cannot complete: a resource is locked, or the locks could not be listed.
pub fn refused(preview: &TeardownPreview<'_>) -> Option<Failure> {
    if let Some(unread) = &preview.preconditions.locks_failure {
        let exit = if unread.forbidden { Exit::Refused } else { Exit::Failed };
        let failure = Failure::new(exit, "list the locks on the resources to delete")
            .cause(unread.why.clone())
            .cause("nothing was changed: a lock could stop the deletion halfway");
        return Some(failure.hint(match unread.forbidden {
            true => "get the right to read them, which Reader has: Microsoft.Authorization/locks/read",
            false => "run it again",
        }));
    }
    (!preview.preconditions.locks.is_empty()).then(|| locked(preview))
}

fn locked(preview: &TeardownPreview<'_>) -> Failure {
    let locks = &preview.preconditions.locks;
    let refused = Failure::new(Exit::Refused, "delete locked resources").cause("nothing was changed");
    let refusal = locks.iter().fold(refused, |refused, one| refused.cause(lock(one)));
    let ids: Vec<String> = locks.iter().map(|locked| format!("\"{}\"", locked.lock.id)).collect();
    refusal.hint(format!(
        "remove the lock: az lock delete --ids {} (or keep the locked resources with --keep STEP)",
        ids.join(" ")
    ))
}
