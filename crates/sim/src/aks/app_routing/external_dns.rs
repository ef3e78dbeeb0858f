//! The objects `ExternalDNS` and `ClusterExternalDNS`: a Deployment of ExternalDNS for each, with its rights and its
//! configuration. Their status is never written.

use serde_json::{Value, json};

use super::{
    AccountError, CLUSTER_EXTERNAL_DNSES, DEPLOYMENTS, EXTERNAL_DNSES, MANAGED_BY, NAMESPACE, OPERATOR,
    client_id, labels, owner, system_nodes,
};
use crate::aks::object::{hash, is_ending, list, namespace, text, uid};
use crate::aks::reconcile_context::{EventSpec, ReconcileContext};

const IMAGE: &str = "mcr.microsoft.com/oss/v2/kubernetes/external-dns:v0.21.0";
const RBAC: &str = "rbac.authorization.k8s.io";
const REASON: &str = "FailedUpdateOrCreateExternalDNSResources";
/// The length of the part of the object's UID in the owner id.
const UID_PART: usize = 16;

/// Reconciles the objects of both kinds.
pub(super) fn reconcile_all(cx: &mut ReconcileContext<'_>) {
    for resource in [EXTERNAL_DNSES, CLUSTER_EXTERNAL_DNSES] {
        if cx.store.definition(resource).is_none() {
            continue;
        }
        for object in cx.all(resource) {
            if !is_ending(&object) {
                reconcile(cx, &object);
            }
        }
    }
}

fn reconcile(cx: &mut ReconcileContext<'_>, object: &Value) {
    let space = match namespace(object) {
        "" => object["spec"]["resourceNamespace"].as_str().unwrap_or(NAMESPACE).to_owned(),
        own => own.to_owned(),
    };
    let account = text(object, "/spec/identity/serviceAccount").to_owned();
    if text(object, "/spec/identity/type") != "managedIdentity" {
        let why = match client_id(cx, &space, &account) {
            Ok(_) => None,
            Err(AccountError::Missing) => {
                Some(format!("serviceAccount {account} does not exist in namespace {space}"))
            }
            Err(AccountError::NotAnnotated) => {
                Some(format!("serviceAccount {account} was specified but does not contain WI annotation"))
            }
        };
        if let Some(why) = why {
            let message = format!("failed identity verification: {why}");
            return cx.event(object, &EventSpec::warning(OPERATOR, REASON, message));
        }
    }
    let deployed = Deployed { object, space: &space, account: &account };
    if space != "kube-system" && cx.store.get("namespaces", "", &space).is_none() {
        cx.put("namespaces", crate::aks::bootstrap::namespace(&space), OPERATOR);
    }
    for (resource, wanted) in deployed.rights() {
        cx.ensure(resource, wanted, OPERATOR);
    }
    let config = deployed.config(&cx.cluster_info.location, &cx.cluster_info.tenant);
    let wanted =
        deployed.deployment(&cx.cluster_info.app_routing.clone().unwrap_or_default().owner_id, &config);
    cx.ensure("configmaps", config, OPERATOR);
    cx.ensure(DEPLOYMENTS, wanted, OPERATOR);
}

/// The objects of one ExternalDNS.
struct Deployed<'a> {
    object: &'a Value,
    space: &'a str,
    account: &'a str,
}

impl Deployed<'_> {
    fn own_name(&self) -> String {
        format!("{}-external-dns", text(self.object, "/spec/resourceName"))
    }

    fn is_namespaced(&self) -> bool {
        !namespace(self.object).is_empty()
    }

    fn zones(&self) -> Vec<&str> {
        list(self.object, "/spec/dnsZoneResourceIDs").iter().filter_map(Value::as_str).collect()
    }

    /// Returns a part of the zones' ids, which all of them share.
    fn zone_part(&self, index: usize) -> &str {
        self.zones().first().and_then(|id| id.split('/').nth(index)).unwrap_or_default()
    }

    fn metadata(&self) -> Value {
        let mut labels = labels();
        labels["app.kubernetes.io/name"] = json!(self.own_name());
        json!({
            "name": self.own_name(), "namespace": self.space, "labels": labels,
            "ownerReferences": [owner(self.object)],
        })
    }

    /// Returns the roles and their bindings.
    fn rights(&self) -> Vec<(&'static str, Value)> {
        let read = |groups: &str, resources: &[&str]| json!({"apiGroups": [groups], "resources": resources, "verbs": ["get", "watch", "list"]});
        let rules = json!([
            read("", &["endpoints", "pods", "services", "configmaps"]),
            read("", &["nodes"]),
            read("gateway.networking.k8s.io", &["gateways", "httproutes", "grpcroutes"]),
        ]);
        let subjects = json!([{"kind": "ServiceAccount", "name": self.account, "namespace": self.space}]);
        let api = format!("{RBAC}/v1");
        let bound = |kind: &str, metadata: &Value, role: &str| {
            json!({
                "apiVersion": api, "kind": format!("{kind}Binding"), "metadata": metadata,
                "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role}, "subjects": subjects,
            })
        };
        let role = |kind: &str, metadata: &Value, rules: &Value| json!({"apiVersion": api, "kind": kind, "metadata": metadata, "rules": rules});
        let metadata = self.metadata();
        if !self.is_namespaced() {
            return vec![
                ("clusterroles.rbac.authorization.k8s.io", role("ClusterRole", &metadata, &rules)),
                (
                    "clusterrolebindings.rbac.authorization.k8s.io",
                    bound("ClusterRole", &metadata, &self.own_name()),
                ),
            ];
        }
        // A namespaced object cannot own one of the cluster: these stay behind.
        let listing_name = format!("{}-list-ns", self.own_name());
        let listing = json!({"name": listing_name, "labels": labels()});
        let namespaces = json!([read("", &["namespaces"])]);
        vec![
            ("roles.rbac.authorization.k8s.io", role("Role", &metadata, &rules)),
            ("rolebindings.rbac.authorization.k8s.io", bound("Role", &metadata, &self.own_name())),
            ("clusterroles.rbac.authorization.k8s.io", role("ClusterRole", &listing, &namespaces)),
            ("clusterrolebindings.rbac.authorization.k8s.io", bound("ClusterRole", &listing, &listing_name)),
        ]
    }

    fn config(&self, location: &str, tenant: &str) -> Value {
        let tenant = self.object["spec"]["tenantId"].as_str().unwrap_or(tenant);
        let azure = json!({
            "cloud": "AzurePublicCloud",
            "location": location,
            "resourceGroup": self.zone_part(4),
            "subscriptionId": self.zone_part(2),
            "tenantId": tenant,
            "useWorkloadIdentityExtension": true,
        });
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": self.metadata(),
            "data": {"azure.json": azure.to_string()},
        })
    }

    fn arguments(&self, cluster: &str) -> Vec<String> {
        let provider = match self.zone_part(7).eq_ignore_ascii_case("privateDnsZones") {
            true => "azure-private-dns",
            false => "azure",
        };
        let owner = match self.is_namespaced() {
            true => format!("{cluster}-{}", uid(self.object).get(..UID_PART).unwrap_or_default()),
            false => cluster.to_owned(),
        };
        let mut all = vec![
            format!("--provider={provider}"),
            "--interval=3m0s".to_owned(),
            format!("--txt-owner-id={owner}"),
            "--txt-wildcard-replacement=approutingwildcard".to_owned(),
        ];
        for (filter, argument) in
            [("gatewayLabels", "gateway-label-filter"), ("routeAndIngressLabels", "label-filter")]
        {
            if let Some((key, value)) = text(self.object, &format!("/spec/filters/{filter}")).split_once('=')
            {
                all.push(format!("--{argument}={key}=={value}"));
            }
        }
        let has = |wanted: &str| {
            let types = list(self.object, "/spec/resourceTypes").iter().filter_map(Value::as_str);
            types.into_iter().any(|one| one.eq_ignore_ascii_case(wanted))
        };
        if has("gateway") {
            all.extend(["--source=gateway-grpcroute".to_owned(), "--source=gateway-httproute".to_owned()]);
        }
        if has("ingress") {
            all.push("--source=ingress".to_owned());
        }
        let names = self.zones().into_iter().filter_map(|id| id.rsplit('/').next());
        all.extend(names.map(|zone| format!("--domain-filter={zone}")));
        if self.is_namespaced() {
            all.extend([
                format!("--namespace={}", self.space),
                format!("--gateway-namespace={}", self.space),
            ]);
        }
        all
    }

    fn deployment(&self, cluster: &str, config: &Value) -> Value {
        let selected = json!({"app": self.own_name()});
        let mut pod_labels = labels();
        pod_labels["app"] = json!(self.own_name());
        pod_labels["azure.workload.identity/use"] = json!("true");
        pod_labels["checksum/configmap"] = json!(format!("{:016x}", hash(&config["data"].to_string())));
        let probe = json!({
            "httpGet": {"path": "/healthz", "port": 7979, "scheme": "HTTP"},
            "initialDelaySeconds": 10, "periodSeconds": 5, "failureThreshold": 3,
        });
        let amounts = json!({"cpu": "100m", "memory": "250Mi"});
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": self.metadata(),
            "spec": {
                "replicas": 1,
                "revisionHistoryLimit": 2,
                "selector": {"matchLabels": selected},
                "template": {
                    "metadata": {"labels": pod_labels},
                    "spec": {
                        "affinity": system_nodes(),
                        "priorityClassName": "system-cluster-critical",
                        "serviceAccountName": self.account,
                        "containers": [{
                            "name": "controller",
                            "image": IMAGE,
                            "args": self.arguments(cluster),
                            "livenessProbe": probe,
                            "readinessProbe": probe,
                            "resources": {"limits": amounts, "requests": amounts},
                            "securityContext": {
                                "privileged": false, "allowPrivilegeEscalation": false,
                                "capabilities": {"drop": ["ALL"]},
                                "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532,
                                "readOnlyRootFilesystem": true,
                            },
                            "volumeMounts": [
                                {"name": "azure-config", "mountPath": "/etc/kubernetes", "readOnly": true},
                            ],
                        }],
                        "volumes": [{"name": "azure-config", "configMap": {"name": self.own_name()}}],
                    },
                },
            },
        })
    }
}

/// Returns whether a Deployment runs ExternalDNS.
pub(super) fn is_external_dns(deployment: &Value) -> bool {
    deployment["metadata"]["labels"][MANAGED_BY] == OPERATOR
        && text(deployment, "/spec/template/spec/containers/0/image").contains("/external-dns:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_follow_from_the_object() {
        let object = json!({
            "metadata": {"name": "d", "namespace": "default", "uid": "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"},
            "spec": {
                "resourceName": "d",
                "dnsZoneResourceIDs":
                    ["/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network/dnsZones/example.com"],
                "resourceTypes": ["Gateway"],
                "filters": {"gatewayLabels": "app=web"},
                "identity": {"type": "workloadIdentity", "serviceAccount": "sa"},
            },
        });
        let deployed = Deployed { object: &object, space: "default", account: "sa" };
        assert_eq!(
            deployed.arguments("cluster"),
            [
                "--provider=azure",
                "--interval=3m0s",
                "--txt-owner-id=cluster-0a1b2c3d-4e5f-60",
                "--txt-wildcard-replacement=approutingwildcard",
                "--gateway-label-filter=app==web",
                "--source=gateway-grpcroute",
                "--source=gateway-httproute",
                "--domain-filter=example.com",
                "--namespace=default",
                "--gateway-namespace=default",
            ]
        );
        let config = deployed.config("eastus", "t");
        let azure: Value = serde_json::from_str(text(&config, "/data/azure.json")).unwrap();
        assert_eq!((&azure["resourceGroup"], &azure["subscriptionId"]), (&json!("rg"), &json!("s")));
    }
}
