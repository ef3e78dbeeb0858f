//! Identification of the workload behind a Service by its response, based on the container image in the set.

use crate::{
    http_probe::HttpResponse,
    object_fields::{name, space},
};
use landfall_cloud::kubernetes::{DynamicObject, manifest::Manifest};
use serde_json::Value;
use std::collections::BTreeMap;

/// The signature of a workload's responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BackendSignature {
    /// httpbin: returns the received request as JSON.
    Httpbin,
    /// http-echo: returns a fixed text for every request.
    FixedText(String),
    /// An unknown workload, whose responses cannot be identified.
    Unknown,
}

/// A Service, and the signature of its workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Workload {
    pub(super) name: String,
    pub(super) signature: BackendSignature,
}

/// The Services of a set, by namespace and name.
#[derive(Debug, Default)]
pub(super) struct Workloads(BTreeMap<(String, String), BackendSignature>);

impl Workloads {
    /// Reads the Services and the Deployments behind them.
    pub(super) fn read(manifests: &[Manifest]) -> Self {
        let of = |kind: &'static str| {
            let objects = manifests.iter().map(|manifest| &manifest.object);
            objects.filter(move |object| object.types.as_ref().is_some_and(|types| types.kind == kind))
        };
        let deployments: Vec<&DynamicObject> = of("Deployment").collect();
        let signature = |service: &DynamicObject| {
            let behind = deployments.iter().find(|one| space(one) == space(service) && selects(service, one));
            behind.map_or(BackendSignature::Unknown, |deployment| signature(deployment))
        };
        Self(
            of("Service")
                .map(|service| ((space(service).to_owned(), name(service).to_owned()), signature(service)))
                .collect(),
        )
    }

    /// Returns a Service; one outside the set has an unknown signature.
    pub(super) fn get(&self, space: &str, name: &str) -> Workload {
        let known = self.0.get(&(space.to_owned(), name.to_owned()));
        Workload { name: name.to_owned(), signature: known.cloned().unwrap_or(BackendSignature::Unknown) }
    }

    /// Returns the Service that sent this response, if exactly one matches.
    pub(super) fn identify(&self, response: &HttpResponse) -> Option<&str> {
        let mut matching =
            self.0.iter().filter(|(_, signature)| signature.matches_response(response) == Some(true));
        let first = matching.next();
        first.filter(|_| matching.next().is_none()).map(|((_, name), _)| name.as_str())
    }
}

impl BackendSignature {
    /// Returns whether a response has this signature; `None` if that cannot be decided.
    pub(super) fn matches_response(&self, response: &HttpResponse) -> Option<bool> {
        match self {
            Self::FixedText(text) => Some(response.status == 200 && response.body.trim() == text.trim()),
            Self::Httpbin => {
                let echoes = response.json().is_some_and(|echoed| echoed["headers"].is_object());
                let page = response.body.to_ascii_lowercase().contains("httpbin");
                Some(response.status == 200 && (echoes || page))
            }
            Self::Unknown => None,
        }
    }

    /// Returns whether the response to a path identifies the workload.
    pub(super) fn is_identifiable_at(&self, path: &str) -> bool {
        match self {
            Self::FixedText(_) => true,
            Self::Httpbin => {
                matches!(path, "/" | "/get" | "/headers" | "/anything") || path.starts_with("/anything/")
            }
            Self::Unknown => false,
        }
    }
}

/// Compares the selector of a Service with the labels of a Deployment's pods.
fn selects(service: &DynamicObject, deployment: &DynamicObject) -> bool {
    let labels = &deployment.data["spec"]["template"]["metadata"]["labels"];
    let selector = service.data["spec"]["selector"].as_object();
    selector.is_some_and(|pairs| !pairs.is_empty() && pairs.iter().all(|(key, value)| labels[key] == *value))
}

fn signature(deployment: &DynamicObject) -> BackendSignature {
    let container = &deployment.data["spec"]["template"]["spec"]["containers"][0];
    let image = container["image"].as_str().unwrap_or_default();
    let arguments = container["args"].as_array().into_iter().flatten();
    let fixed_text = arguments.filter_map(Value::as_str).find_map(|one| one.strip_prefix("-text="));
    match fixed_text {
        Some(fixed_text) if image.contains("http-echo") => BackendSignature::FixedText(fixed_text.to_owned()),
        _ if image.contains("httpbin") => BackendSignature::Httpbin,
        _ => BackendSignature::Unknown,
    }
}
