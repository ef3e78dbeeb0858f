//! `create` and similar commands, whose bodies are protobuf.

use crate::fixture::Fixture;

#[tokio::test]
async fn every_create_command_creates_its_object() {
    let Some(fixture) = Fixture::open().await else { return };
    fixture.kubectl("create ns x").await.fine();
    for (line, output) in [
        ("create configmap c --from-literal=a=b --from-literal=empty=", "configmap/c created\n"),
        ("create secret generic s --from-literal=p=q", "secret/s created\n"),
        (
            "create secret docker-registry d --docker-server=r --docker-username=u --docker-password=p",
            "secret/d created\n",
        ),
        ("create deployment d --image=nginx:1.29 --replicas=2 --port=80", "deployment.apps/d created\n"),
        ("create deployment z --image=nginx:1.29 --replicas=0", "deployment.apps/z created\n"),
        ("create sa a", "serviceaccount/a created\n"),
        ("create service clusterip s --tcp=80:8080", "service/s created\n"),
        ("expose deployment d --port=80 --target-port=http --name=e", "service/e exposed\n"),
        ("create pdb p --selector=app=d --min-available=50%", "poddisruptionbudget.policy/p created\n"),
        (
            "create role r --verb=get --verb=list --resource=pods",
            "role.rbac.authorization.k8s.io/r created\n",
        ),
        (
            "create rolebinding rb --role=r --serviceaccount=x:a",
            "rolebinding.rbac.authorization.k8s.io/rb created\n",
        ),
        ("run p --image=nginx:1.29", "pod/p created\n"),
        ("create job j --image=busybox:1.37 -- sh -c 'exit 0'", "job.batch/j created\n"),
        (
            "create cronjob cj --image=busybox:1.37 '--schedule=0 1 * * *' -- true",
            "cronjob.batch/cj created\n",
        ),
        ("create quota q --hard=pods=3,cpu=500m", "resourcequota/q created\n"),
        (
            "create ingress i --class=web '--rule=shop.example.com/a*=s:80,tls=t' --default-backend=s:http",
            "ingress.networking.k8s.io/i created\n",
        ),
        (
            "create priorityclass high --value=7 --description=x",
            "priorityclass.scheduling.k8s.io/high created\n",
        ),
        (
            "create clusterrole cr --verb=get --resource=pods",
            "clusterrole.rbac.authorization.k8s.io/cr created\n",
        ),
        (
            "create clusterrolebinding crb --clusterrole=cr --user=u",
            "clusterrolebinding.rbac.authorization.k8s.io/crb created\n",
        ),
    ] {
        assert_eq!(fixture.kubectl(&format!("-n x {line}")).await.fine(), output, "{line}");
    }
    let columns = async |what: &str, path: &str| {
        fixture.kubectl(&format!("get {what} -n x -o 'jsonpath={path}'")).await.fine().to_owned()
    };
    assert_eq!(columns("configmap c", "{.data.a}-{.data.empty}-").await, "b--");
    assert_eq!(columns("secret s", "{.type} {.data.p}").await, "Opaque cQ==");
    assert_eq!(
        columns("deploy d", "{.spec.replicas} {.spec.template.spec.containers[0].ports[0].containerPort} {.status.readyReplicas}").await,
        "2 80 2"
    );
    assert_eq!(columns("deploy z", "{.spec.replicas}").await, "0");
    assert_eq!(columns("svc s", "{.spec.ports[0].name} {.spec.ports[0].targetPort}").await, "80-8080 8080");
    assert_eq!(columns("svc e", "{.spec.ports[0].targetPort}").await, "http");
    assert_eq!(columns("pdb p", "{.spec.minAvailable}").await, "50%");
    assert_eq!(columns("role r", "{.rules[0].verbs}").await, r#"["get","list"]"#);
    assert_eq!(columns("rolebinding rb", "{.roleRef.name} {.subjects[0].name}").await, "r a");
    assert_eq!(
        columns("job j", "{.spec.template.spec.containers[0].command[2]} {.spec.backoffLimit}").await,
        "exit 0 6"
    );
    assert_eq!(columns("cronjob cj", "{.spec.schedule} {.spec.concurrencyPolicy}").await, "0 1 * * * Allow");
    assert_eq!(columns("quota q", "{.spec.hard.pods} {.spec.hard.cpu}").await, "3 500m");
    assert_eq!(
        columns(
            "ingress i",
            "{.spec.rules[0].host} {.spec.rules[0].http.paths[0].backend.service.port.number}"
        )
        .await,
        "shop.example.com 80"
    );
    assert_eq!(
        columns("ingress i", "{.spec.defaultBackend.service.port.name} {.spec.tls[0].secretName}").await,
        "http t"
    );
    assert_eq!(columns("priorityclass high", "{.value} {.globalDefault}").await, "7 ");
    let taken = fixture.kubectl("create ns x").await;
    assert_eq!(taken.refused(), "Error from server (AlreadyExists): namespaces \"x\" already exists\n");
    let nowhere = fixture.kubectl("create configmap c -n nowhere").await;
    assert_eq!(nowhere.refused(), "error: failed to create configmap: namespaces \"nowhere\" not found\n");
    let dry = fixture.kubectl("create configmap dry -n x --dry-run=server").await;
    assert_eq!(dry.fine(), "configmap/dry created (server dry run)\n");
    fixture.kubectl("get configmap dry -n x").await.refused();
}

/// A pod template with most of the fields that people set.
const FULL: &str = r#"
apiVersion: batch/v1
kind: CronJob
metadata: {name: full, namespace: x}
spec:
  schedule: 0 1 * * *
  jobTemplate:
    metadata: {labels: {a: b}}
    spec:
      backoffLimit: 0
      ttlSecondsAfterFinished: 60
      template:
        metadata: {labels: {app: full}}
        spec:
          restartPolicy: Never
          serviceAccountName: default
          nodeSelector: {kubernetes.io/os: linux}
          securityContext: {runAsNonRoot: true, runAsUser: 1000, fsGroup: 0, seccompProfile: {type: RuntimeDefault}}
          tolerations: [{key: k, operator: Equal, value: v, effect: NoExecute, tolerationSeconds: 0}]
          volumes:
            - {name: cache, emptyDir: {sizeLimit: 1Gi}}
            - {name: plain, emptyDir: {}}
            - {name: config, configMap: {name: c, items: [{key: a, path: b}], optional: true}}
            - {name: secret, secret: {secretName: s, defaultMode: 256}}
            - {name: data, persistentVolumeClaim: {claimName: d}}
            - {name: vault, csi: {driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {secretProviderClass: tls}}}
          containers:
            - name: main
              image: busybox:1.37
              command: [sh]
              args: [-c, "true"]
              env:
                - {name: plain, value: x}
                - {name: field, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
                - {name: secret, valueFrom: {secretKeyRef: {name: s, key: p, optional: false}}}
              envFrom: [{prefix: P_, configMapRef: {name: c}}]
              resources: {requests: {cpu: 100m}, limits: {memory: 64Mi}}
              securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, readOnlyRootFilesystem: true}
              livenessProbe: {httpGet: {path: /, port: http, httpHeaders: [{name: a, value: b}]}, periodSeconds: 5}
              readinessProbe: {exec: {command: [ls]}}
              volumeMounts: [{name: cache, mountPath: /cache, readOnly: true, subPath: x}]
"#;

#[tokio::test]
async fn a_job_from_a_cron_job_has_its_whole_template() {
    let Some(fixture) = Fixture::open().await else { return };
    fixture.kubectl("create ns x").await.fine();
    fixture.write("full.yaml", FULL);
    fixture.kubectl("apply -f full.yaml").await.fine();
    assert_eq!(
        fixture.kubectl("create job one -n x --from=cronjob/full").await.fine(),
        "job.batch/one created\n"
    );
    let spec = async |what: &str, path: &str| -> serde_json::Value {
        let text = fixture.kubectl(&format!("get {what} -n x -o 'jsonpath={path}'")).await.fine().to_owned();
        serde_json::from_str(&text).unwrap()
    };
    let wanted = spec("cronjob full", "{.spec.jobTemplate.spec.template.spec}").await;
    assert_eq!(spec("job one", "{.spec.template.spec}").await, wanted);
    assert_eq!(spec("job one", "{.spec.backoffLimit}").await, 0);
}
