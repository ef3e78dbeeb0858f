//! The standard Kubernetes controllers: workloads, their pods, and their endpoints.

mod daemon_set;
mod deployment;
mod endpoint;
pub(super) mod identity_webhook;
mod image_reference;
mod job;
mod kubelet;
mod namespace;
mod pod;
mod pod_status;
mod quota;
mod replica_set;
mod scaling;
mod stateful_set;
mod volume;

pub(super) use deployment::fail_rollout;
pub(super) use endpoint::has_ready_pod;
pub(super) use job::{Failures as JobFailures, expire as expire_job, resume as resume_job};
pub(super) use kubelet::{
    adopt_waiting, complete as complete_pod, container_ended, container_refused, container_started, end as end_pod,
    is_external, report_lost, report_shutdown, restart as restart_container, running, startable,
};
pub(crate) use kubelet::ContainerEnd;
pub(super) use pod::{is_over, mounted, start as start_pod, start_all};

use super::reconcile_context::ReconcileContext;

/// Runs every controller whose objects changed.
#[rustfmt::skip]
pub(super) fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    cx.run_if_changed("namespace",   &["namespaces", "serviceaccounts", "configmaps"], |cx| namespace::reconcile_all(cx));
    cx.run_if_changed("scaling",     scaling::WATCHED,                                 |cx| scaling::reconcile_all(cx));
    cx.run_if_changed("deployment",  &["deployments.apps", "replicasets.apps"],        |cx| deployment::reconcile_all(cx));
    cx.run_if_changed("replica-set", &["replicasets.apps", "pods"],                    |cx| replica_set::reconcile_all(cx));
    cx.run_if_changed("daemon-set",  &["daemonsets.apps", "nodes", "pods"],            |cx| daemon_set::reconcile_all(cx));
    cx.run_if_changed("stateful-set", &["statefulsets.apps", "pods"],                  |cx| stateful_set::reconcile_all(cx));
    cx.run_if_changed("job",         &["jobs.batch", "pods"],                          |cx| job::reconcile_all(cx));
    cx.run_if_changed("volume",      volume::WATCHED,                                  |cx| volume::reconcile_all(cx));
    pod::reconcile_all(cx);
    cx.run_if_changed("quota",       quota::WATCHED,                                   |cx| quota::reconcile_all(cx));
    cx.run_if_changed("endpoint",    &["services", "pods", "endpoints", endpoint::SLICES], |cx| endpoint::reconcile_all(cx));
}

/// The field manager of the control plane's controllers.
const MANAGER: &str = "kube-controller-manager";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::aks::fixture::ClusterFixture;
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

    fn reason(fixture: &ClusterFixture, kind: &str) -> String {
        let deployment = fixture.get(DEPLOYMENTS, "default", "web").expect("it is there");
        ClusterFixture::condition(deployment, "/status/conditions", kind).1
    }

    #[test]
    fn a_deployment_becomes_available_when_its_pods_are_ready() {
        let mut fixture = ClusterFixture::running();
        fixture.request(DEPLOYMENTS, web("nginx:1.29", 2));
        let created = fixture.now;
        fixture.advance(7.9);
        assert_eq!(reason(&fixture, "Available"), "MinimumReplicasUnavailable");
        assert_eq!(reason(&fixture, "Progressing"), "ReplicaSetUpdated");
        let pod = fixture.store.list("pods", Some("default"))[0];
        assert_eq!(text(pod, "/status/containerStatuses/0/state/waiting/reason"), "ContainerCreating");
        fixture.advance(100.0);
        assert_eq!(reason(&fixture, "Available"), "MinimumReplicasAvailable");
        assert_eq!(reason(&fixture, "Progressing"), "NewReplicaSetAvailable");
        let deployment = fixture.get(DEPLOYMENTS, "default", "web").expect("it is there");
        assert_eq!(deployment["status"]["observedGeneration"], deployment["metadata"]["generation"]);
        assert_eq!(text(deployment, "/metadata/annotations/deployment.kubernetes.io~1revision"), "1");
        let available =
            list(deployment, "/status/conditions").iter().find(|line| text(line, "/type") == "Available");
        assert_eq!(
            available.map(|line| text(line, "/lastTransitionTime")),
            Some(created.plus_ms(8_000).rfc3339().as_str())
        );
    }

    #[test]
    fn a_new_template_replaces_the_pods_and_scaling_adds_more() {
        let mut fixture = ClusterFixture::running();
        fixture.request(DEPLOYMENTS, web("nginx:1.28", 2));
        fixture.advance(30.0);
        fixture.request(DEPLOYMENTS, web("nginx:1.29", 3));
        fixture.advance(1.0);
        assert!(fixture.is_ready("web-"), "the old pods serve until the new ones do");
        fixture.advance(60.0);
        let pods = fixture.store.list("pods", Some("default"));
        assert_eq!(pods.len(), 3);
        assert!(pods.iter().all(|pod| text(pod, "/spec/containers/0/image") == "nginx:1.29"));
        assert_eq!(reason(&fixture, "Progressing"), "NewReplicaSetAvailable");
        let deployment = fixture.get(DEPLOYMENTS, "default", "web").expect("it is there");
        assert_eq!(text(deployment, "/metadata/annotations/deployment.kubernetes.io~1revision"), "2");
        fixture.request(DEPLOYMENTS, web("nginx:1.29", 1));
        fixture.advance(5.0);
        assert_eq!(fixture.store.list("pods", Some("default")).len(), 1);
    }

    #[test]
    fn a_malformed_image_never_starts_and_the_rollout_times_out() {
        let mut fixture = ClusterFixture::running();
        fixture.request(DEPLOYMENTS, web("__IMAGE__", 1));
        fixture.advance(10.0);
        let pod = fixture.store.list("pods", Some("default"))[0];
        assert_eq!(text(pod, "/status/containerStatuses/0/state/waiting/reason"), "InvalidImageName");
        fixture.advance(600.0);
        assert_eq!(reason(&fixture, "Progressing"), "ProgressDeadlineExceeded");
    }

    #[test]
    fn a_service_finds_its_ready_pods_by_the_name_of_a_port() {
        let mut fixture = ClusterFixture::running();
        fixture.request(DEPLOYMENTS, web("nginx:1.29", 2));
        fixture.request(
            "services",
            json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}}),
        );
        fixture.advance(30.0);
        let endpoints = fixture.get("endpoints", "default", "web").expect("they are there");
        assert_eq!(list(endpoints, "/subsets/0/addresses").len(), 2);
        assert_eq!(endpoints["subsets"][0]["ports"][0]["port"], 8080);
        fixture.delete(DEPLOYMENTS, "default", "web");
        fixture.advance(5.0);
        let endpoints = fixture.get("endpoints", "default", "web").expect("they are there");
        assert!(list(endpoints, "/subsets").is_empty());
    }

    #[test]
    fn a_pod_waits_for_the_secret_it_mounts() {
        let mut fixture = ClusterFixture::running();
        let mut waiting = web("nginx:1.29", 1);
        waiting["spec"]["template"]["spec"]["volumes"] =
            json!([{"name": "v", "secret": {"secretName": "late"}}]);
        fixture.request(DEPLOYMENTS, waiting);
        fixture.advance(20.0);
        assert!(!fixture.is_ready("web-"));
        let event = fixture.events("FailedMount")[0];
        assert_eq!(
            text(event, "/message"),
            "MountVolume.SetUp failed for volume \"v\" : secret \"late\" not found"
        );
        fixture.request(
            "secrets",
            json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "late", "namespace": "default"}}),
        );
        fixture.advance(40.0);
        assert!(fixture.is_ready("web-"));
    }
}
