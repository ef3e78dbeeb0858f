//! Counter of the requests on the wire, their observer, and the gate before those that change something.

use crate::write_gate::WriteGate;
use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Counts the requests of one run, including retries, polls, token requests and Kubernetes requests.
///
/// Clones share one count, and one gate.
#[derive(Clone, Debug, Default)]
pub struct RequestCounter(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    requests: AtomicU64,
    write_gate: OnceLock<Arc<dyn WriteGate>>,
    observer: Option<Arc<dyn RequestObserver>>,
}

/// Observes each attempt of each request.
pub trait RequestObserver: fmt::Debug + Send + Sync {
    /// A request is about to be sent, in the task that sends it. It ends with [`ActiveRequest::end`], or when the returned
    /// value is dropped.
    fn begin(&self, request: &RequestStart<'_>) -> Option<Box<dyn ActiveRequest>>;

    /// A request will be sent again because of this, such as `HTTP 429`.
    fn retried(&self, because: &str);
}

/// A request without its response.
pub trait ActiveRequest: Send + Sync {
    /// Returns the value of the header `traceparent` for this request (W3C Trace Context), if it is traced.
    fn traceparent(&self) -> Option<&str>;

    /// The response's status and headers have arrived. `request_id` is the service's id of the request.
    fn end(&mut self, status: u16, request_id: Option<&str>);
}

/// The start of a request. The query is left out, because it may be signed.
#[derive(Clone, Copy, Debug)]
pub struct RequestStart<'a> {
    /// The method.
    pub method: &'a str,
    /// `https` or `http`.
    pub scheme: &'a str,
    /// The host name or address.
    pub host: &'a str,
    /// The port.
    pub port: u16,
    /// The path.
    pub path: &'a str,
    /// The id that all attempts of one request share, if they have one.
    pub client_request_id: Option<&'a str>,
}

impl RequestCounter {
    /// Returns a counter at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a counter at zero, whose requests have an observer.
    pub fn observed_by(observer: Arc<dyn RequestObserver>) -> Self {
        Self(Arc::new(Counted { observer: Some(observer), ..Counted::default() }))
    }

    /// Counts one request; every transport calls it right before it sends.
    pub(crate) fn begin(&self, request: &RequestStart<'_>) -> Option<Box<dyn ActiveRequest>> {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        self.0.observer.as_ref().and_then(|observer| observer.begin(request))
    }

    /// Sets the gate that every request of every client passes that changes something, except those to a sign-in or to
    /// a blob. A second call has no effect.
    pub fn set_write_gate(&self, gate: Arc<dyn WriteGate>) {
        let _ = self.0.write_gate.set(gate);
    }

    pub(crate) fn write_gate(&self) -> Option<&Arc<dyn WriteGate>> {
        self.0.write_gate.get()
    }

    /// Reports that a request will be sent again, after this status or after no response.
    pub(crate) fn retried(&self, status: Option<u16>) {
        if let Some(observer) = &self.0.observer {
            let because = status.map_or("no response".to_owned(), |status| format!("HTTP {status}"));
            observer.retried(&because);
        }
    }

    /// Returns the number of requests sent so far.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    const REQUEST: RequestStart<'_> = RequestStart {
        method: "GET",
        scheme: "https",
        host: "example.com",
        port: 443,
        path: "/",
        client_request_id: None,
    };

    #[test]
    fn clones_count_together() {
        let request_counter = RequestCounter::new();
        assert!(request_counter.clone().begin(&REQUEST).is_none());
        request_counter.begin(&REQUEST);
        assert_eq!(request_counter.requests(), 2);
    }

    #[derive(Debug, Default)]
    struct Seen(Arc<Mutex<Vec<String>>>);

    struct Active(Arc<Mutex<Vec<String>>>);

    impl RequestObserver for Seen {
        fn begin(&self, request: &RequestStart<'_>) -> Option<Box<dyn ActiveRequest>> {
            self.0.lock().unwrap().push(format!("{} {}", request.method, request.host));
            Some(Box::new(Active(self.0.clone())))
        }

        fn retried(&self, because: &str) {
            self.0.lock().unwrap().push(because.to_owned());
        }
    }

    impl ActiveRequest for Active {
        fn traceparent(&self) -> Option<&str> {
            Some("00-1-2-01")
        }

        fn end(&mut self, status: u16, _: Option<&str>) {
            self.0.lock().unwrap().push(status.to_string());
        }
    }

    #[test]
    fn an_observer_sees_start_end_and_retries_of_every_clone() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let request_counter = RequestCounter::observed_by(Arc::new(Seen(seen.clone())));
        let mut active = request_counter.begin(&REQUEST).unwrap();
        assert_eq!(active.traceparent(), Some("00-1-2-01"));
        active.end(200, None);
        request_counter.retried(Some(429));
        request_counter.clone().retried(None);
        assert_eq!(*seen.lock().unwrap(), ["GET example.com", "200", "HTTP 429", "no response"]);
    }
}
