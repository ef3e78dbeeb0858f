//! Waits for a state through a watch.
//!
//! A watch is a list, then the changes since that list. Every interruption leads to a new list, so `look`
//! always gets a state and never a change. A missed event is therefore corrected soon.
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes>

use std::fmt;
use std::time::Duration;

use http_body_util::BodyExt as _;
use kube_core::params::{ListParams, WatchParams};
use kube_core::{DynamicObject, Request, WatchEvent};

use super::api_server_http::Body;
use super::client::Cluster;
use super::into_api_error::{self, RequestInfo};
use super::kind::Kind;
use super::request_sender::UnreadBody;
use crate::error::{ApiError, ApiErrorKind};

/// The requested lifetime of one stream, in seconds. The API allows less than 300.
const STREAM_SECONDS: u32 = 290;
/// The time after that lifetime at which a silent stream is closed: the connection is dead without notice.
const STREAM_GRACE: Duration = Duration::from_secs(15);

/// The size limit of one line of a watch, in bytes. An object has at most 1.5 MiB, and JSON may treble that.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The selection of objects of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection<'a> {
    /// The object of this name.
    Name(&'a str),
    /// Those that match a label selector.
    Labels(&'a str),
    /// All.
    All,
}

impl Selection<'_> {
    fn fields(self) -> Option<String> {
        match self {
            Selection::Name(name) => Some(format!("metadata.name={name}")),
            _ => None,
        }
    }

    fn labels(self) -> Option<String> {
        match self {
            Selection::Labels(labels) => Some(labels.to_owned()),
            _ => None,
        }
    }
}

/// The end of a stream without a result.
enum StreamEnd {
    /// As announced: the next stream resumes at its position.
    InTurn,
    /// Possibly with lost events: list again.
    Broken,
}

impl Cluster {
    /// Watches until `look`, called with all selected objects, returns a value.
    ///
    /// Calls it at once, then after every change. A kind that the cluster does not serve yet counts as no
    /// objects and is polled. There is no timeout: the caller sets one.
    ///
    /// # Errors
    /// A refusal that a retry does not cure, or the last of a bounded number of consecutive failures.
    pub async fn watch_until<T>(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        selection: Selection<'_>,
        mut evaluate: impl FnMut(&[DynamicObject]) -> Option<T> + Send,
    ) -> Result<T, ApiError> {
        let params = ListParams {
            label_selector: selection.labels(),
            field_selector: selection.fields(),
            ..ListParams::default()
        };
        // Consecutive streams and lists without progress; a backoff separates them.
        let mut fruitless = 0;
        loop {
            let (mut objects, mut version) = match self.pages(kind, namespace, params.clone()).await {
                Ok(listed) => listed,
                Err(error) if error.kind == ApiErrorKind::NotFound => (Vec::new(), String::new()),
                Err(error) => return Err(error),
            };
            if let Some(found) = evaluate(&objects) {
                return Ok(found);
            }
            while !version.is_empty() {
                let before = version.clone();
                let mut state = State { objects: &mut objects, version: &mut version };
                let ended = self.stream(kind, namespace, selection, &mut state, &mut evaluate).await;
                let ended = match ended {
                    Ok(Ok(found)) => return Ok(found),
                    Ok(Err(ended)) => ended,
                    // The server answered the watch itself with 410: the version is too old.
                    Err(error) if error.status == Some(410) => StreamEnd::Broken,
                    Err(error) => return Err(error),
                };
                if before != version {
                    fruitless = 0;
                }
                if matches!(ended, StreamEnd::Broken) {
                    break;
                }
                fruitless += 1;
                self.request_sender.back_off(fruitless).await;
            }
            fruitless += 1;
            self.request_sender.back_off(fruitless).await;
        }
    }

    /// Follows one stream from the version in `state`, and updates that version.
    async fn stream<T>(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        selection: Selection<'_>,
        state: &mut State<'_>,
        evaluate: &mut (impl FnMut(&[DynamicObject]) -> Option<T> + Send),
    ) -> Result<Result<T, StreamEnd>, ApiError> {
        let params = WatchParams {
            label_selector: selection.labels(),
            field_selector: selection.fields(),
            timeout: Some(STREAM_SECONDS),
            ..WatchParams::default()
        };
        let request = Request::new(kind.path(namespace))
            .watch(&params, state.version)
            .map_err(|cause| into_api_error::invalid_request(&kind.plural, Box::new(cause)))?;
        let request_info = RequestInfo::of(&request);
        let mut lines = Lines::new(self.request_sender.stream(request).await?.into_body());
        let silence_max = Duration::from_secs(u64::from(STREAM_SECONDS)) + STREAM_GRACE;
        loop {
            let line = match tokio::time::timeout(silence_max, lines.next()).await {
                Ok(Ok(Some(line))) => line,
                Ok(Ok(None)) => return Ok(Err(StreamEnd::InTurn)),
                Ok(Err(Broken::Body(unread @ UnreadBody::TooLarge(_)))) => {
                    return Err(unread.into_error(&request_info));
                }
                Ok(Err(broken)) => {
                    tracing::debug!(%broken, path = request_info.path, "the watch was interrupted");
                    return Ok(Err(StreamEnd::Broken));
                }
                Err(_) => return Ok(Err(StreamEnd::Broken)),
            };
            let event: WatchEvent<DynamicObject> = match serde_json::from_slice(&line) {
                Ok(event) => event,
                // A line that a dying connection cut short; the next list clarifies.
                Err(cause) => {
                    tracing::debug!(%cause, path = request_info.path, "the watch sent an incomplete line");
                    return Ok(Err(StreamEnd::Broken));
                }
            };
            match event {
                WatchEvent::Error(kube_status) => {
                    let error = into_api_error::from_watch_event(&request_info, &kube_status);
                    tracing::debug!(%error, path = request_info.path, "the watch ended with an error");
                    return Ok(Err(StreamEnd::Broken));
                }
                WatchEvent::Bookmark(bookmark) => *state.version = bookmark.metadata.resource_version,
                WatchEvent::Added(object) | WatchEvent::Modified(object) => state.set(object),
                WatchEvent::Deleted(object) => state.unset(&object),
            }
            if let Some(found) = evaluate(state.objects) {
                return Ok(Ok(found));
            }
        }
    }
}

/// The objects at a version.
struct State<'a> {
    objects: &'a mut Vec<DynamicObject>,
    version: &'a mut String,
}

impl State<'_> {
    fn place(&self, object: &DynamicObject) -> Option<usize> {
        let key = |object: &DynamicObject| (object.metadata.namespace.clone(), object.metadata.name.clone());
        let wanted = key(object);
        self.objects.iter().position(|known| key(known) == wanted)
    }

    fn advance(&mut self, object: &DynamicObject) {
        if let Some(version) = &object.metadata.resource_version {
            self.version.clone_from(version);
        }
    }

    fn set(&mut self, object: DynamicObject) {
        self.advance(&object);
        match self.place(&object) {
            Some(place) => self.objects[place] = object,
            None => self.objects.push(object),
        }
    }

    fn unset(&mut self, object: &DynamicObject) {
        self.advance(object);
        if let Some(place) = self.place(object) {
            self.objects.remove(place);
        }
    }
}

/// The reason why a stream yields no further line.
enum Broken {
    /// The body broke off, or a line exceeded the limit.
    Body(UnreadBody),
    /// The body ended in the middle of a line.
    HalfLine,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(UnreadBody::Interrupted(cause)) => cause.fmt(f),
            Self::Body(UnreadBody::TooLarge(bytes_max)) => {
                write!(f, "a line is larger than {bytes_max} bytes")
            }
            Self::HalfLine => f.write_str("the stream ended in the middle of a line"),
        }
    }
}

/// Splits a body into lines.
struct Lines {
    body: Body,
    buffered: Vec<u8>,
    /// The position at which the search for the line end continues.
    searched: usize,
}

impl Lines {
    fn new(body: Body) -> Self {
        Self { body, buffered: Vec::new(), searched: 0 }
    }

    /// Returns the next line without its line end; `None` if the body ended after a whole line.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        loop {
            if let Some(end) = self.buffered[self.searched..].iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.buffered.drain(..=self.searched + end).collect();
                line.pop();
                self.searched = 0;
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return Ok(Some(line));
            }
            self.searched = self.buffered.len();
            match self.body.frame().await {
                Some(frame) => {
                    if let Ok(data) =
                        frame.map_err(|cause| Broken::Body(UnreadBody::Interrupted(cause)))?.into_data()
                    {
                        self.buffered.extend_from_slice(&data);
                    }
                    // A frame is small, so a buffer over the limit is one line and little more.
                    if self.buffered.len() > LINE_BYTES_MAX {
                        return Err(Broken::Body(UnreadBody::TooLarge(LINE_BYTES_MAX)));
                    }
                }
                None if self.buffered.is_empty() => return Ok(None),
                None => return Err(Broken::HalfLine),
            }
        }
    }
}
