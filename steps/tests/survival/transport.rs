//! A transport to the simulated cloud of the same process, which observes each request and can stop all
//! traffic permanently.

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http_body_util::BodyExt;
use landfall_cloud::{ResponseBody, Transport, TransportError};
use landfall_sim::InProcess;
use std::{
    fmt,
    sync::{Arc, Mutex},
};
use tokio::sync::Notify;

/// The side of a request's effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The request has not arrived.
    Before,
    /// The request was executed, and its response was not read.
    After,
}

/// Observes each request on both sides: its number, its name.
pub type Observer = Box<dyn FnMut(Side, usize, &str) + Send>;

/// A transport to one simulated cloud.
pub struct ObservedTransport {
    sim: InProcess,
    state: Mutex<State>,
    stopped: Arc<Notify>,
}

#[derive(Default)]
struct State {
    requests: usize,
    stop_at: Option<(usize, Side)>,
    stopped: bool,
    observer: Option<Observer>,
}

impl fmt::Debug for ObservedTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inside")
    }
}

impl ObservedTransport {
    pub fn new(sim: InProcess) -> Arc<Self> {
        Arc::new(Self { sim, state: Mutex::default(), stopped: Arc::default() })
    }

    /// Sets the observer of all requests.
    pub fn observe(&self, observer: Observer) {
        self.state.lock().unwrap().observer = Some(observer);
    }

    /// Stops all traffic at that side of the request with that number, counted from 1.
    pub fn stop_at(&self, request: usize, side: Side) {
        self.state.lock().unwrap().stop_at = Some((request, side));
    }

    /// Waits until the traffic has stopped.
    pub async fn stopped(&self) {
        self.stopped.notified().await;
    }

    /// Returns the number of requests so far.
    pub fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }

    /// Counts an incoming request; `None` if the traffic has stopped or stops here.
    fn start_request(&self, name: &str) -> Option<usize> {
        let mut state = self.state.lock().unwrap();
        if state.stopped {
            return None;
        }
        state.requests += 1;
        let number = state.requests;
        self.may_continue(&mut state, Side::Before, number, name).then_some(number)
    }

    fn finish_request(&self, number: usize, name: &str) -> bool {
        let mut state = self.state.lock().unwrap();
        !state.stopped && self.may_continue(&mut state, Side::After, number, name)
    }

    fn may_continue(&self, state: &mut State, side: Side, number: usize, name: &str) -> bool {
        if state.stop_at == Some((number, side)) {
            state.stopped = true;
            self.stopped.notify_one();
            return false;
        }
        if let Some(observer) = &mut state.observer {
            observer(side, number, name);
        }
        true
    }
}

#[async_trait]
impl Transport for ObservedTransport {
    async fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<ResponseBody>, TransportError> {
        let name = format!("{} {}", request.method(), request.uri().path());
        let Some(number) = self.start_request(&name) else { return std::future::pending().await };
        let response = self.sim.send(request).await;
        if !self.finish_request(number, &name) {
            return std::future::pending().await;
        }
        let response = response.map_err(|_| TransportError::broken("the connection broke"))?;
        Ok(response.map(|body| {
            let frames = body.into_data_stream().map_err(|_| TransportError::broken("the answer broke off"));
            frames.boxed()
        }))
    }
}
