//! The step on whose behalf the current task works, for those who observe its requests.

use std::future::Future;

tokio::task_local! {
    static STEP: &'static str;
}

/// Returns the id of the step whose check, apply or deletion the current task runs; `None` outside of a step, and in tasks
/// that a step spawned.
#[must_use]
pub fn current_step() -> Option<&'static str> {
    STEP.try_with(|step| *step).ok()
}

/// Runs a future on behalf of a step.
pub(crate) async fn on_behalf_of<T>(step: &'static str, future: impl Future<Output = T>) -> T {
    STEP.scope(step, future).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_step_is_known_inside_of_its_future_only() {
        assert_eq!(current_step(), None);
        let (inside, other) =
            tokio::join!(on_behalf_of("network", async { current_step() }), async { current_step() });
        assert_eq!((inside, other), (Some("network"), None));
    }
}
