//! `create` and similar commands, whose bodies are protobuf.

use crate::bench::Bench;

#[tokio::test]
async fn everything_that_create_makes_is_made() {
    let Some(bench) = Bench::open().await else { return };
    bench.kubectl("create ns x").await.fine();
    for (line, said) in [
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
        assert_eq!(bench.kubectl(&format!("{line} -n x")).await.fine(), said, "{line}");
    }
    let shown = async |what: &str, path: &str| {
        bench.kubectl(&format!("get {what} -n x -o 'jsonpath={path}'")).await.fine().to_owned()
    };
    assert_eq!(shown("configmap c", "{.data.a}-{.data.empty}-").await, "b--");
    assert_eq!(shown("secret s", "{.type} {.data.p}").await, "Opaque cQ==");
    assert_eq!(
        shown("deploy d", "{.spec.replicas} {.spec.template.spec.containers[0].ports[0].containerPort} {.status.readyReplicas}").await,
        "2 80 2"
    );
    assert_eq!(shown("deploy z", "{.spec.replicas}").await, "0");
    assert_eq!(shown("svc s", "{.spec.ports[0].name} {.spec.ports[0].targetPort}").await, "80-8080 8080");
    assert_eq!(shown("svc e", "{.spec.ports[0].targetPort}").await, "http");
    assert_eq!(shown("pdb p", "{.spec.minAvailable}").await, "50%");
    assert_eq!(shown("role r", "{.rules[0].verbs}").await, r#"["get","list"]"#);
    assert_eq!(shown("rolebinding rb", "{.roleRef.name} {.subjects[0].name}").await, "r a");
    let taken = bench.kubectl("create ns x").await;
    assert_eq!(taken.refused(), "Error from server (AlreadyExists): namespaces \"x\" already exists\n");
    let nowhere = bench.kubectl("create configmap c -n nowhere").await;
    assert_eq!(nowhere.refused(), "error: failed to create configmap: namespaces \"nowhere\" not found\n");
    let dry = bench.kubectl("create configmap dry -n x --dry-run=server").await;
    assert_eq!(dry.fine(), "configmap/dry created (server dry run)\n");
    bench.kubectl("get configmap dry -n x").await.refused();
}
