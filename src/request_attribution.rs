//! Attribution of requests and retries to the steps that send them, and to their spans.

use crate::telemetry::Requests;
use landfall_cloud::{ActiveRequest, RequestCounter, RequestObserver, RequestStart};
use std::sync::Arc;

/// Returns a counter that also counts each request for the step whose task sends it, and traces it if telemetry is on.
pub fn counter(traced: Option<Requests>) -> RequestCounter {
    RequestCounter::observed_by(Arc::new(Attribution { traced }))
}

#[derive(Debug)]
struct Attribution {
    traced: Option<Requests>,
}

impl RequestObserver for Attribution {
    fn begin(&self, request: &RequestStart<'_>) -> Option<Box<dyn ActiveRequest>> {
        landfall_engine::count_request();
        self.traced.as_ref()?.begin(request)
    }

    fn retried(&self, because: &str) {
        landfall_engine::count_retry(because);
        if let Some(traced) = &self.traced {
            traced.retried(because);
        }
    }
}
