//! The kinds of a user's own folder beyond those of the templates: applied, awaited, compared and deleted.

use crate::{fixture::Fixture, settings};
use landfall_engine::{Action, How, Kind, Plan};
use serde_json::{Value, json};

const STATEFUL_SET: &str = "/apis/apps/v1/namespaces/default/statefulsets/db";
const CLAIM: &str = "/api/v1/namespaces/default/persistentvolumeclaims/data-db-0";
const JOB: &str = "/apis/batch/v1/namespaces/default/jobs/once";

/// One object of each kind that AKS serves and that people have in folders.
const FOLDER: &str = r#"
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: db, image: "postgres:16", volumeMounts: [{name: data, mountPath: /data}]}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1024Mi}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: agent, image: "fluent/fluent-bit:4"}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  template: {spec: {restartPolicy: Never, containers: [{name: migrate, image: "busybox:1"}]}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 3 * * *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: OnFailure, containers: [{name: c, image: "busybox:1"}]}}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: np}
spec: {podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {rules: [{host: web.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: db, port: {number: 80}}}}]}}]}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fast}
provisioner: disk.csi.azure.com
parameters: {skuName: Premium_LRS}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: files}
spec: {storageClassName: azurefile-csi, accessModes: [ReadWriteMany], resources: {requests: {storage: 5Gi}}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: quota}
spec: {hard: {pods: 100, requests.cpu: 40000m}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: limits}
spec: {limits: [{type: Container, default: {cpu: 0.5}, defaultRequest: {cpu: 100m}}]}
---
apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
metadata: {name: db}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: StatefulSet, name: db}
  minReplicas: 2
  maxReplicas: 4
  targetCPUUtilizationPercentage: 60
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: db}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: db}}}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: shop-first}
value: 1000
globalDefault: false
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: User, name: ada}]
"#;

async fn up_with(text: &str) -> Fixture {
    let mut fixture = Fixture::instant().await;
    fixture.settings.manifests = settings::manifests(text);
    fixture.up_ready().await;
    fixture
}

/// Requires that `up` and `plan` change nothing.
async fn assert_quiet(fixture: &Fixture) {
    let mark = fixture.mark();
    let result = fixture.up_ready().await;
    assert_eq!(result.counts(), (19, 0, 0), "{:?} {:?}", result.notes("apps"), result.notes("gateways"));
    for step in &fixture.plan().await.steps {
        assert_eq!(step.action, Action::Ok, "{step:#?}");
    }
    assert_eq!(fixture.writes(mark), [""; 0]);
}

fn refusal(plan: &Plan) -> String {
    let refused = plan.steps.iter().find(|step| step.action == Action::Refuse);
    let error = refused.and_then(|step| step.error.as_ref()).unwrap_or_else(|| panic!("{plan:#?}"));
    format!("{} {}", error.causes.join("; "), error.hint.clone().unwrap_or_default())
}

#[tokio::test]
async fn every_kind_is_ready_after_up_and_gone_after_down() {
    let fixture = up_with(FOLDER).await;
    let kubectl = fixture.kubectl().await;
    assert_eq!(kubectl.get(STATEFUL_SET).await["status"]["readyReplicas"], 2);
    assert_eq!(kubectl.get(CLAIM).await["status"]["phase"], "Bound");
    assert_eq!(kubectl.get(JOB).await["status"]["succeeded"], 1);
    let scaler = kubectl.get("/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers/db").await;
    assert_eq!(scaler["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 60);
    assert_quiet(&fixture).await;
    let down = fixture.down_ready().await;
    let kept = format!("its claims do not keep the cluster: {:?}", down.report);
    assert_eq!(fixture.get(&fixture.cluster_id()).await, Value::Null, "{kept}");
}

#[tokio::test]
async fn immutable_changes_are_refused_before_any_write() {
    let mut fixture = up_with(FOLDER).await;
    for (from, to, field, name) in [
        ("serviceName: db", "serviceName: other", "spec.serviceName", "statefulset/db"),
        ("storage: 1024Mi", "storage: 2Gi", "spec.volumeClaimTemplates", "statefulset/db"),
        (
            "{matchLabels: {app: agent}}",
            "{matchLabels: {app: agent, new: a}}",
            "spec.selector",
            "daemonset/agent",
        ),
        (
            "name: migrate, image: \"busybox:1\"",
            "name: migrate, image: \"busybox:2\"",
            "spec.template",
            "job/once",
        ),
        ("skuName: Premium_LRS", "skuName: PremiumV2_LRS", "parameters.skuName", "storageclass/fast"),
        (
            "accessModes: [ReadWriteMany]",
            "accessModes: [ReadWriteOnce]",
            "spec.accessModes",
            "persistentvolumeclaim/files",
        ),
        ("value: 1000", "value: 2000", "value", "priorityclass/shop-first"),
        ("kind: Role, name: reader}", "kind: Role, name: writer}", "roleRef", "rolebinding/reader"),
    ] {
        assert!(FOLDER.contains(from), "{from}");
        let mut changed = FOLDER.replace(from, to);
        if from.contains("agent") {
            changed = changed.replace("{labels: {app: agent}}", "{labels: {app: agent, new: a}}");
        }
        fixture.settings.manifests = settings::manifests(&changed);
        let text = refusal(&fixture.plan().await);
        for word in [field, &format!("--replace {name}")] {
            assert!(text.contains(word), "{word}: {text}");
        }
        let mark = fixture.mark();
        let result = fixture.up().await;
        let error = result.error("preflight");
        assert_eq!((error.kind, error.code.as_deref()), (Kind::Refused, Some("ImmutableField")));
        assert_eq!(fixture.writes(mark), [""; 0], "{name}");
    }
}

#[tokio::test]
async fn mutable_fields_of_a_stateful_set_and_a_larger_claim_are_applied() {
    let mut fixture = up_with(FOLDER).await;
    let changed = FOLDER.replace("postgres:16", "postgres:17").replace("storage: 5Gi", "storage: 6Gi");
    fixture.settings.manifests = settings::manifests(&changed);
    assert_eq!(fixture.up_ready().await.how("apps"), Some(How::Changed));
    let kubectl = fixture.kubectl().await;
    let set = kubectl.get(STATEFUL_SET).await;
    assert_eq!(set["status"]["updatedReplicas"], 2, "up waits for the rolling update");
    let claim = kubectl.get("/api/v1/namespaces/default/persistentvolumeclaims/files").await;
    assert_eq!(claim["status"]["capacity"]["storage"], "6Gi");
    assert_quiet(&fixture).await;
}

#[tokio::test]
async fn a_job_that_its_time_to_live_deleted_is_not_missing() {
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\nspec: {ttlSecondsAfterFinished: 0, template: \
               {spec: {restartPolicy: Never, containers: [{name: c, image: busybox}]}}}\n";
    let mut fixture = up_with(job).await;
    assert_eq!(fixture.kubectl().await.get(JOB).await, Value::Null, "it ended and is gone");
    assert_quiet(&fixture).await;
    assert_quiet(&fixture).await;
    fixture.settings.manifests = settings::manifests(&job.replace("image: busybox", "image: busybox:2"));
    assert_ne!(fixture.up_ready().await.how("apps"), Some(How::Found), "a changed Job runs again");
}

#[tokio::test]
async fn a_finished_job_does_not_run_again_because_of_another_object() {
    let set = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\nspec: {ttlSecondsAfterFinished: 0, template: \
               {spec: {restartPolicy: Never, containers: [{name: c, image: busybox}]}}}\n---\n\
               apiVersion: v1\nkind: ConfigMap\nmetadata: {name: words}\ndata: {a: b}\n";
    let fixture = up_with(set).await;
    let kubectl = fixture.kubectl().await;
    let words = "/api/v1/namespaces/default/configmaps/words";
    let edited =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"}, "data": {"a": "c"}});
    kubectl.apply(words, &edited).await;
    let mark = fixture.mark();
    assert_eq!(fixture.up_ready().await.how("apps"), Some(How::Changed));
    assert_eq!(kubectl.get(words).await["data"]["a"], "b");
    assert!(!fixture.writes(mark).iter().any(|write| write.contains("/jobs/")), "{:?}", fixture.writes(mark));
    assert_quiet(&fixture).await;
    // The same with another manifest of the set.
    let mut fixture = fixture;
    fixture.settings.manifests = settings::manifests(&set.replace("{a: b}", "{a: d}"));
    let mark = fixture.mark();
    assert_eq!(fixture.up_ready().await.how("apps"), Some(How::Changed));
    assert!(!fixture.writes(mark).iter().any(|write| write.contains("/jobs/")), "{:?}", fixture.writes(mark));
    assert_quiet(&fixture).await;
}

/// Returns a Gateway and its route in a version of the Gateway API.
fn gateway(version: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/{version}\nkind: Gateway\nmetadata: {{name: shop}}\n\
         spec:\n  gatewayClassName: approuting-istio\n  listeners: [{{name: http, port: 80, protocol: HTTP}}]\n---\n\
         apiVersion: gateway.networking.k8s.io/{version}\nkind: HTTPRoute\nmetadata: {{name: shop}}\n\
         spec:\n  parentRefs: [{{name: shop}}]\n  hostnames: [shop.example.com]\n  \
         rules: [{{backendRefs: [{{name: shop, port: 80}}]}}]\n---\n\
         {{apiVersion: v1, kind: Service, metadata: {{name: shop}}, spec: {{selector: {{app: shop}}, ports: [{{port: 80}}]}}}}\n"
    )
}

#[tokio::test]
async fn a_gateway_of_v1beta1_is_the_one_of_v1() {
    const PATH: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways/shop";
    let mut fixture = up_with(&gateway("v1beta1")).await;
    let before = fixture.kubectl().await.get(PATH).await;
    assert_eq!(before["apiVersion"], "gateway.networking.k8s.io/v1");
    assert_quiet(&fixture).await;
    fixture.settings.manifests = settings::manifests(&gateway("v1"));
    fixture.up_ready().await;
    let after = fixture.kubectl().await.get(PATH).await;
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"], "it is neither pruned nor recreated");
    assert_quiet(&fixture).await;
    fixture.down_ready().await;
    assert_eq!(fixture.get(&fixture.cluster_id()).await, Value::Null);
}

#[tokio::test]
async fn a_custom_kind_is_applied_after_its_definition() {
    // The plural is that of a built-in kind in another group.
    let folder = "apiVersion: shop.example.com/v1\nkind: Widget\nmetadata: {name: one}\nspec: {size: 3}\n---\n\
                  apiVersion: shop.example.com/v1beta1\nkind: Widget\nmetadata: {name: two}\nspec: {size: 4}\n---\n\
                  {apiVersion: v1, kind: ConfigMap, metadata: {name: one}, data: {a: b}}\n---\n\
                  apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
                  metadata: {name: configmaps.shop.example.com}\nspec:\n  group: shop.example.com\n  scope: Namespaced\n  \
                  names: {plural: configmaps, singular: widget, kind: Widget, listKind: WidgetList}\n  versions:\n  \
                  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}\n  \
                  - {name: v1beta1, served: true, storage: false, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}\n";
    let mut fixture = Fixture::instant().await;
    fixture.settings.manifests = settings::manifests(folder);
    let plan = fixture.plan().await;
    let apps = plan.steps.iter().find(|step| step.step == "apps").unwrap();
    assert_eq!(apps.action, Action::Create, "{apps:#?}");
    fixture.up_ready().await;
    let kubectl = fixture.kubectl().await;
    let at = |name: &str| format!("/apis/shop.example.com/v1/namespaces/default/configmaps/{name}");
    assert_eq!(kubectl.get(&at("one")).await["spec"], json!({ "size": 3 }));
    assert_eq!(kubectl.get(&at("two")).await["spec"], json!({ "size": 4 }));
    assert_quiet(&fixture).await;
    fixture.down_ready().await;
    assert_eq!(fixture.get(&fixture.cluster_id()).await, Value::Null);
}

#[tokio::test]
async fn a_namespace_comes_before_its_contents() {
    for _ in 0..3 {
        let fixture = up_with(
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: shop}, data: {a: b}}\n---\n\
             {apiVersion: v1, kind: Secret, metadata: {name: s, namespace: shop}, data: {k: dg==}}\n---\n\
             {apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n",
        )
        .await;
        assert_quiet(&fixture).await;
    }
}
