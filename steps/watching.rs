//! A watch of cluster objects that lasts as long as the step's deadline, through outages of the API server.

use crate::{doing::Doing, operation};
use landfall_cloud::kubernetes::{Cluster, DynamicObject, Kind, Selection};
use landfall_engine::{Seen, StepError};

/// The watched objects.
#[derive(Clone, Copy)]
pub(crate) struct Watched<'a> {
    pub(crate) kind: &'a Kind,
    /// The namespace; `None` for cluster-scoped objects.
    pub(crate) space: Option<&'a str>,
    pub(crate) selection: Selection<'a>,
}

/// Watches until `look` returns a value. During an outage of the API server it shows the error as the state.
/// It restarts the watch until the caller's timeout passes.
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
            // The client has already retried each of these with pauses, so this is no busy loop.
            Err(error) if operation::passes(&error) => {
                let before = seen.get();
                let last = before.rsplit("; last seen ").next().unwrap_or_default();
                seen.set(format!("cannot read the state now: {}; last seen {last}", error.message));
            }
            ended => return ended.doing(what),
        }
    }
}
