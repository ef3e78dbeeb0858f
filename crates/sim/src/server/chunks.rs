//! A streaming reply, sent chunk by chunk as the state changes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, stream};
use hyper::body::Frame;
use tokio_util::sync::CancellationToken;

use super::body::Cut;
use crate::request::Streaming;
use crate::server_state::ServerState;

/// The state of a streaming reply.
struct Pump {
    stream: Box<dyn Streaming>,
    server_state: Arc<ServerState>,
    stop: CancellationToken,
    changes: tokio::sync::watch::Receiver<()>,
    waiting: std::collections::VecDeque<Bytes>,
    done: bool,
}

/// Converts a streaming reply to frames. It polls when the state changes, when the next change is due, and at
/// the stream's deadline. Dropping the body ends it.
pub(super) fn of(
    first: Bytes,
    stream: Box<dyn Streaming>,
    server_state: Arc<ServerState>,
    stop: CancellationToken,
) -> impl Stream<Item = Result<Frame<Bytes>, Cut>> + Send {
    let changes = server_state.changes();
    let waiting = if first.is_empty() { [].into() } else { [first].into() };
    let pump = Pump { stream, server_state, stop, changes, waiting, done: false };
    stream::unfold(pump, |mut pump| async move {
        let chunk = pump.next().await?;
        Some((Ok(Frame::data(chunk)), pump))
    })
}

impl Pump {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.waiting.pop_front() {
                return Some(chunk);
            }
            if self.done {
                return None;
            }
            self.changes.borrow_and_update();
            let poll = match self.server_state.poll(self.stream.as_mut()) {
                Ok(poll) => poll,
                Err(error) => {
                    tracing::error!(%error, "the state cannot be saved");
                    return None;
                }
            };
            self.done = poll.done;
            self.waiting.extend(poll.chunks);
            if !self.waiting.is_empty() || self.done {
                continue;
            }
            let wait = poll.next_poll.since(poll.now).max(Duration::from_millis(1));
            tokio::select! {
                biased;
                changed = self.changes.changed() => changed.ok()?,
                () = tokio::time::sleep(wait) => {}
                () = self.stop.cancelled() => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SimTime, Speed, Timing};
    use crate::options::Options;
    use crate::persistence::Persistence;
    use crate::request::Request;
    use crate::request_log::RequestLog;
    use crate::state::CloudState;
    use futures::StreamExt;
    use futures::future::FutureExt;
    use http::Method;
    use std::any::Any;

    /// A test stream: sends the name of every new group, and ends once the provider is registered.
    struct Watching(Vec<String>);

    impl Streaming for Watching {
        fn poll(&mut self, state: &dyn Any, _now: SimTime) -> (Vec<Bytes>, bool) {
            let state: &CloudState = state.downcast_ref().expect("the server polls with its state");
            let new: Vec<String> =
                state.groups.keys().filter(|name| !self.0.contains(name)).cloned().collect();
            self.0.extend(new.clone());
            let done =
                crate::arm::provider_registration::check_registered(state, "Microsoft.ContainerService")
                    .is_ok()
                    && state.next_due().is_none();
            (new.into_iter().map(Bytes::from).collect(), done)
        }

        fn deadline(&self) -> SimTime {
            SimTime(i64::MAX)
        }
    }

    fn server_state(folder: &std::path::Path, speed: Speed) -> Arc<ServerState> {
        let persistence = Persistence::open(folder).unwrap();
        let request_log = RequestLog::open(&persistence.path("ledger.jsonl")).unwrap();
        let options =
            Options { unregistered: vec!["Microsoft.ContainerService".to_owned()], ..Options::default() };
        let state = CloudState::new(&options, 3, SimTime::now());
        Arc::new(
            ServerState::new(state, Some(persistence), request_log, Timing::new(speed), String::new())
                .unwrap(),
        )
    }

    fn send(server_state: &ServerState, method: Method, path: &str, body: &serde_json::Value) {
        let request = server_state.read(|state| {
            let owner = state.directory.owner().object_id.clone();
            let token = crate::entra::token_for(state, &owner, &state.arm_audience(), state.now());
            let target = format!("/subscriptions/{}{path}", state.subscription);
            Request::new(method, "management.landfall.localhost", &target)
                .with_json(body)
                .with_header("authorization", &format!("Bearer {token}"))
        });
        assert!(server_state.answer(request).unwrap().status.is_success());
    }

    #[tokio::test]
    async fn a_stream_wakes_when_the_state_changes_and_when_a_change_is_due() {
        let folder = tempfile::tempdir().unwrap();
        let server_state = server_state(folder.path(), Speed::Times(1_000.0));
        let stop = CancellationToken::new();
        let frames = of(Bytes::new(), Box::new(Watching(Vec::new())), Arc::clone(&server_state), stop);
        let mut frames = Box::pin(frames);
        assert!(frames.next().now_or_never().is_none(), "nothing to say yet");
        let location = serde_json::json!({ "location": "eastus" });
        send(&server_state, Method::PUT, "/resourcegroups/web?api-version=2024-11-01", &location);
        let first = frames.next().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "web");
        send(
            &server_state,
            Method::POST,
            "/providers/Microsoft.ContainerService/register?api-version=2024-11-01",
            &location,
        );
        assert!(frames.next().await.is_none(), "nobody asks, and still the registration ends");
    }

    #[tokio::test]
    async fn a_stream_ends_when_the_server_stops() {
        let folder = tempfile::tempdir().unwrap();
        let server_state = server_state(folder.path(), Speed::Instant);
        let stop = CancellationToken::new();
        let frames = of(Bytes::from("head"), Box::new(Watching(Vec::new())), server_state, stop.clone());
        let mut frames = Box::pin(frames);
        assert_eq!(frames.next().await.unwrap().unwrap().into_data().unwrap(), "head");
        stop.cancel();
        assert!(frames.next().await.is_none());
    }
}
