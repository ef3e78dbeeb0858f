//! A transport to the simulated cloud of the same process, which observes each request and can stop all
//! traffic permanently.

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http_body_util::BodyExt;
use landfall_cloud::{AnswerBody, Carrier, Lost};
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
pub type Onlooker = Box<dyn FnMut(Side, usize, &str) + Send>;

/// A transport to one simulated cloud.
pub struct Inside {
    world: InProcess,
    state: Mutex<State>,
    stopped: Arc<Notify>,
}

#[derive(Default)]
struct State {
    requests: usize,
    stop_at: Option<(usize, Side)>,
    stopped: bool,
    onlooker: Option<Onlooker>,
}

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inside")
    }
}

impl Inside {
    pub fn new(world: InProcess) -> Arc<Self> {
        Arc::new(Self { world, state: Mutex::default(), stopped: Arc::default() })
    }

    /// Sets the observer of all requests.
    pub fn show(&self, onlooker: Onlooker) {
        self.state.lock().unwrap().onlooker = Some(onlooker);
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
    fn arrives(&self, name: &str) -> Option<usize> {
        let mut state = self.state.lock().unwrap();
        if state.stopped {
            return None;
        }
        state.requests += 1;
        let number = state.requests;
        self.passes(&mut state, Side::Before, number, name).then_some(number)
    }

    fn leaves(&self, number: usize, name: &str) -> bool {
        let mut state = self.state.lock().unwrap();
        !state.stopped && self.passes(&mut state, Side::After, number, name)
    }

    fn passes(&self, state: &mut State, side: Side, number: usize, name: &str) -> bool {
        if state.stop_at == Some((number, side)) {
            state.stopped = true;
            self.stopped.notify_one();
            return false;
        }
        if let Some(onlooker) = &mut state.onlooker {
            onlooker(side, number, name);
        }
        true
    }
}

#[async_trait]
impl Carrier for Inside {
    async fn carry(&self, request: http::Request<Bytes>) -> Result<http::Response<AnswerBody>, Lost> {
        let name = format!("{} {}", request.method(), request.uri().path());
        let Some(number) = self.arrives(&name) else { return std::future::pending().await };
        let answer = self.world.ask(request).await;
        if !self.leaves(number, &name) {
            return std::future::pending().await;
        }
        let answer = answer.map_err(|_| Lost::broken("the connection broke"))?;
        Ok(answer.map(|body| {
            let frames = body.into_data_stream().map_err(|_| Lost::broken("the answer broke off"));
            frames.boxed()
        }))
    }
}
