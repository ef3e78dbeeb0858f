//! Requests with one correct response each: roots, paths, redirects, headers.

use super::{
    CheckId,
    backend_signature::{BackendSignature, Workload},
    context::CheckContext,
    expectations::{ExpectedResponse, HostPort, TestRequest, with_query},
    outcome::{CheckOutcome, Fault},
};
use crate::http_probe::{GatewayConnection, HttpResponse, RequestError};
use std::collections::BTreeMap;
use url::Url;

/// The header that correlates the response of a header echo with its request.
const ECHO_HEADER: &str = "x-landfall-verify";
/// The header with which Envoy proves that a response came from an upstream.
const UPSTREAM_HEADER: &str = "x-envoy-upstream-service-time";

/// Sends all requests of a check: sequentially on one connection per host, the hosts concurrently.
pub(super) async fn check(context: &CheckContext<'_>, id: CheckId, nonce: &str) -> CheckOutcome {
    let mut by_host_port: BTreeMap<&HostPort, Vec<&TestRequest>> = BTreeMap::new();
    for test_request in
        context.expectations.test_requests.iter().filter(|test_request| test_request.check == id)
    {
        by_host_port.entry(&test_request.host_port).or_default().push(test_request);
    }
    if by_host_port.is_empty() {
        let why = context
            .expectations
            .left_out
            .get(&id)
            .map(|why| why.iter().cloned().collect::<Vec<_>>().join("; "));
        return CheckOutcome::NotApplicable(
            why.unwrap_or_else(|| "no route in the manifests has such a rule".into()),
        );
    }
    let hosts =
        by_host_port.iter().map(|(host_port, test_requests)| host(context, host_port, test_requests, nonce));
    let faults: Vec<Fault> = futures::future::join_all(hosts).await.into_iter().flatten().collect();
    match faults.is_empty() {
        true => {
            CheckOutcome::Passed(description(id, &by_host_port.into_values().flatten().collect::<Vec<_>>()))
        }
        false => CheckOutcome::Failed(faults),
    }
}

/// Summarizes a passed check: all requests of a header or path check, else the first one and the number of
/// the others.
fn description(id: CheckId, test_requests: &[&TestRequest]) -> String {
    let mut label: Vec<&str> = Vec::new();
    test_requests.iter().for_each(|test_request| {
        if !label.contains(&test_request.label.as_str()) {
            label.push(&test_request.label);
        }
    });
    let suffix = if matches!(id, CheckId::CatchAll | CheckId::AnyPath) { " 200" } else { "" };
    match id {
        CheckId::HeaderRouting => {
            let times = test_requests.iter().map(|test_request| test_request.times).max().unwrap_or_default();
            format!("{}; {times} requests each", label.join(", "))
        }
        CheckId::PathRouting => label.join(", "),
        _ => {
            let first = label.first().copied().unwrap_or_default();
            match label.len() - 1 {
                0 => format!("{first}{suffix}"),
                others => format!("{first}{suffix}, and {others} more"),
            }
        }
    }
}

async fn host(
    context: &CheckContext<'_>,
    host_port: &HostPort,
    test_requests: &[&TestRequest],
    nonce: &str,
) -> Vec<Fault> {
    let endpoint = match context.endpoint(host_port) {
        Ok(endpoint) => endpoint,
        Err(fault) => return vec![fault],
    };
    let mut faults = Vec::new();
    let mut connection: Option<GatewayConnection<'_>> = None;
    for test_request in test_requests {
        let mut wrong: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..test_request.times {
            if connection.as_ref().is_none_or(GatewayConnection::is_closed) {
                // Closes the old connection first, so that its slot is free for the new one.
                drop(connection.take());
                match context.client.open(&endpoint).await.0 {
                    Ok(session) => connection = Some(session),
                    // After a failed connect, the next request would fail too.
                    Err(failure) => {
                        faults.push(context.failure(host_port, &failure));
                        return faults;
                    }
                }
            }
            let open = connection.as_mut().expect("it was opened just now");
            match send_once(open, test_request, nonce).await {
                Ok(response) => {
                    if let Err(why) = evaluate(context, test_request, &response, nonce) {
                        *wrong.entry(why).or_default() += 1;
                    }
                }
                Err(failure) => {
                    connection = None;
                    faults.push(context.failure(host_port, &failure));
                    break;
                }
            }
        }
        faults.extend(wrong.into_iter().map(|(why, times)| match test_request.times {
            1 => Fault::new(why),
            all => Fault::new(format!("{why} in {times} of {all}")),
        }));
    }
    faults
}

async fn send_once(
    connection: &mut GatewayConnection<'_>,
    test_request: &TestRequest,
    nonce: &str,
) -> Result<HttpResponse, RequestError> {
    let mut headers = test_request.request.headers.clone();
    headers.push((ECHO_HEADER.to_owned(), nonce.to_owned()));
    connection
        .send(
            &test_request.request.method,
            &with_query(&test_request.request.path, &test_request.request.query),
            &headers,
        )
        .await
}

/// Compares a response with the expectation; the error describes the actual response.
fn evaluate(
    context: &CheckContext<'_>,
    test_request: &TestRequest,
    response: &HttpResponse,
    nonce: &str,
) -> Result<(), String> {
    let request_text = || request_text(test_request);
    let identify = || match context.workloads.identify(response) {
        Some(name) => name.to_owned(),
        None => response.status.to_string(),
    };
    match &test_request.expect {
        ExpectedResponse::NotFound if response.status == 404 => Ok(()),
        ExpectedResponse::NotFound => Err(format!("{} got {} instead of 404", request_text(), identify())),
        ExpectedResponse::Redirect { status, to } => {
            redirected(response, *status, to).map_err(|why| format!("{} {why}", request_text()))
        }
        ExpectedResponse::FromWorkload { workloads, upstream_path } => {
            let signature_matches: Vec<Option<bool>> =
                workloads.iter().map(|one| one.signature.matches_response(response)).collect();
            let known = workloads.iter().all(|one| one.signature.is_identifiable_at(upstream_path));
            match () {
                () if known && signature_matches.contains(&Some(true)) => {
                    echoed(workloads, upstream_path, response, nonce)
                        .map_err(|why| format!("{} {why}", request_text()))
                }
                () if known => {
                    Err(format!("{} got {} instead of {}", request_text(), identify(), names(workloads)))
                }
                () if is_from_upstream(response) => Ok(()),
                () => Err(format!("{} returns {} from the gateway itself", request_text(), response.status)),
            }
        }
    }
}

/// Returns the request as display text.
fn request_text(test_request: &TestRequest) -> String {
    let scheme = if test_request.host_port.secure { "https" } else { "http" };
    let target = with_query(&test_request.request.path, &test_request.request.query);
    let headers = test_request.request.headers.iter().map(|(name, value)| format!(" with {name}: {value}"));
    format!("{scheme}://{}{target}{}", test_request.host_port.host, headers.collect::<String>())
}

fn names(workloads: &[Workload]) -> String {
    workloads.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(" or ")
}

/// Compares a redirect with its target; equivalent URLs may differ in spelling.
fn redirected(response: &HttpResponse, status: u16, to: &str) -> Result<(), String> {
    let location = response.header("location");
    if response.status != status {
        return Err(format!("returns {} instead of {status} → {to}", response.status));
    }
    match location {
        Some(location) if Url::parse(location).is_ok_and(|url| url.as_str() == to) => Ok(()),
        Some(location) => Err(format!("redirects to {location} instead of {to}")),
        None => Err(format!("has no Location instead of {to}")),
    }
}

/// Compares the request that httpbin echoes with the one sent, under the path that the route rewrites it to.
fn echoed(
    workloads: &[Workload],
    upstream_path: &str,
    response: &HttpResponse,
    nonce: &str,
) -> Result<(), String> {
    let echo =
        response.json().filter(|_| workloads.iter().all(|one| one.signature == BackendSignature::Httpbin));
    let Some(echo) = echo else { return Ok(()) };
    if echo["headers"].is_object() {
        let values = echo["headers"].as_object().into_iter().flatten();
        let echoed_header = values
            .filter(|(name, _)| name.eq_ignore_ascii_case(ECHO_HEADER))
            .map(|(_, value)| value.to_string());
        if !echoed_header.into_iter().any(|value| value.contains(nonce)) {
            return Err("lost a header on the way".to_owned());
        }
    }
    match echo["url"].as_str().and_then(|url| Url::parse(url).ok()) {
        Some(url) if url.path() != upstream_path => {
            Err(format!("arrived as {} instead of {upstream_path}", url.path()))
        }
        _ => Ok(()),
    }
}

/// Returns whether the response came from behind the gateway. The gateway's own responses are 404 without a
/// route, 500 without a backend, 503 without a pod, and 504 after a timeout.
fn is_from_upstream(response: &HttpResponse) -> bool {
    response.header(UPSTREAM_HEADER).is_some() || !matches!(response.status, 404 | 500 | 502 | 503 | 504)
}
