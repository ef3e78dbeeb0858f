//! Asynchronous (long-running) operations, which a client polls after an accepted write.
//!
//! An operation is a record with the instant of its end. Its state follows from the record and the clock, so
//! it progresses while no server runs. Its effect on the resource belongs to the resource's family, which
//! stores the same instant as its own due time.

pub(crate) mod store;

use serde_json::json;

use crate::arm::error::ArmError;
use crate::arm::{Call, Route, id};
use crate::clock::{SimTime, Timing};
use crate::durations;
use crate::request::{Reply, with_retry_after};
use crate::state::CloudState;

pub use store::{Operation, Outcome, Style};

/// The properties of a new operation. Times are seconds of cloud time.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// The full id of the resource.
    pub resource: &'a str,
    /// The provider's namespace, `Microsoft.Network`.
    pub provider: &'a str,
    /// The region named in the URL.
    pub location: &'a str,
    /// The internal name, `PutVirtualNetworkOperation`.
    pub name: &'a str,
    /// The headers by which clients poll it.
    pub style: Style,
    /// The api-version in its URL, which can differ from that of the write.
    pub api_version: &'a str,
    /// The `Retry-After` in seconds; no header if `None`.
    pub retry_after: Option<f64>,
    /// True if its URL contains signed parameters that the client must send back unchanged.
    pub signed: bool,
}

impl Operation {
    /// Adds the headers by which the caller polls it.
    pub fn announce(&self, state: &CloudState, timing: &Timing, mut reply: Reply) -> Reply {
        let origin = state.arm_origin();
        if self.style != Style::Location {
            reply =
                reply.with_header("azure-asyncoperation", &format!("{origin}{}", self.target("operations")));
        }
        if self.style != Style::AsyncOperation {
            reply = reply.with_header("location", &format!("{origin}{}", self.target("operationResults")));
        }
        with_retry_after(reply, timing, self.retry_after)
    }

    fn target(&self, collection: &str) -> String {
        let subscription = id::part(&self.resource, "subscriptions").unwrap_or_default();
        let at = match self.provider.as_str() {
            "Microsoft.Resources" => {
                format!("/subscriptions/{subscription}/{}", collection.to_ascii_lowercase())
            }
            provider => {
                format!(
                    "/subscriptions/{subscription}/providers/{provider}/locations/{}/{collection}",
                    self.location
                )
            }
        };
        let signature =
            if self.signature.is_empty() { String::new() } else { format!("&{}", self.signature) };
        format!("{at}/{}?api-version={}{signature}", self.id, self.api_version)
    }
}

/// Starts an operation that lasts until `ends` and succeeds, unless its family changes that before then.
pub fn begin(state: &mut CloudState, plan: &Plan<'_>, now: SimTime, ends: SimTime) -> Operation {
    state.operations.retain(|_, old| now.since(old.ends).as_secs_f64() < durations::OPERATION_RETENTION);
    let id = state.uuid("operation");
    let signature = if plan.signed { signature(state, now) } else { String::new() };
    let operation = Operation {
        id: id.clone(),
        resource: plan.resource.to_owned(),
        provider: plan.provider.to_owned(),
        location: plan.location.to_owned(),
        name: plan.name.to_owned(),
        style: plan.style,
        api_version: plan.api_version.to_owned(),
        retry_after: plan.retry_after,
        signature,
        started: now,
        ends,
        stages: Vec::new(),
        outcome: Outcome::Succeeded,
        result: (200, None),
        undocumented_states: Vec::new(),
    };
    state.operations.insert(id, operation.clone());
    operation
}

/// Draws the parameters `t`, `c`, `s`, `h` that some providers add to the URL. They are long, because clients
/// must handle long URLs.
fn signature(state: &mut CloudState, now: SimTime) -> String {
    let mut random = |what: &str, states: usize| -> String { (0..states).map(|_| state.hex(what)).collect() };
    let (c, s, h) = (random("signature-c", 40), random("signature-s", 16), random("signature-h", 1));
    // The certificate in it makes the URL about 4.6 KB long.
    let c = c.repeat(3);
    format!("t={}&c={c}&s={s}&h={h}", now.0 * 10_000 + 621_355_968_000_000_000)
}

/// Returns the operation in progress on that resource.
pub fn running<'a>(state: &'a CloudState, resource: &str, now: SimTime) -> Option<&'a Operation> {
    state
        .operations
        .values()
        .find(|operation| id::same(&operation.resource, resource) && !operation.is_over(now))
}

/// The routes for polling operations.
pub fn routes() -> Vec<Route> {
    const GROUPS: &[&str] = crate::arm::versions::RESOURCES;
    vec![
        Route::any(
            "GET",
            "/subscriptions/{subscription}/operations/{operation}",
            "Microsoft.Resources/operations",
            GROUPS,
            status,
        ),
        Route::any(
            "GET",
            "/subscriptions/{subscription}/operationresults/{operation}",
            "Microsoft.Resources/operationresults",
            GROUPS,
            result,
        ),
        Route::any(
            "GET",
            "/subscriptions/{subscription}/providers/{provider}/locations/{location}/operations/{operation}",
            "locations/operations",
            &[],
            status,
        ),
        Route::any(
            "GET",
            "/subscriptions/{subscription}/providers/{provider}/locations/{location}/operationResults/{operation}",
            "locations/operationResults",
            &[],
            result,
        ),
    ]
}

/// Returns the operation in a call's URL. Azure DNS adds other parts to its id, after a semicolon.
pub(crate) fn find(state: &CloudState, call: &Call<'_>) -> Result<Operation, ArmError> {
    let requested = call.param("operation").split(';').next().unwrap_or_default();
    let not_found = || {
        ArmError::new(404, "OperationNotFound", format!("The operation '{requested}' could not be found."))
    };
    let operation = state.operations.get(&requested.to_ascii_lowercase()).cloned().ok_or_else(not_found)?;
    let signed = url::form_urlencoded::parse(operation.signature.as_bytes()).into_owned();
    for (name, value) in signed {
        if call.request.query(&name) != Some(&value) {
            let why = format!("The query parameter '{name}' of the operation URL is missing or was changed.");
            return Err(ArmError::new(403, "AuthorizationFailed", why));
        }
    }
    Ok(operation)
}

/// Handles the `Azure-AsyncOperation` URL: always 200, also if the operation failed.
fn status(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let operation = find(state, call)?;
    let undocumented_states = next_undocumented_state(state, &operation.id);
    let mut body = json!({
        "id": operation.target("operations").split('?').next(),
        "name": operation.id,
        "status": operation.state(call.now),
        "startTime": operation.started.rfc3339(),
    });
    let is_undocumented = undocumented_states.is_some();
    if let Some(word) = undocumented_states {
        body["status"] = json!(word);
    }
    if is_undocumented || !operation.is_over(call.now) {
        return Ok(with_retry_after(Reply::json(200, &body), &call.timing, operation.retry_after));
    }
    body["endTime"] = json!(operation.ends.rfc3339());
    body["percentComplete"] = json!(100.0);
    match &operation.outcome {
        Outcome::Succeeded => {}
        Outcome::Failed { error, .. } => body["error"] = error.clone(),
        Outcome::Canceled => {
            body["error"] = json!({ "code": "Canceled", "message": "Operation was canceled." });
        }
    }
    Ok(Reply::json(200, &body))
}

/// Removes and returns the next undocumented state.
fn next_undocumented_state(state: &mut CloudState, id: &str) -> Option<String> {
    let states = &mut state.operations.get_mut(id)?.undocumented_states;
    let word = (!states.is_empty()).then(|| states.remove(0));
    if word.is_some() {
        state.touch();
    }
    word
}

/// Returns the operation that the headers of a reply announce.
pub fn announced<'a>(state: &'a CloudState, reply: &Reply) -> Option<&'a Operation> {
    let header = reply.headers.get("azure-asyncoperation").or_else(|| reply.headers.get("location"))?;
    let path = header.to_str().ok()?.split('?').next()?;
    state.operations.get(&id::name(path).to_ascii_lowercase())
}

/// Handles the `Location` URL: 202 with no body while running, then the response of the original request.
fn result(state: &mut CloudState, call: &Call<'_>) -> Result<Reply, ArmError> {
    let operation = find(state, call)?;
    if !operation.is_over(call.now) {
        return Ok(operation.announce(state, &call.timing, Reply::empty(202)));
    }
    match operation.outcome {
        Outcome::Succeeded => Ok(match operation.result {
            (status, Some(body)) => Reply::json(status, &body),
            (status, None) => Reply::empty(status),
        }),
        Outcome::Failed { status, error } => Ok(Reply::json(status, &json!({ "error": error }))),
        Outcome::Canceled => Err(ArmError::new(409, "Canceled", "Operation was canceled.")),
    }
}
