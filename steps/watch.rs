//! A watch of cluster objects that lasts as long as the step's deadline, through outages of the API server.

use crate::{error_context::ErrorContext, operation};
use landfall_cloud::kubernetes::{Cluster, DynamicObject, Kind, Selection};
use landfall_engine::{StatusCell, StepError};

/// The watched objects.
#[derive(Clone, Copy)]
pub(crate) struct WatchTarget<'a> {
    pub(crate) kind: &'a Kind,
    /// The namespace; `None` for cluster-scoped objects.
    pub(crate) space: Option<&'a str>,
    pub(crate) selection: Selection<'a>,
}

/// Watches until `look` returns a value. During an outage of the API server it shows the error as the state.
/// It restarts the watch until the caller's timeout passes.
pub(crate) async fn until<T>(
    api: &Cluster,
    target: WatchTarget<'_>,
    status: &StatusCell,
    what: &str,
    mut evaluate: impl FnMut(&[DynamicObject]) -> Option<T> + Send,
) -> Result<T, StepError> {
    let WatchTarget { kind, space, selection } = target;
    loop {
        match api.watch_until(kind, space, selection, &mut evaluate).await {
            // The client has already retried each of these with pauses, so this is no busy loop.
            Err(error) if operation::is_transient(&error) => {
                let before = status.get();
                let last = before.rsplit("; last seen ").next().unwrap_or_default();
                status.set(format!("cannot read the state now: {}; last seen {last}", error.message));
            }
            ended => return ended.context(what),
        }
    }
}
