//! The spans and durations of requests: one span for each attempt.

use super::recorder::Recorder;
use landfall_cloud::{ActiveRequest, RequestStart};
use landfall_engine::current_step;
use opentelemetry::{
    KeyValue,
    trace::{Span as _, Status},
};
use opentelemetry_sdk::trace::Span;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// Observes the requests of a command.
#[derive(Debug)]
pub struct Requests {
    recorder: Arc<Recorder>,
    /// The attempts so far, by the id that the attempts of one request share.
    attempts: Mutex<HashMap<String, i64>>,
}

impl Requests {
    /// Creates the observer.
    pub fn new(recorder: Arc<Recorder>) -> Self {
        Self { recorder, attempts: Mutex::default() }
    }

    /// Returns how often the request was sent before.
    fn resend_count(&self, id: &str) -> i64 {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = attempts.entry(id.to_owned()).or_insert(-1);
        *count += 1;
        *count
    }
}

impl Requests {
    /// Counts a request that will be sent again.
    pub fn retried(&self, because: &str) {
        self.recorder.request_retried(current_step(), because);
    }

    /// Starts the span of an attempt.
    pub fn begin(&self, request: &RequestStart<'_>) -> Option<Box<dyn ActiveRequest>> {
        let RequestStart { method, scheme, host, port, path, client_request_id } = *request;
        let server = [
            KeyValue::new("http.request.method", method.to_owned()),
            KeyValue::new("server.address", host.to_owned()),
            KeyValue::new("server.port", i64::from(port)),
        ];
        let mut attributes = server.to_vec();
        attributes.push(KeyValue::new("url.full", format!("{scheme}://{host}:{port}{path}")));
        if let Some(id) = client_request_id {
            attributes.push(KeyValue::new("azure.client.id", id.to_owned()));
            match self.resend_count(id) {
                0 => {}
                count => attributes.push(KeyValue::new("http.request.resend_count", count)),
            }
        }
        if let Some(namespace) = provider(path) {
            attributes.push(KeyValue::new("azure.resource_provider.namespace", namespace.to_owned()));
        }
        let span = self.recorder.request(current_step(), method, attributes);
        let traceparent = span.as_ref().map(|span| {
            let context = span.span_context();
            let flags = context.trace_flags().to_u8();
            format!("00-{}-{}-{flags:02x}", context.trace_id(), context.span_id())
        });
        Some(Box::new(Active {
            recorder: self.recorder.clone(),
            span,
            traceparent,
            server,
            status: None,
            began: Instant::now(),
        }))
    }
}

/// Returns the namespace of the last provider in the path of a resource.
fn provider(path: &str) -> Option<&str> {
    let (_, after) = path.rsplit_once("/providers/")?;
    after.split('/').next().filter(|namespace| namespace.contains('.'))
}

/// An attempt without its response.
struct Active {
    recorder: Arc<Recorder>,
    span: Option<Span>,
    traceparent: Option<String>,
    server: [KeyValue; 3],
    status: Option<u16>,
    began: Instant,
}

impl ActiveRequest for Active {
    fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    fn end(&mut self, status: u16, request_id: Option<&str>) {
        self.status = Some(status);
        let Some(span) = &mut self.span else { return };
        if let Some(id) = request_id {
            span.set_attribute(KeyValue::new("azure.service.request.id", id.to_owned()));
        }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let status = self.status.map(|status| KeyValue::new("http.response.status_code", i64::from(status)));
        let error = match self.status {
            Some(status) => (status >= 400).then(|| status.to_string()),
            None => Some("no_response".to_owned()),
        };
        let result = error.clone().map(|error| KeyValue::new("error.type", error));
        let result: Vec<KeyValue> = status.into_iter().chain(result).collect();
        let attributes: Vec<KeyValue> = self.server.iter().chain(&result).cloned().collect();
        self.recorder.request_ended(self.began.elapsed(), &attributes);
        if let Some(mut span) = self.span.take() {
            span.set_attributes(result);
            if error.is_some() {
                span.set_status(Status::error(""));
            }
            span.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_provider_of_a_resource_is_the_last_one() {
        let vault = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v";
        assert_eq!(provider(vault), Some("Microsoft.KeyVault"));
        let role = format!("{vault}/providers/Microsoft.Authorization/roleAssignments/r");
        assert_eq!(provider(&role), Some("Microsoft.Authorization"));
        assert_eq!(provider("/subscriptions/s/providers"), None);
        assert_eq!(provider("/api/v1/pods"), None);
    }
}
