//! What `down` decides before it asks: what is adopted, what stays because of what else is there, and what it refuses.
//!
//! A guard that could not look answers "keep".

use crate::{
    deployment::Deployment,
    exit::Exit,
    failure::Failure,
    render::going::{Going, lock},
    target::Target,
};
use landfall_engine::{Discovery, Entry, How, Looking, Memory, Stop, discover};
use landfall_steps::{Survey, is_thing, listed};

/// Discovers what is there of the steps that nothing is remembered of, and adds it to the memory as found.
///
/// Returns the entries that say so in the journal.
///
/// # Errors
/// When something could not be examined: adopting a part would delete a part.
pub async fn found(
    deployment: &Deployment,
    target: &Target,
    memory: &mut Memory,
    kept: impl Fn(&str) -> bool,
) -> Result<Vec<Entry>, Failure> {
    let looking = Looking { memory: memory.clone().into(), pace: target.pace, stop: Stop::new() };
    let Discovery { found, errors } = discover(&deployment.graph, &looking).await;
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

/// Has stay what others work in or what could not be examined, each with the reason.
pub fn keep(
    deployment: &mut Deployment,
    survey: &mut Survey,
    with_strangers: bool,
    goes: impl Fn(&Deployment, &str) -> bool,
) {
    let graph = &mut deployment.graph;
    match &survey.cluster_unexamined {
        Some(why) if with_strangers => {
            survey.unseen.push(format!("the cluster, which goes with whatever it holds: {why}"));
        }
        Some(why) => {
            let why = format!(
                "it could not be examined for foreign objects: {why} (--with-strangers deletes it with whatever it holds)"
            );
            landfall_steps::keep_whole(graph, "cluster", &why);
        }
        None if !survey.in_cluster.is_empty() && !with_strangers => {
            let theirs = listed(&survey.in_cluster);
            let why = format!("it contains foreign resources: {theirs} (--with-strangers deletes them too)");
            landfall_steps::keep_whole(graph, "cluster", &why);
        }
        None => {}
    }
    if let Some(why) = &survey.peerings_unread
        && goes(deployment, "network")
    {
        landfall_steps::keep(&mut deployment.graph, "network", why);
    }
    if goes(deployment, "resource-group") {
        // What is said to stay stays, also when the others are quicker in leaving.
        let why = match (&survey.group_unexamined, survey.in_group.is_empty()) {
            (Some(why), _) => Some(why.clone()),
            (None, false) => Some(format!("it contains foreign resources: {}", listed(&survey.in_group))),
            (None, true) => None,
        };
        if let Some(why) = why {
            landfall_steps::keep(&mut deployment.graph, "resource-group", &why);
        }
    }
    for locked in &mut survey.locks {
        locked.steps.retain(|step| goes(deployment, step));
    }
    survey.locks.retain(|locked| !locked.steps.is_empty());
}

/// Refuses to begin with what cannot be ended: something is locked, or the locks could not be listed.
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
