//! Identification of the workload behind a Service by its response, based on the container image in the set.

use crate::{
    http_probe::Answer,
    object_fields::{name, space},
};
use landfall_cloud::kubernetes::{DynamicObject, manifest::Manifest};
use serde_json::Value;
use std::collections::BTreeMap;

/// The signature of a workload's responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Voice {
    /// httpbin: returns the received request as JSON.
    Httpbin,
    /// http-echo: returns a fixed text for every request.
    Says(String),
    /// An unknown workload, whose responses cannot be identified.
    Unknown,
}

/// A Service, and the signature of its workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Workload {
    pub(super) name: String,
    pub(super) voice: Voice,
}

/// The Services of a set, by namespace and name.
#[derive(Debug, Default)]
pub(super) struct Workloads(BTreeMap<(String, String), Voice>);

impl Workloads {
    /// Reads the Services and the Deployments behind them.
    pub(super) fn read(manifests: &[Manifest]) -> Self {
        let of = |kind: &'static str| {
            let objects = manifests.iter().map(|manifest| &manifest.object);
            objects.filter(move |object| object.types.as_ref().is_some_and(|types| types.kind == kind))
        };
        let deployments: Vec<&DynamicObject> = of("Deployment").collect();
        let voice = |service: &DynamicObject| {
            let behind = deployments.iter().find(|one| space(one) == space(service) && selects(service, one));
            behind.map_or(Voice::Unknown, |deployment| voice(deployment))
        };
        Self(
            of("Service")
                .map(|service| ((space(service).to_owned(), name(service).to_owned()), voice(service)))
                .collect(),
        )
    }

    /// Returns a Service; one outside the set has an unknown signature.
    pub(super) fn get(&self, space: &str, name: &str) -> Workload {
        let known = self.0.get(&(space.to_owned(), name.to_owned()));
        Workload { name: name.to_owned(), voice: known.cloned().unwrap_or(Voice::Unknown) }
    }

    /// Returns the Service that sent this response, if exactly one matches.
    pub(super) fn who(&self, answer: &Answer) -> Option<&str> {
        let mut speaking = self.0.iter().filter(|(_, voice)| voice.is_heard_in(answer) == Some(true));
        let first = speaking.next();
        first.filter(|_| speaking.next().is_none()).map(|((_, name), _)| name.as_str())
    }
}

impl Voice {
    /// Returns whether a response has this signature; `None` if that cannot be decided.
    pub(super) fn is_heard_in(&self, answer: &Answer) -> Option<bool> {
        match self {
            Self::Says(text) => Some(answer.status == 200 && answer.body.trim() == text.trim()),
            Self::Httpbin => {
                let echoes = answer.json().is_some_and(|seen| seen["headers"].is_object());
                let page = answer.body.to_ascii_lowercase().contains("httpbin");
                Some(answer.status == 200 && (echoes || page))
            }
            Self::Unknown => None,
        }
    }

    /// Returns whether the response to a path identifies the workload.
    pub(super) fn is_known_at(&self, path: &str) -> bool {
        match self {
            Self::Says(_) => true,
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

fn voice(deployment: &DynamicObject) -> Voice {
    let container = &deployment.data["spec"]["template"]["spec"]["containers"][0];
    let image = container["image"].as_str().unwrap_or_default();
    let arguments = container["args"].as_array().into_iter().flatten();
    let said = arguments.filter_map(Value::as_str).find_map(|one| one.strip_prefix("-text="));
    match said {
        Some(said) if image.contains("http-echo") => Voice::Says(said.to_owned()),
        _ if image.contains("httpbin") => Voice::Httpbin,
        _ => Voice::Unknown,
    }
}
