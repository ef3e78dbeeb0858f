//! Watching a cluster for as long as the step's own bound allows, also while its API server does not answer.

use crate::{doing::Doing, operation};
use landfall_cloud::kubernetes::{Cluster, DynamicObject, Kind, Selection};
use landfall_engine::{Seen, StepError};

/// What is watched.
#[derive(Clone, Copy)]
pub(crate) struct Watched<'a> {
    pub(crate) kind: &'a Kind,
    /// Absent for what is cluster-wide.
    pub(crate) space: Option<&'a str>,
    pub(crate) selection: Selection<'a>,
}

/// Watches until `look` returns something. A server that does not answer says nothing of the objects: the trouble is
/// shown as the state, and the watch begins anew until the bound around it passes.
pub(crate) async fn until<T>(
    api: &Cluster,
    watched: Watched<'_>,
    seen: &Seen,
    what: &str,
    mut look: impl FnMut(&[DynamicObject]) -> Option<T> + Send,
) -> Result<T, StepError> {
    let Watched { kind, space, selection } = watched;
    loop {
        match api.watch_until(kind, space, selection, &mut look).await {
            // Each of these has been repeated with pauses, so this is no busy loop.
            Err(error) if operation::passes(&error) => {
                let before = seen.get();
                let last = before.rsplit("; last seen ").next().unwrap_or_default();
                seen.set(format!("cannot ask right now: {}; last seen {last}", error.message));
            }
            ended => return ended.doing(what),
        }
    }
}
