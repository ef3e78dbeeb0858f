//! The standard Kubernetes controllers: workloads, their pods, and their endpoints.

mod daemon_set;
mod deployment;
mod endpoint;
mod image;
mod namespace;
mod pod;
mod replica_set;
mod scaling;

pub(super) use deployment::give_up_progress;
pub(super) use endpoint::has_ready_pod;
pub(super) use pod::{end as end_pod, is_over, mounted, start as start_pod, start_everything};

use super::turn::Turn;

/// Runs every controller whose objects changed.
#[rustfmt::skip]
pub(super) fn look(turn: &mut Turn<'_>) {
    turn.wake("namespace",   &["namespaces", "serviceaccounts", "configmaps"], |turn| namespace::look(turn));
    turn.wake("scaling",     scaling::WATCHED,                                 |turn| scaling::look(turn));
    turn.wake("deployment",  &["deployments.apps", "replicasets.apps"],        |turn| deployment::look(turn));
    turn.wake("replica-set", &["replicasets.apps", "pods"],                    |turn| replica_set::look(turn));
    turn.wake("daemon-set",  &["daemonsets.apps", "nodes", "pods"],            |turn| daemon_set::look(turn));
    pod::look(turn);
    turn.wake("endpoint",    &["services", "pods", "endpoints", endpoint::SLICES], |turn| endpoint::look(turn));
}

/// The field manager of the control plane's controllers.
const MANAGER: &str = "kube-controller-manager";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::aks::bench::Bench;
    use crate::aks::object::{list, text};

    const DEPLOYMENTS: &str = "deployments.apps";

    fn web(image: &str, replicas: u32) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "web", "image": image, "ports": [{"name": "http", "containerPort": 8080}]}]},
                },
            },
        })
    }

    fn reason(bench: &Bench, kind: &str) -> String {
        let deployment = bench.get(DEPLOYMENTS, "default", "web").expect("it is there");
        Bench::condition(deployment, "/status/conditions", kind).1
    }

    #[test]
    fn a_deployment_becomes_available_when_its_pods_are_ready() {
        let mut bench = Bench::grown();
        bench.request(DEPLOYMENTS, web("nginx:1.29", 2));
        let made = bench.now;
        bench.pass(7.9);
        assert_eq!(reason(&bench, "Available"), "MinimumReplicasUnavailable");
        assert_eq!(reason(&bench, "Progressing"), "ReplicaSetUpdated");
        let pod = bench.store.list("pods", Some("default"))[0];
        assert_eq!(text(pod, "/status/containerStatuses/0/state/waiting/reason"), "ContainerCreating");
        bench.pass(100.0);
        assert_eq!(reason(&bench, "Available"), "MinimumReplicasAvailable");
        assert_eq!(reason(&bench, "Progressing"), "NewReplicaSetAvailable");
        let deployment = bench.get(DEPLOYMENTS, "default", "web").expect("it is there");
        assert_eq!(deployment["status"]["observedGeneration"], deployment["metadata"]["generation"]);
        assert_eq!(text(deployment, "/metadata/annotations/deployment.kubernetes.io~1revision"), "1");
        let available =
            list(deployment, "/status/conditions").iter().find(|line| text(line, "/type") == "Available");
        assert_eq!(
            available.map(|line| text(line, "/lastTransitionTime")),
            Some(made.plus_ms(8_000).rfc3339().as_str())
        );
    }

    #[test]
    fn a_new_template_replaces_the_pods_and_a_scale_makes_more() {
        let mut bench = Bench::grown();
        bench.request(DEPLOYMENTS, web("nginx:1.28", 2));
        bench.pass(30.0);
        bench.request(DEPLOYMENTS, web("nginx:1.29", 3));
        bench.pass(1.0);
        assert!(bench.is_ready("web-"), "the old pods serve until the new ones do");
        bench.pass(60.0);
        let pods = bench.store.list("pods", Some("default"));
        assert_eq!(pods.len(), 3);
        assert!(pods.iter().all(|pod| text(pod, "/spec/containers/0/image") == "nginx:1.29"));
        assert_eq!(reason(&bench, "Progressing"), "NewReplicaSetAvailable");
        let deployment = bench.get(DEPLOYMENTS, "default", "web").expect("it is there");
        assert_eq!(text(deployment, "/metadata/annotations/deployment.kubernetes.io~1revision"), "2");
        bench.request(DEPLOYMENTS, web("nginx:1.29", 1));
        bench.pass(5.0);
        assert_eq!(bench.store.list("pods", Some("default")).len(), 1);
    }

    #[test]
    fn a_malformed_image_never_starts_and_the_rollout_gives_up() {
        let mut bench = Bench::grown();
        bench.request(DEPLOYMENTS, web("__IMAGE__", 1));
        bench.pass(10.0);
        let pod = bench.store.list("pods", Some("default"))[0];
        assert_eq!(text(pod, "/status/containerStatuses/0/state/waiting/reason"), "InvalidImageName");
        bench.pass(600.0);
        assert_eq!(reason(&bench, "Progressing"), "ProgressDeadlineExceeded");
    }

    #[test]
    fn a_service_finds_its_ready_pods_by_the_name_of_a_port() {
        let mut bench = Bench::grown();
        bench.request(DEPLOYMENTS, web("nginx:1.29", 2));
        bench.request(
            "services",
            json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}}),
        );
        bench.pass(30.0);
        let endpoints = bench.get("endpoints", "default", "web").expect("they are there");
        assert_eq!(list(endpoints, "/subsets/0/addresses").len(), 2);
        assert_eq!(endpoints["subsets"][0]["ports"][0]["port"], 8080);
        bench.delete(DEPLOYMENTS, "default", "web");
        bench.pass(5.0);
        let endpoints = bench.get("endpoints", "default", "web").expect("they are there");
        assert!(list(endpoints, "/subsets").is_empty());
    }

    #[test]
    fn a_pod_waits_for_the_secret_it_mounts() {
        let mut bench = Bench::grown();
        let mut waiting = web("nginx:1.29", 1);
        waiting["spec"]["template"]["spec"]["volumes"] =
            json!([{"name": "v", "secret": {"secretName": "late"}}]);
        bench.request(DEPLOYMENTS, waiting);
        bench.pass(20.0);
        assert!(!bench.is_ready("web-"));
        let event = bench.events("FailedMount")[0];
        assert_eq!(
            text(event, "/message"),
            "MountVolume.SetUp failed for volume \"v\" : secret \"late\" not found"
        );
        bench.request(
            "secrets",
            json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "late", "namespace": "default"}}),
        );
        bench.pass(40.0);
        assert!(bench.is_ready("web-"));
    }
}
