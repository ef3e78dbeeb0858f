//! Requests to Resource Manager.

use super::operation::{self, Operation, PollResult, Progress, Response, Verb, WriteResult};
use crate::{
    ApiError, ApiErrorKind, Credential, Endpoints, Identity, RequestCounter, SendStatus,
    error::{from_response, from_sdk},
    http_client::HttpClient,
    pipeline::{self, CorrelationPolicy, OriginPolicy, RetryPolicy, TokenInvalidation},
    recent_reads::RecentReads,
    request_budget::BudgetPolicy,
};
use azure_core::{
    Bytes, Uuid,
    http::{
        Context, Method, Pipeline, PipelineSendOptions, Request,
        headers::{ACCEPT, CLIENT_REQUEST_ID, CONTENT_TYPE, HeaderName, Headers},
        policies::auth::BearerTokenAuthorizationPolicy,
    },
};
use serde_json::Value;
use std::{fmt, sync::Arc};
use url::Url;

/// The maximum number of pages that one list reads: a server whose links form a circle must not block the
/// client for ever.
const PAGES_MAX: usize = 1_000;

/// A client of Resource Manager. Clones share connections, tokens and the correlation id.
#[derive(Clone)]
pub struct ArmClient(Arc<Inner>);

struct Inner {
    pipeline: Pipeline,
    base: Url,
    scope: String,
    credential: Credential,
    recent_reads: RecentReads,
}

/// The precondition of a write (RFC 9110 §13.1). If it does not hold, the write fails with
/// [`Precondition`](ApiErrorKind::Precondition).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// No precondition.
    None,
    /// The resource still has this ETag, given as the service wrote it.
    IfMatch(String),
    /// The resource does not exist yet. If an attempt of this PUT got no answer, that attempt may have
    /// created it.
    IfNoneMatch,
}

impl ArmClient {
    /// Creates a client that marks all its requests with `correlation_id`, a UUID: one per run.
    ///
    /// Fails when the HTTPS client cannot be set up from `endpoints`.
    pub fn new(
        endpoints: &Endpoints,
        credential: &Credential,
        request_counter: &RequestCounter,
        correlation_id: &str,
    ) -> Result<Self, ApiError> {
        let http_client = HttpClient::new(endpoints, request_counter)?;
        let seed =
            correlation_id.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let scope = endpoints.arm_scope();
        let options = pipeline::options(
            &http_client,
            vec![
                OriginPolicy::new(&endpoints.arm),
                CorrelationPolicy::new(correlation_id),
                Arc::new(RetryPolicy::new(&http_client, endpoints.time_scale, seed).with_token_replacement()),
            ],
            vec![
                BudgetPolicy::new(credential.budgets(), endpoints.time_scale),
                Arc::new(TokenInvalidation(credential.clone())),
            ],
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
            recent_reads: RecentReads::default(),
        })))
    }

    /// Returns the principal of the requests, read from the access token. Sends no request except the one for
    /// the token.
    pub async fn identity(&self) -> Result<Identity, ApiError> {
        self.0.credential.identity(&self.0.scope).await
    }

    /// Returns the credential, which describes the sign-in.
    pub fn credential(&self) -> &Credential {
        &self.0.credential
    }

    /// Reads a resource; `None` if the resource, its group or its parent does not exist.
    ///
    /// `path` begins with a slash; `api` is the API version.
    pub async fn get(&self, path: &str, api: &str) -> Result<Option<Value>, ApiError> {
        match self.send(Method::Get, &self.url(path, api, &[])?, None, &Condition::None).await {
            Ok(response) => response.json(),
            Err(error) if error.kind == ApiErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Like [`ArmClient::get`], but may return the response to the same request of up to a second ago, if this
    /// process has written nothing since. For the first look of a check, not for a poll.
    pub async fn get_recent(&self, path: &str, api: &str) -> Result<Option<Value>, ApiError> {
        let send = async { Ok(self.get(path, api).await?.unwrap_or_default()) };
        let value = self.0.recent_reads.read(format!("{path}?{api}"), send).await?;
        Ok(Some(value).filter(|value| !value.is_null()))
    }

    /// Like [`ArmClient::list`], with recent responses as in [`ArmClient::get_recent`].
    pub async fn list_recent(
        &self,
        path: &str,
        api: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<Value>, ApiError> {
        let send = async { self.list(path, api, query).await.map(Value::Array) };
        match self.0.recent_reads.read(format!("{path}?{api}&{query:?}"), send).await? {
            Value::Array(listed) => Ok(listed),
            _ => Ok(Vec::new()),
        }
    }

    /// Reads all pages of a list by following `nextLink`. Only the first request gets `query`: `[("$filter",
    /// "…")]`.
    ///
    /// Fails with [`NotFound`](ApiErrorKind::NotFound) if the parent of the list does not exist, and with
    /// [`Protocol`](ApiErrorKind::Protocol) if a link leads to another server.
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

    /// Writes a resource. Retried after a broken connection, since a PUT is idempotent.
    pub async fn put(
        &self,
        path: &str,
        api: &str,
        body: &Value,
        condition: Condition,
    ) -> Result<WriteResult, ApiError> {
        self.write(Verb::Put, path, api, Some(body), &condition).await
    }

    /// Calls an action. Retried only if the service cannot have carried it out.
    pub async fn post(&self, path: &str, api: &str, body: Option<&Value>) -> Result<WriteResult, ApiError> {
        self.write(Verb::Post, path, api, body, &Condition::None).await
    }

    /// Sends a POST that only queries and changes nothing; `None` if the answer is empty.
    pub async fn query(
        &self,
        path: &str,
        api: &str,
        body: Option<&Value>,
    ) -> Result<Option<Value>, ApiError> {
        match self.begin(Verb::Post, path, api, body, &Condition::None).await {
            Ok(WriteResult::Done(response)) => Ok(response),
            Ok(WriteResult::Accepted { .. }) => Ok(None),
            // A query leaves nothing behind, whatever happened to its answer.
            Err(error) => {
                let sent = error.sent.min(SendStatus::Answered);
                Err(error.with_sent(sent))
            }
        }
    }

    /// Deletes a resource. A missing resource counts as deleted, also if its whole group is gone.
    pub async fn delete(&self, path: &str, api: &str) -> Result<WriteResult, ApiError> {
        self.delete_if(path, api, Condition::None).await
    }

    /// Deletes a resource if `condition` holds; otherwise fails with
    /// [`Precondition`](ApiErrorKind::Precondition).
    pub async fn delete_if(
        &self,
        path: &str,
        api: &str,
        condition: Condition,
    ) -> Result<WriteResult, ApiError> {
        match self.write(Verb::Delete, path, api, None, &condition).await {
            Err(error) if error.kind == ApiErrorKind::NotFound => Ok(WriteResult::Done(None)),
            result => result,
        }
    }

    /// Polls an operation once, and reads its result if it succeeded.
    ///
    /// If the operation failed or was cancelled, fails with the operation's own code; the status is then that
    /// of the document, mostly 200. Every other failure concerns the poll itself: the operation may continue.
    pub async fn poll(&self, operation: &Operation) -> Result<Progress, ApiError> {
        self.poll_with(operation, None).await
    }

    /// Like [`ArmClient::poll`]; the `resource` that was just read is the result, if the resource is.
    pub async fn poll_with(
        &self,
        operation: &Operation,
        resource: Option<Value>,
    ) -> Result<Progress, ApiError> {
        let url = self.at(&operation.path_and_query)?;
        let named = |error: ApiError| error.with_request("GET", url.path());
        let response = self.exchange(Method::Get, &url, None, &Condition::None).await?;
        let response = Response { status: response.status, headers: &response.headers, body: &response.body };
        match operation::parse_poll(operation, &response).map_err(named)? {
            PollResult::Plain(progress) => Ok(progress),
            PollResult::ResultAt { path_and_query, started_at, ended_at } => {
                let value = match path_and_query {
                    Some(path) => {
                        self.send(Method::Get, &self.at(&path)?, None, &Condition::None).await?.json()?
                    }
                    None if resource.is_some() => resource,
                    None => self.get(&operation.resource, &operation.api_version).await?,
                };
                Ok(Progress::Succeeded { value, started_at, ended_at })
            }
        }
    }

    async fn write(
        &self,
        verb: Verb,
        path: &str,
        api: &str,
        body: Option<&Value>,
        condition: &Condition,
    ) -> Result<WriteResult, ApiError> {
        self.0.recent_reads.record_write();
        let result = self.begin(verb, path, api, body, condition).await;
        self.0.recent_reads.record_write();
        result
    }

    async fn begin(
        &self,
        verb: Verb,
        path: &str,
        api: &str,
        body: Option<&Value>,
        condition: &Condition,
    ) -> Result<WriteResult, ApiError> {
        let method = match verb {
            Verb::Put => Method::Put,
            Verb::Post => Method::Post,
            Verb::Delete => Method::Delete,
        };
        let url = self.url(path, api, &[])?;
        let response = self.send(method, &url, body, condition).await?;
        let response = Response { status: response.status, headers: &response.headers, body: &response.body };
        // The status means that the request was accepted, whatever the rest of the answer contains.
        operation::parse_write(verb, &url, api, &response).map_err(|error| {
            error.with_request(verb.as_str(), url.path()).with_response_status(response.status)
        })
    }

    /// Sends a request; every status other than success is an error.
    async fn send(
        &self,
        method: Method,
        url: &Url,
        body: Option<&Value>,
        condition: &Condition,
    ) -> Result<RawResponse, ApiError> {
        let response = self.exchange(method, url, body, condition).await?;
        if (200..300).contains(&response.status) {
            return Ok(response);
        }
        let error = from_response(response.status, &response.headers, &response.body);
        Err(error.with_request(method.as_str(), url.path()).with_response_status(response.status))
    }

    /// Sends a request and returns any answer.
    async fn exchange(
        &self,
        method: Method,
        url: &Url,
        body: Option<&Value>,
        condition: &Condition,
    ) -> Result<RawResponse, ApiError> {
        let mut request = Request::new(url.clone(), method);
        // The SDK would add it too, but creates an error with a backtrace for each header that it misses.
        request.insert_header(CLIENT_REQUEST_ID, Uuid::new_v4().to_string());
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
            Ok(response) => {
                let (status, headers, body) = response.deconstruct();
                Ok(RawResponse { status: status.into(), headers, body: body.into() })
            }
            Err(error) => Err(from_sdk(error, method.as_str(), url.path())),
        }
    }

    fn url(&self, path: &str, api: &str, query: &[(&str, &str)]) -> Result<Url, ApiError> {
        let mut url = self.at(path)?;
        url.query_pairs_mut().append_pair("api-version", api).extend_pairs(query);
        // A literal plus is written %2B, so every plus here is a space; OData filters require %20.
        let spaced = url.query().map(|query| query.replace('+', "%20"));
        url.set_query(spaced.as_deref());
        Ok(url)
    }

    /// Appends path and query to the configured endpoint, and refuses every path that leads to another
    /// server.
    fn at(&self, path: &str) -> Result<Url, ApiError> {
        let local = operation::local_address(&self.0.base, path)
            .map_err(|error| error.with_sent(SendStatus::Never))?;
        self.0.base.join(&local).map_err(|error| {
            ApiError::new(ApiErrorKind::Invalid, "build a URL")
                .with_sent(SendStatus::Never)
                .with_source(error)
        })
    }
}

impl fmt::Debug for ArmClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Arm").field(&self.0.base.as_str()).finish()
    }
}

/// An answer whose body was read.
struct RawResponse {
    status: u16,
    headers: Headers,
    body: Bytes,
}

impl RawResponse {
    fn json(&self) -> Result<Option<Value>, ApiError> {
        operation::json(&self.body)
    }
}
