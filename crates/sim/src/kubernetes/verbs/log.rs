//! Pod logs: whole, the last lines, or as a stream.
//!
//! Contract: `GET /api/v1/namespaces/{namespace}/pods/{name}/log`. The lines come from [`crate::aks::log`].

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use serde_json::Value;

use crate::aks::log::{LogLine, lines};
use crate::clock::SimTime;
use crate::kubernetes::dispatch::ApiResponse;
use crate::kubernetes::path::ResourcePath;
use crate::kubernetes::query::{flag, number};
use crate::kubernetes::status::StatusError;
use crate::kubernetes::store::Store;
use crate::request::{Reply, Request};

/// The media type of logs.
pub const TEXT: &str = "text/plain";

/// A log stream that ends with its container, or with its pod.
#[derive(Debug)]
pub struct Log {
    namespace: String,
    name: String,
    uid: Value,
    container: String,
    timestamps: bool,
    pending: Vec<LogLine>,
    /// The number of times that each line was sent: a program may repeat itself within a millisecond.
    sent: BTreeMap<LogLine, usize>,
}

fn count(lines: &[LogLine]) -> BTreeMap<LogLine, usize> {
    let mut counts = BTreeMap::new();
    for line in lines {
        *counts.entry(line.clone()).or_default() += 1;
    }
    counts
}

impl Log {
    /// Returns the lines since the last poll, and whether the container has ended or the pod no longer exists.
    pub fn poll(&mut self, store: &Store) -> (Vec<Bytes>, bool) {
        let mut new = std::mem::take(&mut self.pending);
        let pod =
            store.get("pods", &self.namespace, &self.name).filter(|pod| pod["metadata"]["uid"] == self.uid);
        if let Some(pod) = pod {
            let all = lines(store, pod, &self.container);
            let mut seen = BTreeMap::new();
            for line in &all {
                let number = seen.entry(line).or_insert(0_usize);
                *number += 1;
                if *number > self.sent.get(line).copied().unwrap_or(0) {
                    new.push(line.clone());
                }
            }
            self.sent = count(&all);
        }
        let has_ended = pod.is_none_or(|pod| has_ended(pod, &self.container));
        (new.iter().map(|line| Bytes::from(format_line(line, self.timestamps))).collect(), has_ended)
    }
}

/// Returns whether a container has ended for good.
fn has_ended(pod: &Value, container: &str) -> bool {
    statuses(pod).any(|status| status["name"] == *container && status["state"]["terminated"].is_object())
}

fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["initContainerStatuses", "containerStatuses"].into_iter();
    lists.filter_map(|field| pod["status"][field].as_array()).flatten()
}

fn format_line(line: &LogLine, timestamps: bool) -> String {
    if timestamps { format!("{} {}\n", line.at.rfc3339(), line.text) } else { format!("{}\n", line.text) }
}

/// Returns the log of one container.
///
/// # Errors
/// 404 if the pod does not exist. 400 if the container does not exist, is not running, or is not named among
/// several. 405 for other methods.
pub fn serve(
    store: &Store,
    request: &Request,
    resource_path: &ResourcePath,
    now: SimTime,
) -> Result<ApiResponse, StatusError> {
    if request.method != Method::GET {
        return Err(StatusError::method_not_allowed());
    }
    let pod = store
        .get("pods", resource_path.namespace(), resource_path.name())
        .ok_or_else(|| StatusError::not_found(&resource_path.definition, resource_path.name()))?;
    let container = container_name(request, pod, resource_path.name())?;
    if flag(request, "previous")? == Some(true) {
        // Only the log of the last start is kept.
        return Err(StatusError::bad_request(format!(
            "previous terminated container {container:?} in pod {:?} not found",
            resource_path.name()
        )));
    }
    check_running(pod, container, resource_path.name())?;
    let all_lines = lines(store, pod, container);
    let sent = count(&all_lines);
    let selected = selected(request, all_lines, now)?;
    let timestamps = flag(request, "timestamps")?.unwrap_or(false);
    if flag(request, "follow")? == Some(true) {
        let log = Log {
            namespace: resource_path.namespace().to_owned(),
            name: resource_path.name().to_owned(),
            uid: pod["metadata"]["uid"].clone(),
            container: container.to_owned(),
            timestamps,
            pending: selected,
            sent,
        };
        return Ok(ApiResponse { reply: Reply::bytes(200, TEXT, Bytes::new()), watch: None, log: Some(log) });
    }
    let mut text: String = selected.iter().map(|line| format_line(line, timestamps)).collect();
    if let Some(limit) = number(request, "limitBytes")? {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
    }
    Ok(ApiResponse::plain(Reply::bytes(200, TEXT, text)))
}

/// Returns the lines that a request selects.
fn selected(request: &Request, mut lines: Vec<LogLine>, now: SimTime) -> Result<Vec<LogLine>, StatusError> {
    let since = match (number(request, "sinceSeconds")?, request.query("sinceTime")) {
        (Some(seconds), _) => {
            Some(now.plus_ms(-i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX / 4)))
        }
        (None, Some(time)) if !time.is_empty() => {
            let bad = |error: jiff::Error| StatusError::bad_request(format!("sinceTime: {error}"));
            let time: jiff::Timestamp = time.parse().map_err(bad)?;
            Some(SimTime(time.as_millisecond()))
        }
        _ => None,
    };
    lines.retain(|line| since.is_none_or(|since| line.at >= since));
    if let Some(tail) = number(request, "tailLines")? {
        let tail = usize::try_from(tail).unwrap_or(usize::MAX);
        lines.drain(..lines.len().saturating_sub(tail));
    }
    Ok(lines)
}

fn names(pod: &Value) -> Vec<&str> {
    names_in(pod, "containers").collect()
}

fn names_in<'p>(pod: &'p Value, list: &str) -> impl Iterator<Item = &'p str> {
    let containers = pod["spec"][list].as_array().into_iter().flatten();
    containers.filter_map(|container| container["name"].as_str())
}

fn container_name<'p>(request: &Request, pod: &'p Value, name: &str) -> Result<&'p str, StatusError> {
    let (all, wanted) = (names(pod), request.query("container").unwrap_or_default());
    match (wanted, all.as_slice()) {
        ("", [only]) => Ok(only),
        ("", all) => Err(StatusError::bad_request(format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            all.join(" ")
        ))),
        (wanted, all) => all
            .iter()
            .copied()
            .chain(names_in(pod, "initContainers"))
            .find(|known| *known == wanted)
            .ok_or_else(|| {
                StatusError::bad_request(format!("container {wanted} is not valid for pod {name}"))
            }),
    }
}

fn check_running(pod: &Value, container: &str, name: &str) -> Result<(), StatusError> {
    let status = statuses(pod).find(|status| status["name"] == *container);
    let pending = status.map_or("ContainerCreating", |status| {
        status["state"]["waiting"]["reason"].as_str().unwrap_or_default()
    });
    if pending.is_empty() {
        return Ok(());
    }
    let why = format!("container {container:?} in pod {name:?} is waiting to start: {pending}");
    Err(StatusError::bad_request(why))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::fixture::{Cluster, T0};

    const LOG: &str = "/api/v1/namespaces/demo/pods/web/log";

    /// A cluster with one pod, whose second container is not running.
    fn cluster() -> Cluster {
        let mut cluster = Cluster::new();
        let pod = json!({
            "metadata": {"name": "web", "namespace": "demo"},
            "spec": {"containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]},
            "status": {"containerStatuses": [
                {"name": "a", "state": {"running": {"startedAt": T0.rfc3339()}}},
                {"name": "b", "state": {"waiting": {"reason": "ContainerCreating"}}},
            ]},
        });
        cluster.store.put("pods", pod, "kubelet", T0);
        cluster
    }

    fn text(cluster: &mut Cluster, query: &str) -> (u16, String) {
        let reply = cluster.get(&format!("{LOG}?{query}"));
        (reply.status.as_u16(), String::from_utf8_lossy(&reply.body).into_owned())
    }

    #[test]
    fn a_log_is_of_one_container_that_runs() {
        let mut cluster = cluster();
        let (status, whole) = text(&mut cluster, "container=a");
        assert!(status == 200 && whole.contains("container a runs a:1"), "{whole}");
        let (_, stamped) = text(&mut cluster, "container=a&timestamps=true");
        assert_eq!(stamped, format!("{} {whole}", T0.rfc3339()));
        assert_eq!(text(&mut cluster, "container=a&tailLines=0").1, "");
        assert_eq!(text(&mut cluster, "container=a&sinceSeconds=0").1, "");
        assert_eq!(text(&mut cluster, "container=a&limitBytes=4").1, whole[..4]);
        for (query, why) in [
            ("", "a container name must be specified for pod web, choose one of: [a b]"),
            ("container=c", "container c is not valid for pod web"),
            ("container=b", r#"container \"b\" in pod \"web\" is waiting to start: ContainerCreating"#),
            ("container=a&previous=true", r#"previous terminated container \"a\" in pod \"web\" not found"#),
            ("container=a&sinceTime=noon", "sinceTime"),
        ] {
            let (status, log_text) = text(&mut cluster, query);
            assert!(status == 400 && log_text.contains(why), "{query}: {log_text}");
        }
        assert_eq!(cluster.get("/api/v1/namespaces/demo/pods/nope/log").status, 404);
        assert_eq!(cluster.get("/api/v1/namespaces/demo/configmaps/web/log").status, 404);
    }

    #[test]
    fn a_followed_log_ends_with_its_pod_even_if_another_has_its_name() {
        let mut cluster = cluster();
        let request = Request::new(Method::GET, "c", &format!("{LOG}?container=a&follow=true"));
        let mut log = cluster.send_request(&request).log.expect("it is followed");
        assert_eq!(log.poll(&cluster.store).0.len(), 1);
        assert_eq!(log.poll(&cluster.store), (Vec::new(), false), "nothing is said twice");
        cluster.store.remove("pods", "demo", "web", cluster.now);
        let other = json!({"metadata": {"name": "web", "namespace": "demo"},
            "spec": {"containers": [{"name": "a", "image": "a:2"}]}});
        cluster.store.put("pods", other, "kubelet", cluster.now);
        assert_eq!(log.poll(&cluster.store), (Vec::new(), true));
    }

    #[test]
    fn the_lines_of_a_program_are_read_from_its_files_and_end_with_it() {
        let mut cluster = cluster();
        let folder = tempfile::tempdir().unwrap();
        let uid =
            cluster.store.get("pods", "demo", "web").unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
        let own = folder.path().join(uid);
        std::fs::create_dir(&own).unwrap();
        let line = |text: &str| format!("{} {text}\n", T0.rfc3339());
        std::fs::write(own.join("a.log.1"), line("one")).unwrap();
        std::fs::write(own.join("a.log"), line("two").repeat(2)).unwrap();
        cluster.store.set_pod_folder(Some(folder.path().into()));
        assert_eq!(text(&mut cluster, "container=a").1, "one\ntwo\ntwo\n");
        let request = Request::new(Method::GET, "c", &format!("{LOG}?container=a&follow=true&tailLines=0"));
        let mut log = cluster.send_request(&request).log.expect("it is followed");
        assert_eq!(log.poll(&cluster.store), (Vec::new(), false));
        std::fs::write(own.join("a.log"), line("two").repeat(3)).unwrap();
        assert_eq!(log.poll(&cluster.store), (vec![Bytes::from("two\n")], false));
        let mut status = cluster.store.get("pods", "demo", "web").unwrap()["status"].clone();
        status["containerStatuses"][0]["state"] = json!({"terminated": {"exitCode": 0}});
        cluster.store.put_status("pods", "demo", "web", status, "kubelet", T0);
        assert_eq!(log.poll(&cluster.store), (Vec::new(), true));
    }
}
