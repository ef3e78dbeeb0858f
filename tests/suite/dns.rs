//! DNS problems: reported by `plan` and `up` before anything is created, with the record and the remedy.

use crate::environment::TestEnvironment;
use landfall_cloud::{
    ArmClient, Credential, Endpoints, RequestCounter, Roots, Secret, SignIn, SignInFacts,
    arm::{Condition, dns, group, network},
};
use landfall_sim::{Options, Sim, Speed};
use serde_json::{Value, json};

/// Puts resources into the environment's own cloud, as another party: each with its path below the subscription.
async fn put(env: &TestEnvironment, resources: &[(&str, Value)]) {
    let folder = env.state().join("sim");
    let sim = Sim::open(&folder, Options { speed: Speed::Instant, ..Options::default() }).await.unwrap();
    let facts = sim.connection().clone();
    let endpoints = Endpoints {
        login: facts.login.parse().unwrap(),
        arm: facts.arm.parse().unwrap(),
        arm_audience: facts.arm_audience.clone(),
        vault_suffix: facts.vault_suffix.clone(),
        vault_audience: facts.vault_audience.clone(),
        roots: Roots::Only(vec![facts.ca_pem.clone()]),
        time_scale: facts.time_scale,
        transport: None,
        acme_directory: facts.acme_directory.parse().unwrap(),
        acme_staging: facts.acme_staging.parse().unwrap(),
        acme_roots: Roots::Only(facts.acme_roots.clone()),
        name_servers: facts.name_servers.clone(),
        clock: Default::default(),
        connections: Default::default(),
    };
    let sign_in = SignIn::ServicePrincipal {
        tenant: facts.tenant.clone(),
        client_id: facts.client_id.clone(),
        secret: Secret::new(facts.client_secret.clone()),
    };
    let requests = RequestCounter::new();
    let credential = Credential::new(&sign_in, &SignInFacts::default(), &endpoints, &requests).unwrap();
    let arm =
        ArmClient::new(&endpoints, &credential, &requests, "c0ffee00-0000-4000-8000-000000000003").unwrap();
    for (path, body) in resources {
        let version = match path {
            path if path.contains("dnsZones") => dns::API,
            path if path.contains("virtualNetworks") => network::API,
            _ => group::API,
        };
        let id = format!("/subscriptions/{}{path}", facts.subscription);
        arm.put(&id, version, body, Condition::None).await.unwrap();
    }
    sim.close().await;
}

const ZONE: &str = "/resourceGroups/rg-dns/providers/Microsoft.Network/dnsZones/example.com";

/// Creates an environment with the zone `example.com` in the group `rg-dns`, and further resources.
async fn with_zone(env: TestEnvironment, more: &[(&str, Value)]) -> TestEnvironment {
    let env = in_background(env, |env| {
        env.expect(0, &["plan"]);
    })
    .await;
    let mut resources = vec![
        ("/resourceGroups/rg-dns", json!({ "location": "eastus" })),
        (ZONE, json!({ "location": "global" })),
    ];
    resources.extend(more.iter().cloned());
    put(&env, &resources).await;
    env
}

/// Runs the binary without blocking the runtime.
async fn in_background(
    env: TestEnvironment,
    run: impl FnOnce(&TestEnvironment) + Send + 'static,
) -> TestEnvironment {
    let task = tokio::task::spawn_blocking(move || {
        run(&env);
        env
    });
    task.await.unwrap()
}

/// Expects the exit code and the words of `plan` and `up`, and that nothing was created.
async fn refused(env: TestEnvironment, code: i32, words: &'static [&'static str]) {
    in_background(env, move |env| {
        let created = env.count("PUT", "/rg-aks-istio-gateway-demo");
        for command in ["plan", "up"] {
            let output = env.expect(code, &[command]);
            let text = format!("{}{}", output.stdout, output.stderr);
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            for word in words {
                assert!(text.contains(word), "{command}: {word:?} is not in\n{text}");
            }
        }
        assert_eq!(env.count("PUT", "/rg-aks-istio-gateway-demo"), created);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_record_ends_plan_and_up_before_anything_is_created() {
    let record = json!({ "properties": {
        "TTL": 300, "ARecords": [{ "ipv4Address": "203.0.113.9" }], "metadata": { "team": "web" },
    } });
    let at = format!("{ZONE}/A/app.demo");
    let env = with_zone(TestEnvironment::instant(), &[(&at, record)]).await;
    let words: &[&str] =
        &["A record app.demo of zone example.com is 203.0.113.9", "metadata team=web", "delete the A record"];
    refused(env, 3, words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cname_ends_plan_and_up_before_anything_is_created() {
    let alias = json!({ "properties": { "TTL": 300, "CNAMERecord": { "cname": "old.example.net" } } });
    let at = format!("{ZONE}/CNAME/echo.demo");
    let env = with_zone(TestEnvironment::instant(), &[(&at, alias)]).await;
    refused(env, 3, &["CNAME record echo.demo of zone example.com leads to old.example.net"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_zone_or_group_is_invalid_input() {
    let env = with_zone(TestEnvironment::instant(), &[]).await.with("DNS_ZONE_NAME", "demo.example.com");
    refused(env, 2, &["has no zone demo.example.com", "set dns.zone (DNS_ZONE_NAME) to example.com"]).await;
    let env = with_zone(TestEnvironment::instant(), &[]).await.with("DNS_ZONE_RG", "rg-dnss");
    let words: &[&str] =
        &["resource group rg-dnss does not exist", "zone example.com is in resource group rg-dns"];
    refused(env, 2, words).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delegated_subnet_ends_plan_and_up_before_anything_is_created() {
    let group = "/resourceGroups/rg-aks-istio-gateway-demo";
    let network = format!("{group}/providers/Microsoft.Network/virtualNetworks/vnet-aks-istio-demo");
    let delegation = json!([{ "name": "0", "properties": { "serviceName": "Microsoft.Web/serverFarms" } }]);
    let subnet = json!({ "name": "snet-aks", "properties": { "addressPrefix": "10.0.0.0/22", "delegations": delegation } });
    let body = json!({ "location": "eastus", "properties": {
        "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] }, "subnets": [subnet],
    } });
    let resources = [(group, json!({ "location": "eastus" })), (&network, body)];
    let env = with_zone(TestEnvironment::instant(), &resources).await;
    refused(env, 3, &["subnet snet-aks of vnet-aks-istio-demo is delegated to Microsoft.Web/serverFarms"])
        .await;
}

const SHOP: &str = "\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: shop}
spec:
  gatewayClassName: approuting-istio
  listeners: [{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: gateway-tls-secret}]}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: shop}]
  hostnames: [__DOMAIN_NAME__, shop.__DOMAIN_NAME__, www.other.example.org]
  rules: [{backendRefs: [{name: shop, port: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{port: 80}]}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_host_outside_the_zone_is_listed_for_manual_entry() {
    let env = TestEnvironment::instant().with("DOMAIN_NAME", "example.com").with("MANIFESTS_DIR", "own");
    env.write("own/shop.yaml", SHOP);
    let env = with_zone(env, &[]).await;
    in_background(env, |env| {
        let up = env.expect(0, &["up"]).stderr;
        let rows: Vec<&str> =
            up.lines().skip_while(|line| !line.contains("DNS ")).take(5).map(str::trim).collect();
        assert_eq!(
            rows[0].split_whitespace().collect::<Vec<_>>().join(" "),
            "DNS 2 records in zone example.com"
        );
        assert!(rows[1].starts_with("@ ") && rows[2].starts_with("shop "), "{up}");
        assert_eq!(rows[3], "outside zone example.com; create", "{up}");
        assert!(rows[4].starts_with("www.other.example.org"), "{up}");
        assert_eq!(env.count("PUT", "dnszones/example.com/A/"), 2);
        let plan = env.expect(0, &["plan", "--detailed-exitcode"]).stdout;
        let plan = plan.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            plan.contains("outside zone example.com; create the records yourself: www.other.example.org"),
            "{plan}"
        );
        env.expect(0, &["down", "--yes"]);
    })
    .await;
}
