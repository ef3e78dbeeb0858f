//! Public addresses and load balancers.

use serde_json::{Value, json};

use super::{NodeResources, tags};
use crate::arm::id;
use crate::arm::networks::{LOAD_BALANCER, PUBLIC_ADDRESS};
use crate::arm::resource_type::Resource;

/// A Service with its address.
pub(super) struct Balanced {
    /// The name of its objects in the cloud: `a` and the UID without hyphens.
    name: String,
    address: String,
    pub(super) is_internal: bool,
    /// `namespace/name`.
    service: String,
    ports: Vec<(String, u64)>,
}

impl NodeResources<'_> {
    /// Returns the Services that hold an address.
    pub(super) fn balanced(&self) -> Vec<Balanced> {
        let services = self.cluster.store.list("services", None);
        let held = self.cluster.controllers.held_addresses();
        let of_holder = |(uid, address): (&str, &str)| {
            let service = services.iter().find(|service| service["metadata"]["uid"] == uid)?;
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let ports = service["spec"]["ports"].as_array().into_iter().flatten();
            let protocol = |port: &Value| port["protocol"].as_str().unwrap_or("TCP").to_owned();
            Some(Balanced {
                name: format!("a{}", uid.replace('-', "")),
                address: address.to_owned(),
                is_internal: !address.starts_with("127."),
                service: format!(
                    "{}/{}",
                    text(&service["metadata"]["namespace"]),
                    text(&service["metadata"]["name"])
                ),
                ports: ports.map(|port| (protocol(port), port["port"].as_u64().unwrap_or(0))).collect(),
            })
        };
        held.filter_map(of_holder).collect()
    }

    pub(super) fn address_of(&self, balanced: &Balanced) -> Resource {
        let name = format!("kubernetes-{}", balanced.name);
        let mut resource = self.address(&name, &balanced.address, &balanced.name);
        resource.tags =
            tags(&[("k8s-azure-cluster-name", "kubernetes"), ("k8s-azure-service", &balanced.service)]);
        resource
    }

    /// Returns a public address of the load balancer's front end with that name.
    pub(super) fn address(&self, name: &str, address: &str, front_end: &str) -> Resource {
        let mut resource = self.resource(
            &PUBLIC_ADDRESS,
            name,
            json!({
                "resourceGuid": self.guid(name), "ipAddress": address, "publicIPAddressVersion": "IPv4",
                "publicIPAllocationMethod": "Static", "idleTimeoutInMinutes": 30, "ipTags": [],
                "ddosSettings": { "protectionMode": "VirtualNetworkInherited" },
                "ipConfiguration": { "id": self.front_end("kubernetes", front_end) },
            }),
        );
        resource.fields.insert("sku".to_owned(), json!({ "name": "Standard", "tier": "Regional" }));
        resource
    }

    fn front_end(&self, balancer: &str, name: &str) -> String {
        format!("{}/frontendIPConfigurations/{name}", self.id(&LOAD_BALANCER, balancer))
    }

    /// Returns the public and the internal load balancer, as far as they have a front end.
    pub(super) fn balancers(&self, balanced: &[Balanced]) -> Vec<Resource> {
        let (internal, public): (Vec<&Balanced>, Vec<&Balanced>) =
            balanced.iter().partition(|one| one.is_internal);
        let outbound: Vec<(String, Value)> = self
            .outbound()
            .into_iter()
            .map(|one| (id::name(one["id"].as_str().unwrap_or_default()).to_owned(), one))
            .collect();
        let mut fronts: Vec<(String, Value)> =
            outbound.iter().map(|(name, id)| (name.clone(), json!({ "publicIPAddress": id }))).collect();
        fronts.extend(public.iter().map(|one| {
            let id = self.id(&PUBLIC_ADDRESS, &format!("kubernetes-{}", one.name));
            (one.name.clone(), json!({ "publicIPAddress": { "id": id } }))
        }));
        let first = &self.cluster.properties()["agentPoolProfiles"][0];
        let inside: Vec<(String, Value)> = internal
            .iter()
            .map(|one| {
                let subnet = json!({ "id": first["vnetSubnetID"] });
                (one.name.clone(), json!({ "privateIPAddress": one.address, "subnet": subnet }))
            })
            .collect();
        let both = [("kubernetes", fronts, public), ("kubernetes-internal", inside, internal)];
        let existing = both.into_iter().filter(|(_, fronts, _)| !fronts.is_empty());
        existing.map(|(name, fronts, services)| self.balancer(name, fronts, &services, &outbound)).collect()
    }

    fn balancer(
        &self,
        name: &str,
        fronts: Vec<(String, Value)>,
        services: &[&Balanced],
        outbound: &[(String, Value)],
    ) -> Resource {
        let own = self.id(&LOAD_BALANCER, name);
        let pool = |pool: &str| json!({ "id": format!("{own}/backendAddressPools/{pool}") });
        let part = |list: &str, part: &str, mut properties: Value| {
            properties["provisioningState"] = json!("Succeeded");
            json!({
                "name": part, "id": format!("{own}/{list}/{part}"), "properties": properties,
                "type": format!("{}/{list}", LOAD_BALANCER.kind),
            })
        };
        let rules = services.iter().flat_map(|one| {
            let front = json!({ "id": self.front_end(name, &one.name) });
            one.ports.iter().map(move |(protocol, port)| (one, front.clone(), protocol, port))
        });
        let rules: Vec<Value> = rules
            .map(|(one, front, protocol, port)| {
                let properties = json!({
                    "protocol": text_case(protocol), "frontendPort": port, "backendPort": port, "enableFloatingIP": true,
                    "idleTimeoutInMinutes": 4, "frontendIPConfiguration": front, "backendAddressPool": pool("kubernetes"),
                });
                part("loadBalancingRules", &format!("{}-{protocol}-{port}", one.name), properties)
            })
            .collect();
        let is_public = name == "kubernetes";
        let outbound_fronts: Vec<Value> =
            outbound.iter().map(|(front, _)| json!({ "id": self.front_end(name, front) })).collect();
        let outbound_rule = part(
            "outboundRules",
            "aksOutboundRule",
            json!({
                "protocol": "All", "allocatedOutboundPorts": 0, "enableTcpReset": true, "idleTimeoutInMinutes": 30,
                "backendAddressPool": pool("aksOutboundBackendPool"), "frontendIPConfigurations": outbound_fronts,
            }),
        );
        let pools = ["aksOutboundBackendPool", "kubernetes"].into_iter().skip(usize::from(!is_public));
        let has_outbound = is_public && !outbound.is_empty();
        let mut resource = self.resource(&LOAD_BALANCER, name, json!({
            "resourceGuid": self.guid(name),
            "frontendIPConfigurations": fronts
                .into_iter()
                .map(|(front, properties)| part("frontendIPConfigurations", &front, properties))
                .collect::<Vec<_>>(),
            "backendAddressPools": pools.map(|pool| part("backendAddressPools", pool, json!({}))).collect::<Vec<_>>(),
            "loadBalancingRules": rules,
            "probes": [],
            "inboundNatRules": [],
            "outboundRules": if has_outbound { vec![outbound_rule] } else { Vec::new() },
        }));
        resource.fields.insert("sku".to_owned(), json!({ "name": "Standard", "tier": "Regional" }));
        resource
    }
}

/// Returns the protocol as Azure spells it, `Tcp`.
fn text_case(protocol: &str) -> String {
    let lower = protocol.to_lowercase();
    lower[..1].to_uppercase() + &lower[1..]
}
