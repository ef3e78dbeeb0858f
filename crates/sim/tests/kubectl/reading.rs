//! `get`: the tables of every important kind, and selections from them.

use crate::fixture::Fixture;
use crate::manifest::WEB;

#[tokio::test]
async fn every_kind_is_shown_in_its_own_columns() {
    let Some(fixture) = Fixture::open().await else { return };
    fixture.kubectl_with("apply -f -", WEB).await.fine();
    assert_eq!(
        fixture.kubectl("get gatewayclass").await.rows(),
        [
            "NAME | CONTROLLER | ACCEPTED | AGE",
            "approuting-istio | istio.aks.azure.com/gateway-controller | True | *",
            "istio-remote | istio.io/unmanaged-gateway | True | *",
        ]
    );
    assert_eq!(
        fixture.kubectl("get gateway -n demo").await.rows(),
        ["NAME | CLASS | ADDRESS | PROGRAMMED | AGE", "web | approuting-istio | 127.0.0.11 | True | *"]
    );
    assert_eq!(
        fixture.kubectl("get httproute -n demo").await.rows(),
        ["NAME | HOSTNAMES | AGE", r#"web | ["web.example.test"] | *"#]
    );
    // The version of Istio follows from that of the cluster, the default of the day.
    let without_version = |row: String| match row.split_once("proxyv2:") {
        Some((before, rest)) => {
            format!("{before}proxyv2:<version>{}", &rest[rest.find(' ').unwrap_or(rest.len())..])
        }
        None => row,
    };
    let deployments = fixture.kubectl("get deploy -n demo -o wide").await.rows();
    assert_eq!(
        deployments.into_iter().map(without_version).collect::<Vec<_>>(),
        [
            "NAME | READY | UP-TO-DATE | AVAILABLE | AGE | CONTAINERS | IMAGES | SELECTOR",
            "web | 2/2 | 2 | 2 | * | web | mcr.microsoft.com/azuredocs/aks-helloworld:v1 | app=web",
            "web-approuting-istio | 2/2 | 2 | 2 | * | istio-proxy | mcr.microsoft.com/oss/v2/istio/proxyv2:<version> | gateway.networking.k8s.io/gateway-name=web",
        ]
    );
    assert_eq!(
        fixture.kubectl("get hpa,pdb -n demo").await.rows(),
        [
            "NAME | REFERENCE | TARGETS | MINPODS | MAXPODS | REPLICAS | AGE",
            "horizontalpodautoscaler.autoscaling/web-approuting-istio | Deployment/web-approuting-istio | cpu: 3%/80% | 2 | 5 | 2 | *",
            "NAME | MIN AVAILABLE | MAX UNAVAILABLE | ALLOWED DISRUPTIONS | AGE",
            "poddisruptionbudget.policy/web-approuting-istio | 1 | N/A | 1 | *",
        ]
    );
    let nodes = fixture.kubectl("get nodes -o wide").await.rows();
    assert!(
        nodes[0].starts_with("NAME | STATUS | ROLES | AGE | VERSION | INTERNAL-IP | EXTERNAL-IP | OS-IMAGE")
    );
    assert!(nodes[1].contains(" | Ready | <none> | * | v1."), "{nodes:?}");
    let services = fixture.kubectl("get svc -n demo").await.rows();
    assert_eq!(services[0], "NAME | TYPE | CLUSTER-IP | EXTERNAL-IP | PORT(S) | AGE");
    assert!(
        services[1].starts_with("web | ClusterIP | 10.") && services[1].ends_with(" | <none> | 80/TCP | *")
    );
    assert!(services[2].contains(" | 127.0.0.11 | 15021:3") && services[2].contains(",80:3"), "{services:?}");
    let pods = fixture.kubectl("get pods -n demo -l app=web -o wide").await.rows();
    assert_eq!(
        pods[0],
        "NAME | READY | STATUS | RESTARTS | AGE | IP | NODE | NOMINATED NODE | READINESS GATES"
    );
    assert!(pods[1].contains(" | 1/1 | Running | 0 | * | 10.244."), "{pods:?}");
    let config = fixture.kubectl("get cm,sa,endpoints,endpointslices,crd -A").await;
    for heading in [" DATA ", " SECRETS ", " ENDPOINTS ", " ADDRESSTYPE ", " CREATED AT"] {
        assert!(config.fine().contains(heading), "{heading}");
    }
    let events = fixture.kubectl("get events -n demo").await.rows();
    assert_eq!(events[0], "LAST SEEN | TYPE | REASON | OBJECT | MESSAGE");
    assert!(events.contains(
        &"* | Normal | EnsuredLoadBalancer | service/web-approuting-istio | Ensured load balancer".to_owned()
    ));
    assert!(
        fixture
            .kubectl("events -n demo --for service/web-approuting-istio")
            .await
            .fine()
            .contains("Ensured load balancer")
    );
    let spaces = fixture.kubectl("get ns").await.rows();
    assert!(spaces.contains(&"demo | Active | *".to_owned()));
}

#[tokio::test]
async fn objects_are_chosen_by_labels_fields_and_names() {
    let Some(fixture) = Fixture::open().await else { return };
    fixture.kubectl_with("apply -f -", WEB).await.fine();
    let count = async |line: &str| fixture.kubectl(line).await.fine().lines().count();
    assert_eq!(count("get pods -n demo --no-headers").await, 4);
    assert_eq!(count("get pods -n demo --no-headers -l app=web").await, 2);
    assert_eq!(count("get pods -n demo --no-headers -l 'app notin (web)'").await, 2);
    assert_eq!(count("get pods -n demo --no-headers --field-selector=status.phase=Pending").await, 0);
    assert_eq!(
        count("get pods -A --no-headers --chunk-size=5").await,
        count("get pods -A --no-headers").await
    );
    let address = fixture.kubectl("get gateway web -n demo -o 'jsonpath={.status.addresses[0].value}'").await;
    assert_eq!(address.fine(), "127.0.0.11");
    let names =
        fixture.kubectl("get deploy -n demo -o 'custom-columns=N:.metadata.name,I:.spec.replicas'").await;
    assert_eq!(names.rows()[1], "web | 2");
    let missing = fixture.kubectl("get gateway nope -n demo").await;
    assert_eq!(
        missing.refused(),
        "Error from server (NotFound): gateways.gateway.networking.k8s.io \"nope\" not found\n"
    );
    let category = fixture.kubectl("get all -n demo -o name").await;
    assert!(category.fine().contains("replicaset.apps/web-"));
}
