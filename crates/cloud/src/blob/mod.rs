//! Append blobs of a storage account, with leases: the requests that a journal needs.
//!
//! The requests are written here rather than taken from a client library: see
//! `docs/decisions/0020-append-blobs-without-a-client-library.md`. Reads and lease operations are repeated as those
//! of all services. An append is sent once: only its caller can decide whether a repetition writes the same bytes a
//! second time.

mod list;
mod xml;

pub use list::BlobItem;

use crate::{
    ApiError, ApiErrorKind, Credential, EndpointOwner, Endpoints, RequestCounter, SendStatus,
    error::{from_response, from_sdk},
    header_text::HeaderText,
    http_client::HttpClient,
    pipeline::{self, OriginPolicy, RetryPolicy, TokenInvalidation},
};
use azure_core::{
    Bytes,
    http::{
        Context, Method, Pipeline, PipelineSendOptions, Request,
        headers::{HeaderName, Headers},
        policies::{Policy, auth::BearerTokenAuthorizationPolicy},
    },
};
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};
use url::Url;

/// The version of the service that these requests are written for.
const VERSION: &str = "2026-04-06";

const LEASE_ID: HeaderName = HeaderName::from_static("x-ms-lease-id");
const LEASE_STATE: HeaderName = HeaderName::from_static("x-ms-lease-state");
const SEALED: HeaderName = HeaderName::from_static("x-ms-blob-sealed");
const BLOCK_COUNT: HeaderName = HeaderName::from_static("x-ms-blob-committed-block-count");
const LEASE_TIME: HeaderName = HeaderName::from_static("x-ms-lease-time");
const METADATA: &str = "x-ms-meta-";

/// A container of a storage account. Clones share connections and tokens.
#[derive(Clone)]
pub struct BlobContainer(Arc<Inner>);

struct Inner {
    /// Repeats a request as all clients do.
    repeating: Pipeline,
    /// Sends a request once.
    single: Pipeline,
    url: Url,
}

/// The content of a blob and what its headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobContent {
    /// The bytes from the requested position on.
    pub bytes: Vec<u8>,
    /// True if it takes no more appends.
    pub sealed: bool,
    /// True if a client holds its lease.
    pub leased: bool,
    /// Its metadata, names in lower case.
    pub metadata: BTreeMap<String, String>,
}

impl BlobContainer {
    /// Creates a client for a container. `account` is the address of the account, `https://acct.blob.core.windows.net`;
    /// an emulator has the account's name in its path.
    ///
    /// Its requests do not pass the write gate of the counter, because the gate depends on them.
    ///
    /// # Errors
    /// Fails if the HTTPS client cannot be set up, and if a token for this account would leave the cloud of the
    /// sign-in without a person's consent.
    pub fn new(
        endpoints: &Endpoints,
        credential: &Credential,
        request_counter: &RequestCounter,
        account: &Url,
        container: &str,
    ) -> Result<Self, ApiError> {
        let mut url = account.clone();
        let path = format!("{}/{container}", account.path().trim_end_matches('/'));
        url.set_path(&path);
        let is_local = EndpointOwner::of_storage(account) == EndpointOwner::Loopback;
        let http_client = HttpClient::for_server(endpoints, is_local, request_counter)?.ungated();
        let scope = endpoints.storage_scope();
        let pipeline = |retries: Vec<Arc<dyn Policy>>| {
            let mut per_call: Vec<Arc<dyn Policy>> = vec![OriginPolicy::new(&url)];
            per_call.extend(retries);
            let per_try: Vec<Arc<dyn Policy>> = vec![Arc::new(TokenInvalidation(credential.clone()))];
            let options = pipeline::options(&http_client, per_call, per_try);
            let token = BearerTokenAuthorizationPolicy::new(Arc::new(credential.clone()), [scope.clone()]);
            let (name, version) = (Some("landfall"), Some(env!("CARGO_PKG_VERSION")));
            Pipeline::new(name, version, options, Vec::new(), vec![Arc::new(token)], None)
        };
        let retry = RetryPolicy::new(&http_client, endpoints.time_scale, container.len() as u64)
            .with_token_replacement();
        let repeating = pipeline(vec![Arc::new(retry)]);
        let single = pipeline(Vec::new());
        Ok(Self(Arc::new(Inner { repeating, single, url })))
    }

    /// Returns the address of a blob.
    pub fn address(&self, blob: &str) -> String {
        format!("{}/{blob}", self.0.url)
    }

    /// Creates the container; returns whether it is new.
    ///
    /// # Errors
    /// Any error of the request.
    pub async fn create_container(&self) -> Result<bool, ApiError> {
        let request = self.request(Method::Put, "", &[("restype", "container")])?;
        match self.send(&self.0.repeating, request).await {
            Ok(_) => Ok(true),
            Err(error) if error.is("ContainerAlreadyExists") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads a blob from a position to its end; `None` if it does not exist.
    ///
    /// # Errors
    /// Any error of the request; [`NotFound`](ApiErrorKind::NotFound) if the container does not exist.
    pub async fn read(&self, blob: &str, from: u64) -> Result<Option<BlobContent>, ApiError> {
        let mut request = self.request(Method::Get, blob, &[])?;
        if from > 0 {
            request.insert_header("x-ms-range", format!("bytes={from}-"));
        }
        let (headers, bytes) = match self.send(&self.0.repeating, request).await {
            Ok(answer) => (answer.headers, answer.body.to_vec()),
            Err(error) if error.is("BlobNotFound") => return Ok(None),
            // A range that begins at the end: there is nothing more.
            Err(error) if error.status == Some(416) => (Headers::new(), Vec::new()),
            Err(error) => return Err(error),
        };
        let text = |name: &HeaderName| headers.text(name).unwrap_or_default().to_owned();
        let metadata = headers.iter().filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix(METADATA)?;
            Some((name.to_ascii_lowercase(), value.as_str().to_owned()))
        });
        Ok(Some(BlobContent {
            bytes,
            sealed: text(&SEALED) == "true",
            leased: matches!(text(&LEASE_STATE).as_str(), "leased" | "breaking"),
            metadata: metadata.collect(),
        }))
    }

    /// Creates an empty append blob.
    ///
    /// # Errors
    /// 409 `BlobAlreadyExists`.
    pub async fn create(&self, blob: &str) -> Result<(), ApiError> {
        let mut request = self.request(Method::Put, blob, &[])?;
        request.insert_header("x-ms-blob-type", "AppendBlob");
        request.insert_header("if-none-match", "*");
        self.send(&self.0.repeating, request).await.map(drop)
    }

    /// Empties an append blob.
    ///
    /// # Errors
    /// 412 without its lease.
    pub async fn clear(&self, blob: &str, lease: &str) -> Result<(), ApiError> {
        let mut request = self.request(Method::Put, blob, &[])?;
        request.insert_header("x-ms-blob-type", "AppendBlob");
        request.insert_header(LEASE_ID, lease.to_owned());
        self.send(&self.0.repeating, request).await.map(drop)
    }

    /// Appends bytes at a position, all or nothing; returns the number of appends so far. Sent once.
    ///
    /// # Errors
    /// 412 `AppendPositionConditionNotMet`, or a code of a lost lease. A transport error, or a 5xx, leaves open
    /// whether the append took effect: see [`sent`](crate::error::ApiErrorFacts::sent).
    pub async fn append(&self, blob: &str, at: u64, lease: &str, bytes: Vec<u8>) -> Result<u32, ApiError> {
        let mut request = self.request(Method::Put, blob, &[("comp", "appendblock")])?;
        request.insert_header("x-ms-blob-condition-appendpos", at.to_string());
        request.insert_header(LEASE_ID, lease.to_owned());
        request.set_body(bytes);
        let answer = self.send(&self.0.single, request).await?;
        let count = answer.headers.text(&BLOCK_COUNT).and_then(|count| count.parse().ok());
        Ok(count.unwrap_or(0))
    }

    /// Forbids further appends. A repetition succeeds.
    ///
    /// # Errors
    /// 412 without its lease.
    pub async fn seal(&self, blob: &str, lease: &str) -> Result<(), ApiError> {
        let mut request = self.request(Method::Put, blob, &[("comp", "seal")])?;
        request.insert_header(LEASE_ID, lease.to_owned());
        self.send(&self.0.repeating, request).await.map(drop)
    }

    /// Replaces all metadata.
    ///
    /// # Errors
    /// 412 without its lease.
    pub async fn set_metadata(
        &self,
        blob: &str,
        lease: &str,
        metadata: &[(&str, &str)],
    ) -> Result<(), ApiError> {
        let mut request = self.request(Method::Put, blob, &[("comp", "metadata")])?;
        request.insert_header(LEASE_ID, lease.to_owned());
        for (name, value) in metadata {
            request.insert_header(HeaderName::from(format!("{METADATA}{name}")), (*value).to_owned());
        }
        self.send(&self.0.repeating, request).await.map(drop)
    }

    /// Acquires the lease under an id, a UUID. Another acquisition under the same id succeeds.
    ///
    /// # Errors
    /// 409 `LeaseAlreadyPresent` if another client holds it.
    pub async fn acquire(&self, blob: &str, lease: &str, duration: Duration) -> Result<(), ApiError> {
        let mut request = self.lease_request(blob, "acquire")?;
        request.insert_header("x-ms-lease-duration", duration.as_secs().to_string());
        request.insert_header("x-ms-proposed-lease-id", lease.to_owned());
        self.send(&self.0.repeating, request).await.map(drop)
    }

    /// Replaces the id of a held lease.
    ///
    /// # Errors
    /// 409 if the lease has another id, or is over.
    pub async fn change(&self, blob: &str, lease: &str, new: &str) -> Result<(), ApiError> {
        let mut request = self.lease_request(blob, "change")?;
        request.insert_header(LEASE_ID, lease.to_owned());
        request.insert_header("x-ms-proposed-lease-id", new.to_owned());
        self.send(&self.0.repeating, request).await.map(drop)
    }

    /// Renews a lease, also an expired one that no other client has taken since.
    ///
    /// # Errors
    /// 409 if another client has it, or broke it.
    pub async fn renew(&self, blob: &str, lease: &str) -> Result<(), ApiError> {
        let mut request = self.lease_request(blob, "renew")?;
        request.insert_header(LEASE_ID, lease.to_owned());
        self.send(&self.0.repeating, request).await.map(drop)
    }

    /// Releases a lease.
    ///
    /// # Errors
    /// 409 if another client has it.
    pub async fn release(&self, blob: &str, lease: &str) -> Result<(), ApiError> {
        let mut request = self.lease_request(blob, "release")?;
        request.insert_header(LEASE_ID, lease.to_owned());
        self.send(&self.0.repeating, request).await.map(drop)
    }

    /// Ends the lease of any client after a period of at most a minute; returns the time until it is free.
    ///
    /// # Errors
    /// 409 `LeaseNotPresentWithLeaseOperation` if there is none.
    pub async fn break_lease(&self, blob: &str, period: Duration) -> Result<Duration, ApiError> {
        let mut request = self.lease_request(blob, "break")?;
        request.insert_header("x-ms-lease-break-period", period.as_secs().to_string());
        let answer = self.send(&self.0.repeating, request).await?;
        let left = answer.headers.text(&LEASE_TIME).and_then(|seconds| seconds.parse().ok());
        Ok(Duration::from_secs(left.unwrap_or(0)))
    }

    fn lease_request(&self, blob: &str, action: &'static str) -> Result<Request, ApiError> {
        let mut request = self.request(Method::Put, blob, &[("comp", "lease")])?;
        request.insert_header("x-ms-lease-action", action);
        Ok(request)
    }

    /// Creates a request for a blob; an empty name stands for the container.
    fn request(&self, method: Method, blob: &str, query: &[(&str, &str)]) -> Result<Request, ApiError> {
        let mut url = self.0.url.clone();
        {
            let unusable = || ApiError::new(ApiErrorKind::Invalid, "build the URL of a blob");
            let mut segments =
                url.path_segments_mut().map_err(|()| unusable().with_sent(SendStatus::Never))?;
            segments.extend(blob.split('/').filter(|segment| !segment.is_empty()));
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = Request::new(url, method);
        request.insert_header("x-ms-version", VERSION);
        if method == Method::Put {
            request.set_body(Vec::<u8>::new());
            request.insert_header("content-type", "application/octet-stream");
        }
        Ok(request)
    }

    /// Sends a request; every status other than success is an error.
    async fn send(&self, pipeline: &Pipeline, mut request: Request) -> Result<Answer, ApiError> {
        let (method, path) = (request.method().as_str(), request.url().path().to_owned());
        let length = match request.body() {
            azure_core::http::Body::Bytes(bytes) => bytes.len(),
            azure_core::http::Body::SeekableStream(_) => 0,
        };
        if request.method() == Method::Put {
            request.insert_header("content-length", length.to_string());
        }
        let options = PipelineSendOptions { skip_checks: true, ..PipelineSendOptions::default() };
        match pipeline.send(&Context::new(), &mut request, Some(options)).await {
            Ok(response) => {
                let (status, headers, body) = response.deconstruct();
                let (status, body) = (u16::from(status), Bytes::from(body));
                if (200..300).contains(&status) {
                    return Ok(Answer { headers, body });
                }
                let mut error = from_response(status, &headers, &body);
                if let Some(message) = xml::message(&body) {
                    error.message = message;
                }
                Err(error.with_request(method, &path).with_response_status(status))
            }
            Err(error) => Err(from_sdk(error, method, &path)),
        }
    }
}

impl fmt::Debug for BlobContainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BlobContainer").field(&self.0.url.as_str()).finish()
    }
}

/// A successful answer.
struct Answer {
    headers: Headers,
    body: Bytes,
}
