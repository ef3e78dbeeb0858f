//! The check of route weights: the number of requests per backend, compared with the allowed random
//! deviation.

use super::{
    CheckId,
    backend_signature::BackendSignature,
    binomial,
    context::CheckContext,
    expectations::{Split, with_query},
    outcome::{CheckOutcome, Fault},
};
use crate::http_probe::{HttpResponse, RequestError};

/// The number of connections per split, with sequential requests on each: as many as a browser opens.
const CONNECTIONS: u32 = 6;
/// The maximum number of reconnects per connection after the peer closed it.
const REOPENED_MAX: u32 = 20;

/// Sends the requests of every split.
pub(super) async fn check(context: &CheckContext<'_>) -> CheckOutcome {
    let (identifiable, others): (Vec<&Split>, Vec<&Split>) =
        context.expectations.splits.iter().partition(|split| is_identifiable(split));
    if identifiable.is_empty() {
        return CheckOutcome::NotApplicable(match others.first() {
            Some(split) => {
                format!("the response of {} does not identify its backend", split.host_port.host)
            }
            None => "no route in the manifests has weights".to_owned(),
        });
    }
    let alarm = binomial::FALSE_ALARM_MAX / identifiable.len() as f64;
    let evaluated =
        futures::future::join_all(identifiable.iter().map(|split| evaluate(context, split, alarm))).await;
    let mut held = Vec::new();
    let mut faults = Vec::new();
    for one in evaluated {
        match one {
            Ok(detail) => held.push(detail),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { CheckOutcome::Passed(held.join("\n")) } else { CheckOutcome::Failed(faults) }
}

/// Returns whether the responses identify their backend.
fn is_identifiable(split: &Split) -> bool {
    let signatures: Vec<&BackendSignature> =
        split.backends.iter().map(|(workload, _)| &workload.signature).collect();
    let total: u32 = split.backends.iter().map(|(_, weight)| weight).sum();
    let apart = signatures.iter().enumerate().all(|(at, signature)| !signatures[..at].contains(signature));
    total > 0 && apart && signatures.iter().all(|signature| signature.is_identifiable_at(&split.request.path))
}

async fn evaluate(context: &CheckContext<'_>, split: &Split, alarm: f64) -> Result<String, Fault> {
    let total: u32 = split.backends.iter().map(|(_, weight)| weight).sum();
    let shares: Vec<f64> =
        split.backends.iter().map(|(_, weight)| f64::from(*weight) / f64::from(total)).collect();
    // Each backend gets a part of the false-alarm rate, so that the sum stays within it.
    let alarm = alarm / shares.len() as f64;
    let request_count = binomial::requests(&shares, alarm);
    let counts = count(context, split, request_count).await?;
    let bounds: Vec<binomial::Interval> =
        shares.iter().map(|share| binomial::interval(request_count, *share, alarm)).collect();
    let names = || split.backends.iter().map(|(workload, _)| workload.name.as_str());
    let observed: Vec<String> = names().zip(&counts).map(|(name, count)| format!("{count} {name}")).collect();
    let weights: Vec<String> = split.backends.iter().map(|(_, weight)| weight.to_string()).collect();
    // With two backends, the bound of the last one (the canary) is sufficient.
    let (last, bound) = (split.backends.last(), bounds.last());
    let bound = match (last, bound) {
        (Some((workload, _)), Some(bound)) => format!("{} to {} {}", bound.least, bound.most, workload.name),
        _ => String::new(),
    };
    let detail = format!(
        "{}: {request_count} requests, {}; {} allows {bound}, at most 1 false alarm in 1,000,000",
        split.host_port.host,
        observed.join(", "),
        weights.join("/"),
    );
    match counts.iter().zip(&bounds).all(|(count, bound)| bound.contains(*count)) {
        true => Ok(detail),
        false => {
            Err(Fault::new(detail).hint("landfall plan shows the actual weights; landfall up sets them"))
        }
    }
}

/// Counts the responses per backend. A response without a known backend ends the count, because it
/// invalidates the split.
async fn count(context: &CheckContext<'_>, split: &Split, request_count: u32) -> Result<Vec<u32>, Fault> {
    let shares =
        (0..CONNECTIONS).map(|at| request_count / CONNECTIONS + u32::from(at < request_count % CONNECTIONS));
    let shares_sent = shares.map(|share| send_share(context, split, share));
    let counts = futures::future::try_join_all(shares_sent).await?;
    Ok((0..split.backends.len()).map(|at| counts.iter().map(|count: &Vec<u32>| count[at]).sum()).collect())
}

async fn send_share(context: &CheckContext<'_>, split: &Split, share: u32) -> Result<Vec<u32>, Fault> {
    let endpoint = context.endpoint(&split.host_port)?;
    let failure = |failure: RequestError| context.failure(&split.host_port, &failure);
    let target = with_query(&split.request.path, &split.request.query);
    let mut counts = vec![0; split.backends.len()];
    let mut open = context.client.open(&endpoint).await.0.map_err(failure)?;
    let mut reopened = 0;
    let mut left = share;
    while left > 0 {
        match open.send(&split.request.method, &target, &split.request.headers).await {
            Ok(response) => {
                counts[backend_index(split, &response)?] += 1;
                left -= 1;
            }
            Err(RequestError::ConnectionFailed(_) | RequestError::NotHttp(_))
                if open.is_closed() && reopened < REOPENED_MAX =>
            {
                reopened += 1;
                // Closes the old connection first, so that its slot is free for the new one.
                drop(open);
                open = context.client.open(&endpoint).await.0.map_err(failure)?;
            }
            Err(error) => return Err(failure(error)),
        }
    }
    Ok(counts)
}

fn backend_index(split: &Split, response: &HttpResponse) -> Result<usize, Fault> {
    let position =
        split.backends.iter().position(|(one, _)| one.signature.matches_response(response) == Some(true));
    position.ok_or_else(|| {
        let text = format!(
            "{}: the response {} comes from none of its backends",
            split.host_port.host, response.status
        );
        Fault::new(text).root(CheckId::CatchAll)
    })
}
