//! A simulated cloud without a server, as the fixture of unit tests for handlers.

use http::Method;
use serde_json::Value;

use crate::clock::{SimTime, Speed, Timing};
use crate::entra;
use crate::options::Options;
use crate::request::{Reply, Request};
use crate::state::{CloudState, DOMAIN};

/// A simulated cloud with a manual clock.
pub struct TestCloud {
    /// The state.
    pub state: CloudState,
    /// The current time.
    pub now: SimTime,
    /// The time scale, which is real time.
    pub timing: Timing,
}

impl TestCloud {
    /// Creates a simulated cloud in which everything is registered, with a group `rg` in eastus.
    pub fn new() -> Self {
        let now = SimTime(1_795_421_700_000);
        let options = Options { unregistered: Vec::new(), ..Options::default() };
        let mut state = CloudState::new(&options, 7, now);
        state.port = 20_000;
        state.add_group("rg", "eastus", &Value::Null, None, now);
        Self { state, now, timing: Timing::new(Speed::Times(1.0)) }
    }

    /// Returns the path of a resource in the group `rg`, such as `Microsoft.Network/virtualNetworks/v`.
    pub fn in_group(&self, rest: &str) -> String {
        format!("{}/providers/{rest}", self.path("/resourceGroups/rg"))
    }

    /// Returns a path below the subscription.
    pub fn path(&self, rest: &str) -> String {
        format!("/subscriptions/{}{rest}", self.state.subscription)
    }

    /// Advances the clock by that many seconds.
    pub fn advance(&mut self, seconds: f64) {
        self.now = self.timing.after(self.now, seconds);
        self.state.advance_to(self.now, &self.timing);
    }

    /// Creates a request to Resource Manager, authenticated as a principal.
    pub fn request_as(&self, object_id: &str, method: Method, target: &str) -> Request {
        let token = entra::token_for(&self.state, object_id, &self.state.arm_audience(), self.now);
        Request::new(method, &format!("management.{DOMAIN}"), target)
            .with_header("authorization", &format!("Bearer {token}"))
    }

    /// Creates a request as the subscription's owner.
    pub fn request(&self, method: Method, target: &str) -> Request {
        let owner = self.state.directory.owner().object_id.clone();
        self.request_as(&owner, method, target)
    }

    /// Sends a request.
    pub fn send(&mut self, request: &Request) -> Reply {
        self.state.advance_to(self.now, &self.timing);
        let reply = self.state.handle(request, self.now, &self.timing);
        self.state.advance_to(self.now, &self.timing);
        reply
    }

    /// Sends a GET as the owner.
    pub fn get(&mut self, target: &str) -> Reply {
        let request = self.request(Method::GET, target);
        self.send(&request)
    }

    /// Sends a PUT as the owner.
    pub fn put(&mut self, target: &str, body: &Value) -> Reply {
        let request = self.request(Method::PUT, target).with_json(body);
        self.send(&request)
    }

    /// Sends a DELETE as the owner.
    pub fn delete(&mut self, target: &str) -> Reply {
        let request = self.request(Method::DELETE, target);
        self.send(&request)
    }
}

/// Returns the code of an error body, with or without envelope.
pub fn code(reply: &Reply) -> String {
    let body = reply.value();
    let error = if body["error"].is_object() { &body["error"] } else { &body };
    error["code"].as_str().unwrap_or_default().to_owned()
}

/// Returns the path and query of an absolute URL in a header.
pub fn target(reply: &Reply, header: &str) -> String {
    let url = reply.headers[header].to_str().unwrap();
    let url = url::Url::parse(url).unwrap();
    format!("{}?{}", url.path(), url.query().unwrap_or_default())
}
