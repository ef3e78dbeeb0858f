//! The decisions of `down` before its question: adoptions, resources to keep because of foreign ones, and
//! refusals.
//!
//! A guard that could not complete its check decides "keep".

use crate::{
    deployment::Deployment,
    exit::Exit,
    failure::Failure,
    render::going::{Going, lock},
    target::Target,
};
use landfall_engine::{Discovery, Entry, How, Looking, Memory, Stop, discover};
use landfall_steps::{Survey, listed};

/// Discovers the resources of steps without a record, and adds them to the state as found.
///
/// Returns the journal entries that record this.
///
/// # Errors
/// Fails if a resource could not be examined: a partial adoption would lead to a partial deletion.
pub async fn found(
    deployment: &Deployment,
    target: &Target,
    memory: &mut Memory,
    kept: impl Fn(&str) -> bool,
) -> Result<Vec<Entry>, Failure> {
    let looking = Looking { memory: memory.clone().into(), pace: target.pace, stop: Stop::new() };
    let Discovery { found, errors } = discover(&deployment.graph, &looking).await;
    let is_thing = |step: &str| deployment.resources().is_deletable(step);
    let refused = errors.into_iter().find(|(step, _)| is_thing(step) && !kept(step));
    if let Some((step, error)) = refused {
        let refused = Failure::of_steps(vec![step.to_owned()], &error);
        return Err(refused.cause("--adopt has to know all that is there; nothing was changed"));
    }
    let entry =
        |(step, output): (&str, _)| Entry::Finished { step: step.to_owned(), how: How::Found, output };
    let entries: Vec<Entry> = found.into_iter().filter(|(step, _)| is_thing(step)).map(entry).collect();
    entries.iter().for_each(|entry| memory.learn("", entry));
    Ok(entries)
}

/// Keeps what others use or what could not be examined, each with the reason.
pub fn keep(
    deployment: &mut Deployment,
    survey: &mut Survey,
    with_strangers: bool,
    goes: impl Fn(&Deployment, &str) -> bool,
) {
    let resources = deployment.resources();
    let (group, network) = (resources.group_step(), resources.network_step());
    let cluster = resources.cluster_step();
    match &survey.cluster_unexamined {
        Some(why) if with_strangers => {
            survey.unseen.push(format!("the cluster, which is deleted with its contents: {why}"));
        }
        Some(why) => {
            let why = format!(
                "it could not be examined for foreign objects: {why} (--with-strangers deletes it with its contents)"
            );
            landfall_steps::keep_whole(&mut deployment.graph, cluster, &why);
        }
        None if !survey.in_cluster.is_empty() && !with_strangers => {
            let theirs = listed(&survey.in_cluster);
            let why = format!("it contains foreign resources: {theirs} (--with-strangers deletes them too)");
            landfall_steps::keep_whole(&mut deployment.graph, cluster, &why);
        }
        None => {}
    }
    if let Some(why) = &survey.peerings_unread
        && goes(deployment, network)
    {
        deployment.keep(network, why);
    }
    if goes(deployment, group) {
        // A resource that is reported as kept stays, even if the foreign resources vanish first.
        let why = match (&survey.group_unexamined, survey.in_group.is_empty()) {
            (Some(why), _) => Some(why.clone()),
            (None, false) => Some(format!("it contains foreign resources: {}", listed(&survey.in_group))),
            (None, true) => None,
        };
        if let Some(why) = why {
            deployment.keep(group, &why);
        }
    }
    for locked in &mut survey.locks {
        locked.steps.retain(|step| goes(deployment, step));
    }
    survey.locks.retain(|locked| !locked.steps.is_empty());
}

/// Refuses a teardown that cannot complete: a resource is locked, or the locks could not be listed.
pub fn refused(going: &Going<'_>) -> Option<Failure> {
    if let Some(unread) = &going.survey.locks_unread {
        let exit = if unread.forbidden { Exit::Refused } else { Exit::Failed };
        let failure = Failure::new(exit, "list the locks on what is to go")
            .cause(unread.why.clone())
            .cause("nothing was changed: a lock in the middle would leave half an environment");
        return Some(failure.hint(match unread.forbidden {
            true => "get the right to read them, which Reader has: Microsoft.Authorization/locks/read",
            false => "run it again",
        }));
    }
    (!going.survey.locks.is_empty()).then(|| locked(going))
}

fn locked(going: &Going<'_>) -> Failure {
    let locks = &going.survey.locks;
    let refused = Failure::new(Exit::Refused, "delete locked resources").cause("nothing was changed");
    let told = locks.iter().fold(refused, |refused, one| refused.cause(lock(one)));
    let ids: Vec<String> = locks.iter().map(|locked| format!("\"{}\"", locked.lock.id)).collect();
    told.hint(format!(
        "remove the lock: az lock delete --ids {} (or keep the locked resources with --keep STEP)",
        ids.join(" ")
    ))
}
