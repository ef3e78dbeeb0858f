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
    ] {
        assert_eq!(fixture.kubectl(&format!("{line} -n x")).await.fine(), output, "{line}");
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
    let taken = fixture.kubectl("create ns x").await;
    assert_eq!(taken.refused(), "Error from server (AlreadyExists): namespaces \"x\" already exists\n");
    let nowhere = fixture.kubectl("create configmap c -n nowhere").await;
    assert_eq!(nowhere.refused(), "error: failed to create configmap: namespaces \"nowhere\" not found\n");
    let dry = fixture.kubectl("create configmap dry -n x --dry-run=server").await;
    assert_eq!(dry.fine(), "configmap/dry created (server dry run)\n");
    fixture.kubectl("get configmap dry -n x").await.refused();
}
