//! A deployment as scripts create it with az, in their order, and its clean-up.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use landfall_sim::{Options, Sim, Speed};

use crate::program::{Az, find};

const FEATURE: &str = "Microsoft.ContainerService/ManagedGatewayAPIPreview";
const ZONE: &str = "-g rg-dns -z demo.example.com";

/// The names and ids that the script refers to.
struct Deployment {
    az: Az,
    subscription: String,
    vault: String,
}

impl Deployment {
    async fn signs_in(&self, sim: &Sim) {
        let (az, connection) = (&self.az, sim.connection());
        az.succeed(&format!("cloud register -n Landfall --endpoint-resource-manager {}", connection.arm))
            .await;
        az.succeed("cloud set -n Landfall").await;
        let (id, tenant) = (&connection.client_id, &connection.tenant);
        az.is_refused(
            &format!("login --service-principal -u {id} -p no --tenant {tenant}"),
            1,
            "AADSTS7000215",
        )
        .await;
        let secret = &connection.client_secret;
        az.succeed(&format!("login --service-principal -u {id} -p={secret} --tenant {tenant}")).await;
        let (name, password) = (&connection.user_name, &connection.user_password);
        az.succeed(&format!("login -u {name} -p={password} --tenant {tenant}")).await;
        assert_eq!(
            az.succeed("account show --query '[user.name, id]'").await,
            format!("{name}\n{}", self.subscription)
        );
    }

    async fn registers(&self) {
        let az = &self.az;
        let feature = "--namespace Microsoft.ContainerService --name ManagedGatewayAPIPreview";
        az.succeed(&format!("feature register {feature}")).await;
        assert_eq!(
            az.succeed(&format!("feature show {feature} --query properties.state")).await,
            "Registered"
        );
        az.succeed("provider register --namespace Microsoft.ContainerService").await;
        let state = "provider show -n Microsoft.ContainerService --query registrationState";
        assert_eq!(az.succeed(state).await, "Registered");
    }

    /// Creates group, network and subnet; returns the subnet's id.
    async fn makes_the_network(&self) -> String {
        let az = &self.az;
        az.succeed("group create -n rg-demo -l eastus --tags Environment=Demo").await;
        let ranges = "--address-prefixes 10.0.0.0/16 --subnet-name snet --subnet-prefixes 10.0.0.0/22";
        az.succeed(&format!("network vnet create -g rg-demo -n vnet {ranges}")).await;
        az.succeed("network vnet subnet show -g rg-demo --vnet-name vnet -n snet --query id").await
    }

    async fn makes_the_vault(&self) {
        let az = &self.az;
        az.succeed("keyvault create -n kv-demo-675 -g rg-demo -l eastus --enable-rbac-authorization true")
            .await;
        let me = az.succeed("ad signed-in-user show --query id").await;
        let role = "--role 'Key Vault Certificates Officer'";
        let found =
            format!("role assignment list {role} --assignee {me} --scope {} --query [0].id", self.vault);
        az.succeed(&format!("role assignment create {role} --assignee {me} --scope {}", self.vault)).await;
        assert!(az.succeed(&found).await.starts_with(&self.vault));
    }

    async fn fills_the_vault(&self) {
        let az = &self.az;
        let named = "--vault-name kv-demo-675 -n gateway-tls-cert";
        az.is_refused(&format!("keyvault certificate show {named}"), 3, "CertificateNotFound").await;
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/empty-password.pfx");
        az.succeed(&format!("keyvault certificate import {named} --file {file} --password ''")).await;
        let policy = r#"{"issuerParameters":{"name":"Self"},"keyProperties":{"keyType":"RSA","keySize":2048,"exportable":true},"secretProperties":{"contentType":"application/x-pkcs12"},"x509CertificateProperties":{"subject":"CN=demo.example.com","validityInMonths":6}}"#;
        az.succeed(&format!("keyvault certificate create --vault-name kv-demo-675 -n made -p '{policy}'"))
            .await;
        let names = az.succeed("keyvault certificate list --vault-name kv-demo-675 --query [].name").await;
        assert_eq!(names, "gateway-tls-cert\nmade");
        az.succeed("keyvault certificate delete --vault-name kv-demo-675 -n made").await;
        az.succeed("keyvault certificate purge --vault-name kv-demo-675 -n made").await;
    }

    async fn makes_the_cluster(&self, subnet: &str) {
        let az = &self.az;
        az.is_refused("aks show -g rg-demo -n aks", 3, "ResourceNotFound").await;
        let version =
            az.succeed("aks get-versions -l eastus --query 'values[?isDefault].version | [0]'").await;
        az.succeed(&format!(
            "aks create -g rg-demo -n aks -l eastus --kubernetes-version {version} --tier standard --node-count 2 \
             --node-vm-size Standard_D4s_v5 --enable-cluster-autoscaler --min-count 1 --max-count 3 \
             --network-plugin azure --vnet-subnet-id {subnet} --service-cidr 10.1.0.0/16 --dns-service-ip 10.1.0.10 \
             --enable-managed-identity --enable-gateway-api --enable-app-routing-istio \
             --enable-addons azure-keyvault-secrets-provider --enable-secret-rotation --rotation-poll-interval 2m \
             --node-resource-group rg-demo-nodes"
        ))
        .await;
        az.succeed("aks get-credentials -g rg-demo -n aks -f kubeconfig").await;
        let kubeconfig = std::fs::read_to_string(az.home().join("kubeconfig")).unwrap();
        assert!(kubeconfig.contains("/kubernetes/") && kubeconfig.contains("current-context: aks\n"));
        az.succeed("aks nodepool add -g rg-demo --cluster-name aks -n second --node-count 1").await;
        az.succeed("aks nodepool delete -g rg-demo --cluster-name aks -n second").await;
    }

    /// Grants the add-on access to the vault; finds it by its application id and by its object id.
    async fn lets_the_cluster_in(&self) {
        let az = &self.az;
        let identity = "addonProfiles.azureKeyvaultSecretsProvider.identity.clientId";
        let application = az.succeed(&format!("aks show -g rg-demo -n aks --query {identity}")).await;
        let object = az.succeed(&format!("ad sp show --id {application} --query id")).await;
        let by_object = format!("--assignee-object-id {object} --assignee-principal-type ServicePrincipal");
        let scope = format!("--scope {}", self.vault);
        az.succeed(&format!("role assignment create --role 'Key Vault Secrets User' {by_object} {scope}"))
            .await;
        let role = "--role 'Key Vault Certificate User'";
        az.succeed(&format!("role assignment create {role} --assignee {application} {scope}")).await;
    }

    /// Creates an identity whose tokens the cluster's pods get, and a secret.
    async fn makes_an_identity(&self) {
        let az = &self.az;
        az.succeed("identity create -g rg-demo -n id-demo").await;
        let of = "-g rg-demo --identity-name id-demo";
        let subject = "--subject system:serviceaccount:a:b --audiences api://AzureADTokenExchange";
        let issuer = "--issuer https://issuer.example.com/";
        az.succeed(&format!("identity federated-credential create {of} -n one {issuer} {subject}")).await;
        let names = az.succeed(&format!("identity federated-credential list {of} --query [].name")).await;
        assert_eq!(names, "one");
        let role = "--role 'Key Vault Secrets Officer'";
        let me = az.succeed("ad signed-in-user show --query id").await;
        az.succeed(&format!("role assignment create {role} --assignee {me} --scope {}", self.vault)).await;
        az.succeed("keyvault secret set --vault-name kv-demo-675 -n word --value x").await;
        let names = az.succeed("keyvault secret list --vault-name kv-demo-675 --query [].name").await;
        assert!(names.contains("word"), "{names}");
        az.succeed("keyvault secret set --vault-name kv-demo-675 -n word --value y").await;
        let versions = "keyvault secret list-versions --vault-name kv-demo-675 -n word --query length(@)";
        assert_eq!(az.succeed(versions).await, "2");
        az.succeed("keyvault secret delete --vault-name kv-demo-675 -n word").await;
        az.succeed("keyvault secret purge --vault-name kv-demo-675 -n word").await;
        let deleted = "keyvault secret list-deleted --vault-name kv-demo-675 --query length(@)";
        assert_eq!(az.succeed(deleted).await, "0");
        let key = "keyvault key create --vault-name kv-demo-675 -n key";
        az.is_refused(key, 1, "not available in the simulated cloud; see docs/az.md").await;
    }

    async fn points_the_names(&self) {
        let az = &self.az;
        az.succeed(&format!("network dns record-set a add-record {ZONE} -n app -a 127.83.0.1 --ttl 300"))
            .await;
    }

    async fn cleans_up(&self) {
        let az = &self.az;
        az.succeed("lock create -n keep -g rg-demo --lock-type CanNotDelete").await;
        az.is_refused("group delete -n rg-demo -y", 1, "ScopeLocked").await;
        az.succeed("lock delete -n keep -g rg-demo").await;
        let vaults = "resource list -g rg-demo --resource-type Microsoft.KeyVault/vaults --query [].name";
        assert_eq!(az.succeed(vaults).await, "kv-demo-675");
        az.succeed("group delete -n rg-demo -y").await;
        az.succeed("keyvault purge -n kv-demo-675").await;
        let url = "/subscriptions/{subscriptionId}/resourcegroups?api-version=2024-11-01";
        assert_eq!(az.succeed(&format!("rest --url {url} --query value[].name")).await, "rg-dns");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_by_script_is_created_and_deleted() {
    let Some(program) = find() else {
        println!("skipped: az is not on this machine");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        speed: Speed::Instant,
        seed: Some(900),
        unregistered: vec!["Microsoft.ContainerService".to_owned()],
        preview_features: vec![FEATURE.to_owned()],
        ..Options::default()
    };
    let sim = Sim::open(&folder.path().join("world"), options).await.unwrap();
    let az = Az::new(program, folder.path(), sim.connection());
    let subscription = sim.connection().subscription.clone();
    let vault = format!(
        "/subscriptions/{subscription}/resourceGroups/rg-demo/providers/Microsoft.KeyVault/vaults/kv-demo-675"
    );
    let deployment = Deployment { az, subscription, vault };
    deployment.signs_in(&sim).await;
    deployment.az.succeed("group create -n rg-dns -l eastus").await;
    deployment.az.succeed("network dns zone create -g rg-dns -n demo.example.com").await;
    deployment.registers().await;
    let subnet = deployment.makes_the_network().await;
    deployment.makes_the_vault().await;
    deployment.fills_the_vault().await;
    deployment.makes_the_cluster(&subnet).await;
    deployment.lets_the_cluster_in().await;
    deployment.makes_an_identity().await;
    deployment.points_the_names().await;
    deployment.cleans_up().await;
    let is_unsupported = |status: u16| status == 405 || status >= 500;
    let unsupported: Vec<_> = sim
        .request_log()
        .into_iter()
        .filter(|line| is_unsupported(line.status) && line.path != "/keys/key/create")
        .collect();
    assert!(unsupported.is_empty(), "az asks for what this cloud does not have: {unsupported:?}");
    sim.close().await;
}
