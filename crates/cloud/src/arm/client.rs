//! Requests to Resource Manager.

use super::operation::{self, Answer, Begun, Operation, Progress, Seen, Verb};
use crate::{
    ApiError, ApiErrorKind, Credential, Endpoints, Identity, Meter, Sent,
    error::{from_answer, from_sdk},
    pipeline::{self, ForgetRefusedToken, Marked, OnlyTo, TryAgain},
    transport::Wire,
};
use azure_core::{
    Bytes,
    http::{
        Context, Method, Pipeline, PipelineSendOptions, Request,
        headers::{ACCEPT, CONTENT_TYPE, HeaderName, Headers},
        policies::auth::BearerTokenAuthorizationPolicy,
    },
};
use serde_json::Value;
use std::{fmt, sync::Arc};
use url::Url;

/// How many pages of one list are read at most: a server that links in circles must not hold us for ever.
const PAGES_MAX: usize = 1_000;

/// A client of Resource Manager. Clones share connections, tokens and the correlation id.
#[derive(Clone)]
pub struct Arm(Arc<Inner>);

struct Inner {
    pipeline: Pipeline,
    base: Url,
    scope: String,
    credential: Credential,
}

/// What must hold for a write to be carried out (RFC 9110 §13.1); otherwise it fails with
/// [`Precondition`](ApiErrorKind::Precondition).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    None,
    /// The resource is still the version with this etag, given as the service wrote it.
    IfMatch(String),
    /// There is no such resource yet. When a try of this PUT broke off, its own first try may have made it.
    IfNoneMatch,
}

impl Arm {
    /// Makes a client that marks all its requests with `correlation_id`, a UUID: one per run.
    ///
    /// Fails when the HTTPS client cannot be set up from `endpoints`.
    pub fn new(
        endpoints: &Endpoints,
        credential: &Credential,
        meter: &Meter,
        correlation_id: &str,
    ) -> Result<Self, ApiError> {
        let wire = Wire::new(endpoints, meter)?;
        let seed =
            correlation_id.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let scope = endpoints.arm_scope();
        let options = pipeline::options(
            &wire,
            vec![
                OnlyTo::new(&endpoints.arm),
                Marked::new(correlation_id),
                Arc::new(TryAgain::new(endpoints.pace, seed).with_fresh_token()),
            ],
            vec![Arc::new(ForgetRefusedToken(credential.clone()))],
        );
        let token = BearerTokenAuthorizationPolicy::new(Arc::new(credential.clone()), [scope.clone()]);
        let pipeline = Pipeline::new(
            Some("landfall"),
            Some(env!("CARGO_PKG_VERSION")),
            options,
            Vec::new(),
            vec![Arc::new(token)],
            None,
        );
        Ok(Self(Arc::new(Inner {
            pipeline,
            base: endpoints.arm.clone(),
            scope,
            credential: credential.clone(),
        })))
    }

    /// Returns the principal that requests are made as, from its token; no request but for the token.
    pub async fn identity(&self) -> Result<Identity, ApiError> {
        self.0.credential.identity(&self.0.scope).await
    }

    /// Returns the credential, for what it can tell about the sign-in.
    pub fn credential(&self) -> &Credential {
        &self.0.credential
    }

    /// Reads a resource; none when it, its group or its parent is not there.
    ///
    /// `path` begins with a slash; `api` is the API version.
    pub async fn get(&self, path: &str, api: &str) -> Result<Option<Value>, ApiError> {
        match self.send(Method::Get, &self.url(path, api, &[])?, None, &Condition::None).await {
            Ok(answer) => answer.json(),
            Err(error) if error.kind == ApiErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads a list to its end, following `nextLink`. `query` is added to the first request: `[("$filter", "…")]`.
    ///
    /// Fails with [`NotFound`](ApiErrorKind::NotFound) when the thing to list below is not there, and with
    /// [`Protocol`](ApiErrorKind::Protocol) when a link leads to another server.
    pub async fn list(&self, path: &str, api: &str, query: &[(&str, &str)]) -> Result<Vec<Value>, ApiError> {
        let mut url = self.url(path, api, query)?;
        let mut items = Vec::new();
        for _ in 0..PAGES_MAX {
            let page =
                self.send(Method::Get, &url, None, &Condition::None).await?.json()?.unwrap_or_default();
            let next = page.get("nextLink").and_then(Value::as_str).filter(|link| !link.is_empty());
            let next = next.map(|link| operation::local_address(&self.0.base, link)).transpose();
            let next = next.map_err(|error| error.with_request("GET", url.path()))?;
            match page {
                Value::Array(page) => items.extend(page),
                Value::Object(mut page) => match page.remove("value") {
                    Some(Value::Array(page)) => items.extend(page),
                    _ => {
                        return Err(ApiError::new(ApiErrorKind::Protocol, "read a list that has no value")
                            .with_request("GET", url.path()));
                    }
                },
                _ => {}
            }
            match next {
                Some(next) => url = self.at(&next)?,
                None => return Ok(items),
            }
        }
        let message = format!("read a list of more than {PAGES_MAX} pages");
        Err(ApiError::new(ApiErrorKind::Protocol, message).with_request("GET", url.path()))
    }

    /// Writes a resource. Repeated after a broken line, since the same PUT twice is the same as once.
    pub async fn put(
        &self,
        path: &str,
        api: &str,
        body: &Value,
        condition: Condition,
    ) -> Result<Begun, ApiError> {
        self.begin(Verb::Put, path, api, Some(body), &condition).await
    }

    /// Calls an action. Repeated only when it cannot have been carried out.
    pub async fn post(&self, path: &str, api: &str, body: Option<&Value>) -> Result<Begun, ApiError> {
        self.begin(Verb::Post, path, api, body, &Condition::None).await
    }

    /// Asks a question that is a POST and changes nothing; none when the answer is empty.
    pub async fn ask(&self, path: &str, api: &str, body: Option<&Value>) -> Result<Option<Value>, ApiError> {
        match self.post(path, api, body).await {
            Ok(Begun::Done(answer)) => Ok(answer),
            Ok(Begun::Accepted { .. }) => Ok(None),
            // What was asked leaves nothing behind, whatever became of the answer.
            Err(error) => {
                let sent = error.sent.min(Sent::Answered);
                Err(error.with_sent(sent))
            }
        }
    }

    /// Deletes a resource. What is not there counts as deleted, also when its whole group is gone.
    pub async fn delete(&self, path: &str, api: &str) -> Result<Begun, ApiError> {
        self.delete_if(path, api, Condition::None).await
    }

    /// Deletes a resource as long as `condition` holds; otherwise it fails with
    /// [`Precondition`](ApiErrorKind::Precondition).
    pub async fn delete_if(&self, path: &str, api: &str, condition: Condition) -> Result<Begun, ApiError> {
        match self.begin(Verb::Delete, path, api, None, &condition).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => Ok(Begun::Done(None)),
            begun => begun,
        }
    }

    /// Asks after an operation once, and reads its result when it has ended well.
    ///
    /// Fails with the operation's own code when it failed or was cancelled; then the status is that of the document,
    /// mostly 200. Other failures are about the asking: the operation may go on.
    pub async fn poll(&self, operation: &Operation) -> Result<Progress, ApiError> {
        let url = self.at(&operation.path_and_query)?;
        let named = |error: ApiError| error.with_request("GET", url.path());
        let answer = self.exchange(Method::Get, &url, None, &Condition::None).await?;
        let answer = Answer { status: answer.status, headers: &answer.headers, body: &answer.body };
        match operation::seen(operation, &answer).map_err(named)? {
            Seen::Plain(progress) => Ok(progress),
            Seen::ResultAt { path_and_query, started_at, ended_at } => {
                let value = match path_and_query {
                    Some(path) => {
                        self.send(Method::Get, &self.at(&path)?, None, &Condition::None).await?.json()?
                    }
                    None => self.get(&operation.resource, &operation.api_version).await?,
                };
                Ok(Progress::Succeeded { value, started_at, ended_at })
            }
        }
    }

    async fn begin(
        &self,
        verb: Verb,
        path: &str,
        api: &str,
        body: Option<&Value>,
        condition: &Condition,
    ) -> Result<Begun, ApiError> {
        let method = match verb {
            Verb::Put => Method::Put,
            Verb::Post => Method::Post,
            Verb::Delete => Method::Delete,
        };
        let url = self.url(path, api, &[])?;
        let answer = self.send(method, &url, body, condition).await?;
        let answer = Answer { status: answer.status, headers: &answer.headers, body: &answer.body };
        // The status says that it was accepted, whatever else the answer is.
        operation::begun(verb, &url, api, &answer)
            .map_err(|error| error.with_request(verb.as_str(), url.path()).answered_with(answer.status))
    }

    /// Sends a request; every answer that is no success is an error.
    async fn send(
        &self,
        method: Method,
        url: &Url,
        body: Option<&Value>,
        condition: &Condition,
    ) -> Result<Received, ApiError> {
        let answer = self.exchange(method, url, body, condition).await?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let error = from_answer(answer.status, &answer.headers, &answer.body);
        Err(error.with_request(method.as_str(), url.path()).answered_with(answer.status))
    }

    /// Sends a request and returns whatever is answered.
    async fn exchange(
        &self,
        method: Method,
        url: &Url,
        body: Option<&Value>,
        condition: &Condition,
    ) -> Result<Received, ApiError> {
        let mut request = Request::new(url.clone(), method);
        request.insert_header(ACCEPT, "application/json");
        if let Some(body) = body {
            request.insert_header(CONTENT_TYPE, "application/json");
            request.set_body(body.to_string().into_bytes());
        }
        match condition {
            Condition::None => {}
            Condition::IfMatch(etag) => {
                request.insert_header(HeaderName::from_static("if-match"), etag.clone())
            }
            Condition::IfNoneMatch => request.insert_header(HeaderName::from_static("if-none-match"), "*"),
        }
        let options = PipelineSendOptions { skip_checks: true, ..PipelineSendOptions::default() };
        match self.0.pipeline.send(&Context::new(), &mut request, Some(options)).await {
            Ok(answer) => {
                let (status, headers, body) = answer.deconstruct();
                Ok(Received { status: status.into(), headers, body: body.into() })
            }
            Err(error) => Err(from_sdk(error, method.as_str(), url.path())),
        }
    }

    fn url(&self, path: &str, api: &str, query: &[(&str, &str)]) -> Result<Url, ApiError> {
        let mut url = self.at(path)?;
        url.query_pairs_mut().append_pair("api-version", api).extend_pairs(query);
        // A literal plus is written %2B, so every plus here is a space; OData filters want it as %20.
        let spaced = url.query().map(|query| query.replace('+', "%20"));
        url.set_query(spaced.as_deref());
        Ok(url)
    }

    /// Puts path and query below the configured endpoint, and refuses whatever would lead away from it.
    fn at(&self, path: &str) -> Result<Url, ApiError> {
        let local =
            operation::local_address(&self.0.base, path).map_err(|error| error.with_sent(Sent::Never))?;
        self.0.base.join(&local).map_err(|error| {
            ApiError::new(ApiErrorKind::Invalid, "build a URL").with_sent(Sent::Never).with_source(error)
        })
    }
}

impl fmt::Debug for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Arm").field(&self.0.base.as_str()).finish()
    }
}

/// An answer with its body read.
struct Received {
    status: u16,
    headers: Headers,
    body: Bytes,
}

impl Received {
    fn json(&self) -> Result<Option<Value>, ApiError> {
        operation::json(&self.body)
    }
}
