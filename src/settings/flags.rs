//! Settings that can be given as flags. A password cannot: other users of the machine can read flags.

use super::sources::Flags;

/// Settings of this run; they win over the environment and landfall.toml.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Settings (flag > environment > landfall.toml > default)")]
pub struct SettingFlags {
    /// Azure subscription id [env: AZURE_SUBSCRIPTION_ID]
    #[arg(long, value_name = "ID")]
    subscription: Option<String>,
    /// Tenant id or domain [env: AZURE_TENANT_ID]
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// Sign-in method: auto, cli, service-principal, workload-identity, managed-identity [env: LANDFALL_AUTH]
    #[arg(long, value_name = "METHOD")]
    auth: Option<String>,
    /// Parent domain of the host names [env: DOMAIN_NAME]
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// Azure region [env: LOCATION]
    #[arg(long, value_name = "REGION")]
    location: Option<String>,
    /// Resource group [env: RESOURCE_GROUP]
    #[arg(long, value_name = "NAME")]
    resource_group: Option<String>,
    /// Resource group of the nodes [env: NODE_RESOURCE_GROUP]
    #[arg(long, value_name = "NAME")]
    node_resource_group: Option<String>,
    /// Identity that reads the certificate from the vault: workload, or add-on
    #[arg(long, value_name = "MODE")]
    identity: Option<String>,
    /// Name of the managed identity
    #[arg(long, value_name = "NAME")]
    identity_name: Option<String>,
    /// Virtual network [env: VNET_NAME]
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// Subnet of the nodes [env: SUBNET_NAME]
    #[arg(long, value_name = "NAME")]
    subnet: Option<String>,
    /// Range of the network
    #[arg(long, value_name = "CIDR")]
    address_space: Option<String>,
    /// Range of the subnet
    #[arg(long, value_name = "CIDR")]
    subnet_prefix: Option<String>,
    /// Key vault [env: KEYVAULT_NAME]
    #[arg(long, value_name = "NAME")]
    key_vault: Option<String>,
    /// Name of the certificate in the vault [env: CERT_NAME]
    #[arg(long, value_name = "NAME")]
    certificate: Option<String>,
    /// Your own certificate; its password comes from SSL_PFX_PASSWORD or a prompt [env: SSL_PFX_PATH]
    #[arg(long, value_name = "FILE")]
    pfx: Option<String>,
    /// Issuer of the certificate without a PFX file: self-signed, or acme
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    /// Renew a self-signed certificate this long before expiry, 30d; for a PFX file, only warn
    #[arg(long, value_name = "DAYS")]
    renew_before: Option<String>,
    /// Cluster [env: CLUSTER_NAME]
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Kubernetes version [env: K8S_VERSION]
    #[arg(long, value_name = "VERSION")]
    kubernetes_version: Option<String>,
    /// Initial number of nodes [env: NODE_COUNT]
    #[arg(long, value_name = "N")]
    nodes: Option<String>,
    /// Minimum number of nodes of the autoscaler
    #[arg(long, value_name = "N")]
    nodes_min: Option<String>,
    /// Maximum number of nodes of the autoscaler
    #[arg(long, value_name = "N")]
    nodes_max: Option<String>,
    /// Virtual machine size of the nodes [env: NODE_SIZE]
    #[arg(long, value_name = "SIZE")]
    node_size: Option<String>,
    /// Range of the services
    #[arg(long, value_name = "CIDR")]
    service_cidr: Option<String>,
    /// Address of the cluster DNS
    #[arg(long, value_name = "ADDRESS")]
    dns_service_ip: Option<String>,
    /// DNS zone [env: DNS_ZONE_NAME]
    #[arg(long, value_name = "NAME")]
    dns_zone: Option<String>,
    /// Resource group of the DNS zone [env: DNS_ZONE_RG]
    #[arg(long, value_name = "NAME")]
    dns_resource_group: Option<String>,
    /// Percentage of requests to the stable version
    #[arg(long, value_name = "PER CENT")]
    stable: Option<String>,
    /// Percentage of requests to the canary, or both shares: 90/10 is stable/canary
    #[arg(long, value_name = "PER CENT")]
    canary: Option<String>,
    /// Kubeconfig to add the cluster to [env: KUBECONFIG]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<String>,
    /// Folder with your own manifests [env: MANIFESTS_DIR]
    #[arg(long, value_name = "FOLDER")]
    manifests: Option<String>,
    /// Time scale of the simulated cloud: 1 is real time, or instant [env: LANDFALL_SIM_SPEED]
    #[arg(long, value_name = "SPEED")]
    speed: Option<String>,
    /// Seed of the simulated cloud [env: LANDFALL_SIM_SEED]
    #[arg(long, value_name = "SEED")]
    seed: Option<String>,
    /// Fault to inject into the simulated cloud; may be repeated [env: LANDFALL_SIM_FAULTS]
    #[arg(long, visible_alias = "fault", value_name = "NAME[:WHEN]", long_help = faults())]
    sim_fault: Vec<String>,
    /// DNS zone to create in the simulated cloud, so that names can be published and validated there; may be repeated
    /// [env: LANDFALL_SIM_ZONES]
    #[arg(long, value_name = "NAME")]
    sim_zone: Vec<String>,
    /// Program of this machine that stands for an image in the simulated cloud, so that pods of it really run; may be
    /// repeated [env: LANDFALL_SIM_IMAGES]
    #[arg(long, visible_alias = "run-image", value_name = "REPOSITORY=PROGRAM")]
    sim_image: Vec<String>,
}

impl SettingFlags {
    /// Returns the flags as given, for a command that repeats them: `--canary`, `50/50`.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        for (key, (flag, value)) in self.flags(None) {
            // One flag may contain both shares; it is repeated once, as written.
            let value = match (key, flag) {
                ("canary.stable", "canary") => continue,
                ("canary.canary", _) => self.canary.clone().unwrap_or(value),
                _ => value,
            };
            arguments.extend([format!("--{flag}"), value]);
        }
        arguments
    }

    /// Returns the given flags by setting. `cloud` is the global flag's.
    pub fn flags(&self, cloud: Option<&str>) -> Flags {
        let (stable, canary) = match self.canary.as_deref().and_then(|both| both.split_once('/')) {
            Some((stable, canary)) => {
                (self.stable.clone().or(Some(stable.to_owned())), Some(canary.to_owned()))
            }
            None => (self.stable.clone(), self.canary.clone()),
        };
        let of_stable = if self.stable.is_some() { "stable" } else { "canary" };
        let zones = (!self.sim_zone.is_empty()).then(|| self.sim_zone.join(","));
        let images = (!self.sim_image.is_empty()).then(|| self.sim_image.join(","));
        let faults = (!self.sim_fault.is_empty()).then(|| self.sim_fault.join(","));
        let all = [
            ("cloud", "cloud", cloud.map(str::to_owned)),
            ("subscription", "subscription", self.subscription.clone()),
            ("tenant", "tenant", self.tenant.clone()),
            ("auth", "auth", self.auth.clone()),
            ("domain", "domain", self.domain.clone()),
            ("location", "location", self.location.clone()),
            ("resource_group", "resource-group", self.resource_group.clone()),
            ("node_resource_group", "node-resource-group", self.node_resource_group.clone()),
            ("identity", "identity", self.identity.clone()),
            ("identity_name", "identity-name", self.identity_name.clone()),
            ("network.name", "network", self.network.clone()),
            ("network.subnet", "subnet", self.subnet.clone()),
            ("network.address_space", "address-space", self.address_space.clone()),
            ("network.subnet_prefix", "subnet-prefix", self.subnet_prefix.clone()),
            ("key_vault.name", "key-vault", self.key_vault.clone()),
            ("certificate.name", "certificate", self.certificate.clone()),
            ("certificate.pfx", "pfx", self.pfx.clone()),
            ("certificate.issuer", "issuer", self.issuer.clone()),
            ("certificate.renew_before", "renew-before", self.renew_before.clone()),
            ("cluster.name", "cluster", self.cluster.clone()),
            ("cluster.version", "kubernetes-version", self.kubernetes_version.clone()),
            ("cluster.nodes", "nodes", self.nodes.clone()),
            ("cluster.nodes_min", "nodes-min", self.nodes_min.clone()),
            ("cluster.nodes_max", "nodes-max", self.nodes_max.clone()),
            ("cluster.node_size", "node-size", self.node_size.clone()),
            ("cluster.service_cidr", "service-cidr", self.service_cidr.clone()),
            ("cluster.dns_service_ip", "dns-service-ip", self.dns_service_ip.clone()),
            ("dns.zone", "dns-zone", self.dns_zone.clone()),
            ("dns.resource_group", "dns-resource-group", self.dns_resource_group.clone()),
            ("canary.stable", of_stable, stable),
            ("canary.canary", "canary", canary),
            ("kubeconfig", "kubeconfig", self.kubeconfig.clone()),
            ("manifests", "manifests", self.manifests.clone()),
            ("sim.speed", "speed", self.speed.clone()),
            ("sim.seed", "seed", self.seed.clone()),
            ("sim.faults", "sim-fault", faults),
            ("sim.zones", "sim-zone", zones),
            ("sim.images", "sim-image", images),
        ];
        all.into_iter().filter_map(|(key, flag, value)| Some((key, (flag, value?)))).collect()
    }
}

/// Returns the long help of `--sim-fault`: the syntax of a fault, and the table of the simulated cloud.
fn faults() -> String {
    let mut text = String::from(
        "Fault to inject into the simulated cloud, name[@METHOD path-part][#n][*times]; name:n is short for \
         name#n. May be repeated [env: LANDFALL_SIM_FAULTS]\n",
    );
    for row in landfall_sim::fault::table() {
        text.push_str(&format!("\n  {:<24} {}", row.name, row.what));
    }
    text
}
