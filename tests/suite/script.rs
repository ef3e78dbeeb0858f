//! The article's script with az and kubectl, then landfall: plan, up, verify and an adopted teardown.
//!
//! It runs if az is on the path or `LANDFALL_TEST_AZ` names it, and kubectl is on the path. az takes minutes.
//! `steps/tests/against_the_cloud/script.rs` sends the same requests without them.

use crate::azure::{endpoints, signed_in};
use crate::environment::{TestEnvironment, pfx};
use landfall_sim::{Options, Sim, Speed};
use program::{Az, CommandOutput, find};
use std::{collections::BTreeMap, env, path::PathBuf, process::Stdio};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, process::Command, task::spawn_blocking};

#[path = "../../crates/sim/tests/az/program.rs"]
#[expect(dead_code, reason = "the tests of the simulated cloud use the rest")]
mod program;

const GROUP: &str = "rg-aks-istio-gateway-demo";
const VAULT: &str = "kv-aks-istio-675";
const CLUSTER: &str = "aks-istio-gateway-demo";
const DOMAIN: &str = "demo.example.com";
const FEATURES: [&str; 2] = ["ManagedGatewayAPIPreview", "AppRoutingIstioGatewayAPIPreview"];

/// The clients of the script.
struct Script {
    az: Az,
    kubectl: PathBuf,
    port: u16,
}

fn kubectl_on_path() -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join("kubectl")).find(|path| path.is_file())
}

impl Script {
    /// Runs kubectl with the kubeconfig that az wrote.
    async fn kubectl(&self, arguments: &[&str], input: &str) -> String {
        let mut command = Command::new(&self.kubectl);
        command
            .args(arguments)
            .current_dir(self.az.home())
            .env("KUBECONFIG", self.az.home().join("kubeconfig"));
        command.env("HTTPS_PROXY", format!("http://127.0.0.1:{}", self.port)).env("NO_PROXY", "");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        assert!(
            output.status.success(),
            "kubectl {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Creates a resource unless it exists, as the script does.
    async fn ensure(&self, show: &str, create: &str) {
        let CommandOutput { code, .. } = self.az.run(show).await;
        if code != 0 {
            self.az.succeed(create).await;
        }
    }

    async fn resources(&self) -> String {
        let az = &self.az;
        for feature in FEATURES {
            let named = format!("--namespace Microsoft.ContainerService --name {feature}");
            // The flags may not exist any more.
            az.run(&format!("feature register {named}")).await;
        }
        az.succeed("provider register --namespace Microsoft.ContainerService").await;
        let tags = "--tags Environment=Demo Project=AKS-Istio-Gateway-API";
        self.ensure(
            &format!("group show --name {GROUP}"),
            &format!("group create --name {GROUP} --location eastus {tags} ManagedBy=AzureCLI"),
        )
        .await;
        let network = format!("-g {GROUP} --name vnet-aks-istio-demo");
        self.ensure(
            &format!("network vnet show {network}"),
            &format!(
                "network vnet create {network} --address-prefix 10.0.0.0/16 --subnet-name snet-aks --subnet-prefix \
                 10.0.0.0/22"
            ),
        )
        .await;
        let vault = format!("-g {GROUP} --name {VAULT}");
        self.ensure(
            &format!("keyvault show {vault}"),
            &format!("keyvault create {vault} --location eastus --enable-rbac-authorization true {tags}"),
        )
        .await;
        az.succeed(&format!("keyvault show {vault} --query id")).await
    }

    async fn certificate(&self, vault: &str) {
        let az = &self.az;
        let me = az.succeed("ad signed-in-user show --query id").await;
        let role = "--role 'Key Vault Certificates Officer'";
        az.succeed(&format!("role assignment create {role} --assignee {me} --scope {vault} --output none"))
            .await;
        let named = format!("--vault-name {VAULT} --name gateway-tls-cert");
        let file = pfx("rsa.pfx");
        self.ensure(
            &format!("keyvault certificate show {named}"),
            &format!("keyvault certificate import {named} --file {} --password hunter2", file.display()),
        )
        .await;
    }

    async fn cluster(&self, vault: &str) {
        let az = &self.az;
        let network = format!("-g {GROUP} --vnet-name vnet-aks-istio-demo --name snet-aks");
        let subnet = az.succeed(&format!("network vnet subnet show {network} --query id")).await;
        let cluster = format!("-g {GROUP} --name {CLUSTER}");
        let version =
            az.succeed("aks get-versions -l eastus --query 'values[?isDefault].version | [0]'").await;
        self.ensure(
            &format!("aks show {cluster}"),
            &format!(
                "aks create {cluster} --location eastus --node-resource-group {GROUP}-nodes --kubernetes-version {version} \
                 --node-count 2 --node-vm-size Standard_D4s_v5 --network-plugin azure --vnet-subnet-id {subnet} \
                 --service-cidr 10.1.0.0/16 --dns-service-ip 10.1.0.10 --enable-managed-identity --enable-gateway-api \
                 --enable-app-routing-istio --enable-addons azure-keyvault-secrets-provider --enable-secret-rotation \
                 --rotation-poll-interval 2m --tier standard --node-osdisk-type Managed --enable-cluster-autoscaler \
                 --min-count 1 --max-count 3 --tags Environment=Demo Project=AKS-Istio-Gateway-API"
            ),
        )
        .await;
        az.succeed(&format!("aks get-credentials {cluster} --overwrite-existing -f kubeconfig")).await;
        let query = "--query addonProfiles.azureKeyvaultSecretsProvider.identity.clientId";
        let client = az.succeed(&format!("aks show {cluster} {query}")).await;
        let object = az.succeed(&format!("ad sp show --id {client} --query id")).await;
        let principal = format!("--assignee-object-id {object} --assignee-principal-type ServicePrincipal");
        for role in ["Key Vault Secrets User", "Key Vault Certificate User"] {
            az.succeed(&format!(
                "role assignment create --role '{role}' {principal} --scope {vault} --output none"
            ))
            .await;
        }
        let tenant = az.succeed("account show --query tenantId").await;
        self.kubectl(&["apply", "-f", "-"], &class(&client, &tenant)).await;
    }

    async fn manifests(&self) {
        self.kubectl(&["get", "gatewayclass", "approuting-istio"], "").await;
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/steps/templates/manifests");
        let mut files: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files {
            let text = std::fs::read_to_string(file).unwrap().replace("__DOMAIN_NAME__", DOMAIN);
            // The script knows neither landfall's label nor the annotations of the probes.
            let strange = |line: &&str| !line.contains("landfall") && !line.contains("health-probe");
            let text: Vec<&str> = text.lines().filter(strange).collect();
            let text = text.join("\n").replace("  infrastructure:\n    annotations:\n", "");
            self.kubectl(&["apply", "-f", "-"], &text).await;
        }
        for gateway in ["httpbin-gateway", "echo-gateway"] {
            let what = format!("gateway/{gateway}");
            self.kubectl(&["wait", "--for=condition=programmed", &what, "--timeout=60s"], "").await;
        }
    }

    /// Returns UID and restarts of everything in the namespace that must not be interrupted.
    async fn identities(&self) -> BTreeMap<String, String> {
        let columns = "-o=custom-columns=K:.kind,N:.metadata.name,U:.metadata.uid,R:.status.containerStatuses[0].restartCount";
        let kinds = "deployments,services,gateways,httproutes,pods";
        let lines = self.kubectl(&["get", kinds, "-n", "default", "--no-headers", columns], "").await;
        lines
            .lines()
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                (words[..2].join(" "), words[2..].join(" "))
            })
            .collect()
    }
}

fn class(client: &str, tenant: &str) -> String {
    let object = |kind: &str, alias: &str| {
        format!(
            "        - |\n          objectName: gateway-tls-cert\n          objectType: {kind}\n          \
             objectAlias: \"{alias}\"\n"
        )
    };
    format!(
        "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata:\n  name: gateway-tls-cert-spc\n  \
         namespace: default\nspec:\n  provider: azure\n  secretObjects:\n  - secretName: gateway-tls-secret\n    \
         type: kubernetes.io/tls\n    data:\n    - {{objectName: gateway-tls-key, key: tls.key}}\n    \
         - {{objectName: gateway-tls-crt, key: tls.crt}}\n  parameters:\n    usePodIdentity: \"false\"\n    \
         useVMManagedIdentity: \"true\"\n    userAssignedIdentityID: \"{client}\"\n    keyvaultName: \"{VAULT}\"\n    \
         cloudName: \"AzurePublicCloud\"\n    tenantId: \"{tenant}\"\n    objects: |\n      array:\n{}{}",
        object("secret", "gateway-tls-key"),
        object("cert", "gateway-tls-crt")
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_of_the_script_is_planned_completed_verified_and_deleted() {
    let (Some(program), Some(kubectl)) = (find(), kubectl_on_path()) else {
        println!("skipped: az or kubectl is not on this machine");
        return;
    };
    let folder = TempDir::new().unwrap();
    let options = Options { speed: Speed::Instant, seed: Some(6_000), traffic: true, ..Options::default() };
    let mut sim = Sim::open(&folder.path().join("world"), options).await.unwrap();
    let facts = sim.connection().clone();
    let az = Az::new(program, folder.path(), &facts);
    az.succeed(&format!("cloud register -n Landfall --endpoint-resource-manager {}", facts.arm)).await;
    az.succeed("cloud set -n Landfall").await;
    let (name, password, tenant) = (&facts.user_name, &facts.user_password, &facts.tenant);
    az.succeed(&format!("login -u {name} -p={password} --tenant {tenant}")).await;
    let script = Script { az, kubectl, port: facts.port };
    let vault = script.resources().await;
    script.certificate(&vault).await;
    script.cluster(&vault).await;
    script.manifests().await;
    let before = script.identities().await;

    let env = TestEnvironment::instant();
    env.write("authorities.pem", &facts.ca_pem);
    env.write("landfall.toml", endpoints(&facts));
    let env = signed_in(env, &facts, &facts.client_secret);
    let (env, plan) = spawn_blocking(move || {
        let plan = env.expect(0, &["plan"]).stdout;
        (env, plan)
    })
    .await
    .unwrap();
    let plan = plan.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        // The role of the script's user is not landfall's.
        format!("key vault {VAULT} is in this group and cannot be read"),
        format!("set key_vault.name = \"{VAULT}\" (KEYVAULT_NAME)"),
        "found, not owned: Gateway httpbin-gateway, Gateway echo-gateway".to_owned(),
        "kubectl-client-side-apply → landfall".to_owned(),
    ] {
        assert!(plan.contains(&words), "{words}: {plan}");
    }
    let env = env.with("KEYVAULT_NAME", VAULT);
    let env = spawn_blocking(move || {
        env.expect(0, &["up"]);
        env
    })
    .await
    .unwrap();
    // The script never mounts the certificate, so the HTTPS listeners exist only now.
    let listeners = sim.wait_for_listeners_until(|listeners| listeners.len() == 4).await.unwrap();
    let on_their_ports = listeners.iter().all(|((_, port), socket)| *port == socket.port());
    let env = spawn_blocking(move || {
        match on_their_ports {
            true => drop(env.expect(0, &["verify"])),
            false => println!("not verified: the gateways cannot have the ports 80 and 443 here"),
        }
        env.expect(0, &["plan", "--detailed-exitcode"]);
        env
    })
    .await
    .unwrap();
    let after = script.identities().await;
    for (object, identity) in &before {
        assert_eq!(after.get(object), Some(identity), "{object} was interrupted");
    }
    spawn_blocking(move || env.expect(0, &["down", "--adopt", "--yes"])).await.unwrap();
    let url = "/subscriptions/{subscriptionId}/resourcegroups?api-version=2024-11-01";
    assert_eq!(script.az.succeed(&format!("rest --url {url} --query value[].name")).await, "");
    sim.close().await;
}
