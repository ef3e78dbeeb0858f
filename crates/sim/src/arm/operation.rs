//! Asynchronous operations: what a long write leaves behind for its caller to ask about.
//!
//! An operation is a record of facts with the instant it ends; what it answers follows from the record and
//! the clock, so it goes on while nobody serves. Its effect on the resource belongs to the resource's family,
//! which keeps the same instant as its own due time.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::arm::error::ArmError;
use crate::arm::{Call, Route, id};
use crate::clock::{Moment, Timing};
use crate::durations;
use crate::request::Reply;
use crate::world::World;

/// By which headers a service lets its caller follow an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// `Azure-AsyncOperation` alone: always 200, the state inside the body.
    AsyncOperation,
    /// `Location` alone: 202 until it answers as the call itself would have.
    Location,
    /// Both headers.
    Both,
}

/// How an operation ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It did what was asked.
    Succeeded,
    /// It did not; status as `Location` gives it, and the error object of either header.
    Failed {
        /// The HTTP status of the `Location` answer.
        status: u16,
        /// `{code, message, details?}`.
        error: Value,
    },
    /// Somebody aborted it.
    Canceled,
}

/// What is to begin. Times are cloud seconds.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// The full id of the resource it works on.
    pub resource: &'a str,
    /// The provider's namespace, `Microsoft.Network`.
    pub provider: &'a str,
    /// The region named in the URL.
    pub location: &'a str,
    /// What it is called inside, `PutVirtualNetworkOperation`.
    pub name: &'a str,
    /// How it is followed.
    pub style: Style,
    /// The api-version its URL carries, which need not be the one of the write.
    pub api_version: &'a str,
    /// What it asks its caller to wait between looks; none is sent when `None`.
    pub retry_after: Option<f64>,
    /// Whether its URL carries signed parameters that have to come back as they were.
    pub signed: bool,
}

/// One operation, running or over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Operation {
    /// Its id, a lower-case UUID.
    pub id: String,
    /// The id of the resource it works on.
    pub resource: String,
    /// The provider's namespace.
    pub provider: String,
    /// The region.
    pub location: String,
    /// What it is called inside.
    pub name: String,
    /// How it is followed.
    pub style: Style,
    /// The api-version of its URL.
    pub api_version: String,
    /// Cloud seconds between looks.
    pub retry_after: Option<f64>,
    /// The signed parameters of its URL, or nothing.
    pub signature: String,
    /// Who may follow it: the object id that began it.
    pub started: Moment,
    /// When it ends.
    pub ends: Moment,
    /// The running states by name, each from its instant on; before the first it is `InProgress`.
    pub stages: Vec<(Moment, String)>,
    /// How it ends.
    pub outcome: Outcome,
    /// What `Location` answers after success: status and body.
    pub result: (u16, Option<Value>),
    /// Words that its next looks get for a state, one each, whatever it does meanwhile.
    #[serde(default)]
    pub odd: Vec<String>,
}

impl Operation {
    /// Whether it is over.
    pub fn is_over(&self, now: Moment) -> bool {
        now >= self.ends
    }

    /// Returns the state a caller sees: a running one, `Succeeded`, `Failed` or `Canceled`.
    pub fn state(&self, now: Moment) -> &str {
        if self.is_over(now) {
            return match self.outcome {
                Outcome::Succeeded => "Succeeded",
                Outcome::Failed { .. } => "Failed",
                Outcome::Canceled => "Canceled",
            };
        }
        let stage = self.stages.iter().rev().find(|(from, _)| *from <= now);
        stage.map_or("InProgress", |(_, state)| state.as_str())
    }

    /// Lets it end at `at` (or keep its end, if that is earlier) with that outcome.
    pub fn end(&mut self, at: Moment, outcome: Outcome) {
        self.ends = self.ends.min(at);
        self.outcome = outcome;
    }

    /// Adds the headers by which the caller follows it.
    pub fn announce(&self, world: &World, timing: &Timing, mut reply: Reply) -> Reply {
        let origin = world.arm_origin();
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

/// Adds both forms of `Retry-After` for that many cloud seconds, or none.
pub fn with_retry_after(reply: Reply, timing: &Timing, cloud_seconds: Option<f64>) -> Reply {
    let Some(cloud_seconds) = cloud_seconds else { return reply };
    let (seconds, ms) = timing.retry_after(cloud_seconds);
    reply.with_header("retry-after", &seconds.to_string()).with_header("retry-after-ms", &ms.to_string())
}

/// Begins an operation that lasts until `ends` and succeeds, unless its family decides otherwise before then.
pub fn begin(world: &mut World, plan: &Plan<'_>, now: Moment, ends: Moment) -> Operation {
    world.operations.retain(|_, old| now.since(old.ends).as_secs_f64() < durations::OPERATION_KEPT);
    let id = world.uuid("operation");
    let signature = if plan.signed { signature(world, now) } else { String::new() };
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
        odd: Vec::new(),
    };
    world.operations.insert(id, operation.clone());
    operation
}

/// The parameters `t`, `c`, `s`, `h` that some providers put on the URL; long ones, as clients must carry them.
fn signature(world: &mut World, now: Moment) -> String {
    let mut random = |what: &str, words: usize| -> String { (0..words).map(|_| world.hex(what)).collect() };
    let (c, s, h) = (random("signature-c", 40), random("signature-s", 16), random("signature-h", 1));
    format!("t={}&c={c}&s={s}&h={h}", now.0 * 10_000 + 621_355_968_000_000_000)
}

/// Returns the operation on that resource that is still running, if there is one.
pub fn running<'a>(world: &'a World, resource: &str, now: Moment) -> Option<&'a Operation> {
    world
        .operations
        .values()
        .find(|operation| id::same(&operation.resource, resource) && !operation.is_over(now))
}

/// The routes under which operations are asked about.
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

fn find(world: &World, call: &Call<'_>) -> Result<Operation, ArmError> {
    let asked = call.param("operation");
    let gone =
        || ArmError::new(404, "OperationNotFound", format!("The operation '{asked}' could not be found."));
    let operation = world.operations.get(&asked.to_ascii_lowercase()).cloned().ok_or_else(gone)?;
    let signed = url::form_urlencoded::parse(operation.signature.as_bytes()).into_owned();
    for (name, value) in signed {
        if call.request.query(&name) != Some(&value) {
            let why = format!("The query parameter '{name}' of the operation URL is missing or was changed.");
            return Err(ArmError::new(403, "AuthorizationFailed", why));
        }
    }
    Ok(operation)
}

/// Answers the `Azure-AsyncOperation` URL: always 200, whatever became of the operation.
fn status(world: &mut World, call: &Call<'_>) -> Result<Reply, ArmError> {
    let operation = find(world, call)?;
    let odd = odd_word(world, &operation.id);
    let mut body = json!({
        "id": operation.target("operations").split('?').next(),
        "name": operation.id,
        "status": operation.state(call.now),
        "startTime": operation.started.rfc3339(),
    });
    let is_odd = odd.is_some();
    if let Some(word) = odd {
        body["status"] = json!(word);
    }
    if is_odd || !operation.is_over(call.now) {
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

/// Takes the next of the words that nobody foresaw.
fn odd_word(world: &mut World, id: &str) -> Option<String> {
    let words = &mut world.operations.get_mut(id)?.odd;
    let word = (!words.is_empty()).then(|| words.remove(0));
    if word.is_some() {
        world.touch();
    }
    word
}

/// Returns the operation that a reply tells its caller to follow.
pub fn announced<'a>(world: &'a World, reply: &Reply) -> Option<&'a Operation> {
    let header = reply.headers.get("azure-asyncoperation").or_else(|| reply.headers.get("location"))?;
    let path = header.to_str().ok()?.split('?').next()?;
    world.operations.get(&id::name(path).to_ascii_lowercase())
}

/// Answers the `Location` URL: 202 with no body while running, then what the call itself would have answered.
fn result(world: &mut World, call: &Call<'_>) -> Result<Reply, ArmError> {
    let operation = find(world, call)?;
    if !operation.is_over(call.now) {
        return Ok(operation.announce(world, &call.timing, Reply::empty(202)));
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
