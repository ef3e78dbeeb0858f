//! Settings: flags, environment and `landfall.toml`, validated; all mistakes are reported at once.
//!
//! `file` is the structure of the file, `reading` parses it, `layers` applies the precedence of sources, and
//! `checks` contains the rules. This module combines them. Nothing here uses a network.

pub mod checks;
pub mod defaults;
pub mod file;
pub mod flags;
pub mod layers;
pub mod mistake;
pub mod reading;
pub mod schema;
pub mod target;

use checks::{certificate, cidrs, cluster, dns, manifests, names};
use file::{CloudName, File};
use ipnet::Ipv4Net;
use jiff::Timestamp;
use landfall_steps::settings::{Canary, Certificate, Cluster, Dns, Network, Renewal, Settings};
use layers::{Environment, Flags, Layers};
use mistake::{Given, Mistake, Place};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use target::Where;

/// The purpose of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Apply: an unusable certificate or manifest is a mistake.
    Make,
    /// Inspect or delete: a certificate that has expired since must not prevent it.
    Remember,
}

/// The input of [`load`].
pub struct Asked<'a> {
    /// The flags.
    pub flags: &'a Flags,
    /// The environment variables.
    pub environment: &'a Environment,
    /// The settings file, if one was named.
    pub config: Option<&'a Path>,
    /// The environment's name.
    pub name: &'a str,
    /// The folder of all environments' state.
    pub state_dir: &'a Path,
    /// The purpose.
    pub purpose: Purpose,
    /// The time at which certificates must be valid.
    pub now: Timestamp,
    /// Prompts for the PFX password.
    pub ask: certificate::Ask<'a>,
}

/// The validated settings.
pub struct Wished {
    /// The environment.
    pub settings: Settings,
    /// The target.
    pub place: Where,
    /// The environment's own state folder.
    pub folder: PathBuf,
}

/// Reads all sources and validates everything.
///
/// # Errors
/// Returns all mistakes, ordered by file, target, environment.
pub fn load(asked: &Asked<'_>) -> Result<Wished, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let config = asked.config.unwrap_or(Path::new("landfall.toml"));
    let mut reading = reading::read(config, asked.config.is_some(), &mut mistakes);
    let file = std::mem::take(&mut reading.file);
    let mut layers = Layers::new(asked.flags, asked.environment, &reading, mistakes);

    let name = Given { value: asked.name.to_owned(), key: "environment", place: Place::Flag("environment") };
    let name = layers.take(names::environment(&name));
    let folder = asked.state_dir.join(asked.name);
    let place = target::read(&mut layers, &file);
    let cloud = place.as_ref().map_or(CloudName::Sim, |place| place.cloud);
    let settings = wishes(&mut layers, &file, asked, &folder, cloud);
    match (name, place, settings, layers.mistakes) {
        (Some(name), Some(place), Some(settings), mistakes) if mistakes.is_empty() => {
            Ok(Wished { settings: Settings { environment: name, ..settings }, place, folder })
        }
        (.., mistakes) => Err(mistakes),
    }
}

fn wishes(
    layers: &mut Layers<'_>,
    file: &File,
    asked: &Asked<'_>,
    folder: &Path,
    cloud: CloudName,
) -> Option<Settings> {
    let domain = layers.pick_or("domain", file.domain.as_ref(), defaults::DOMAIN);
    let domain = layers.take(dns::domain(&domain));
    let location = layers.pick_or("location", file.location.as_ref(), defaults::LOCATION);
    let location = layers.take(names::location(&location));
    let group = layers.pick_or("resource_group", file.resource_group.as_ref(), defaults::RESOURCE_GROUP);
    let nodes_default = format!("{}{}", group.value, defaults::NODE_GROUP_SUFFIX);
    let node_group = layers.pick_or("node_resource_group", file.node_resource_group.as_ref(), &nodes_default);
    let node_group =
        names::node_resource_group(&node_group, &group.value).map_err(|mistake| match mistake.place {
            // The value is derived: the fix is at the setting from which it is derived.
            Place::Default => Mistake { place: group.place.clone(), ..mistake },
            _ => mistake,
        });
    let node_group = layers.take(node_group);
    let group = layers.take(names::resource_group(&group));
    let tags = tags(layers, file);
    let vault = layers.pick("key_vault.name", file.key_vault.name.as_ref());
    let vault = vault.map_or(Some(None), |given| layers.take(names::vault(&given)).map(Some));
    let ranges = network_and_cluster(layers, file);
    let certificate = domain.as_deref().map(|domain| self::certificate(layers, file, asked, domain));
    let dns = self::dns(layers, file, domain.as_deref());
    let canary = canary(layers, file);
    let kubeconfig = self::kubeconfig(layers, file, asked.purpose, folder, cloud);
    let manifests = self::manifests(layers, file, asked.purpose);
    let (network, cluster) = ranges?;
    Some(Settings {
        environment: String::new(),
        domain: domain?,
        location: location?,
        resource_group: group?,
        node_resource_group: node_group?,
        tags: tags?,
        network,
        key_vault: vault?,
        certificate: certificate??,
        cluster,
        dns: dns?,
        canary: canary?,
        kubeconfig: kubeconfig?,
        state_folder: folder.to_owned(),
        manifests: manifests?,
        skip_preflight: std::collections::BTreeSet::new(),
        replace_objects: Vec::new(),
    })
}

fn tags(layers: &mut Layers<'_>, file: &File) -> Option<BTreeMap<String, String>> {
    let Some(tags) = &file.tags else {
        return Some(defaults::TAGS.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    };
    let given = Given { value: tags.clone(), key: "tags", place: layers.place("tags") };
    names::tags(&given).map_err(|mistakes| layers.mistakes.extend(mistakes)).ok()
}

fn network_and_cluster(layers: &mut Layers<'_>, file: &File) -> Option<(Network, Cluster)> {
    let (net, aks) = (&file.network, &file.cluster);
    let name = layers.pick_or("network.name", net.name.as_ref(), defaults::NETWORK);
    let name = layers.take(names::network(&name));
    let subnet = layers.pick_or("network.subnet", net.subnet.as_ref(), defaults::SUBNET);
    let subnet = layers.take(names::subnet(&subnet));
    let space = range(layers, "network.address_space", net.address_space.as_ref(), defaults::ADDRESS_SPACE);
    let prefix = range(layers, "network.subnet_prefix", net.subnet_prefix.as_ref(), defaults::SUBNET_PREFIX);
    let services = range(layers, "cluster.service_cidr", aks.service_cidr.as_ref(), defaults::SERVICE_CIDR);
    let dns_ip =
        layers.pick_or("cluster.dns_service_ip", aks.dns_service_ip.as_ref(), defaults::DNS_SERVICE_IP);

    let cluster = layers.pick_or("cluster.name", aks.name.as_ref(), defaults::CLUSTER);
    let cluster = layers.take(names::cluster(&cluster));
    let version = layers.pick("cluster.version", aks.version.as_ref());
    let version = version.map_or(Some(None), |given| layers.take(cluster::version(&given)).map(Some));
    let size = layers.pick_or("cluster.node_size", aks.node_size.as_ref(), defaults::NODE_SIZE);
    let size = layers.take(cluster::node_size(&size));
    let nodes = count(layers, "cluster.nodes", aks.nodes, defaults::NODES);
    let nodes_min = count(layers, "cluster.nodes_min", aks.nodes_min, defaults::NODES_MIN);
    let nodes_max = count(layers, "cluster.nodes_max", aks.nodes_max, defaults::NODES_MAX);
    if let (Some(nodes), Some(least), Some(most)) = (&nodes, &nodes_min, &nodes_max) {
        layers.mistakes.extend(cluster::nodes(nodes, least, most));
    }
    if let (Some(space), Some(prefix)) = (&space, &prefix) {
        layers.mistakes.extend(cidrs::network(space, prefix, nodes_max.as_ref()));
    }
    if let (Some(services), Some(space)) = (&services, &space) {
        layers.mistakes.extend(cidrs::services(services, space));
    }
    let dns_ip = services.as_ref().and_then(|services| layers.take(cidrs::dns_service_ip(&dns_ip, services)));
    let network = cidrs::assembled(name?, subnet?, &space?, &prefix?);
    let cluster = Cluster {
        name: cluster?,
        version: version?,
        nodes: nodes?.value,
        node_size: size?,
        nodes_min: nodes_min?.value,
        nodes_max: nodes_max?.value,
        service_cidr: services?.value,
        dns_service_ip: dns_ip?,
        replace: false,
    };
    Some((network, cluster))
}

fn range(
    layers: &mut Layers<'_>,
    key: &'static str,
    file: Option<&String>,
    default: &str,
) -> Option<Given<Ipv4Net>> {
    let given = layers.pick_or(key, file, default);
    layers.take(cidrs::range(&given))
}

fn count(layers: &mut Layers<'_>, key: &'static str, file: Option<u32>, default: u32) -> Option<Given<u32>> {
    let given = layers.pick_or(key, file, &default.to_string());
    layers.read(&given, "a whole number", &default.to_string())
}

fn certificate(layers: &mut Layers<'_>, file: &File, asked: &Asked<'_>, domain: &str) -> Option<Certificate> {
    let name = layers.pick_or("certificate.name", file.certificate.name.as_ref(), defaults::CERTIFICATE);
    let name = layers.take(names::certificate(&name));
    let renew_before = file.certificate.renew_before.as_ref().map(|written| &written.0);
    let renewal = match layers.pick("certificate.renew_before", renew_before) {
        Some(given) => Some(Renewal::WhenLeft(layers.take(certificate::renew_before(&given))?)),
        None => None,
    };
    let Some(given) = layers.pick("certificate.pfx", file.certificate.pfx.as_ref()) else {
        return Some(Certificate { name: name?, given: None, renewal });
    };
    let path = layers.path(&given);
    let password = password(layers, file);
    let opened = match asked.purpose {
        Purpose::Make => {
            let hosts = Settings::hosts_of(domain);
            let opened = certificate::pfx(&given, &path, password.as_ref(), asked.ask)
                .and_then(|material| certificate::suits(&given, &path, material, &hosts, asked.now));
            Some(layers.take(opened)?)
        }
        Purpose::Remember => {
            let opened = certificate::pfx(&given, &path, password.as_ref(), &|_| None);
            opened.ok().map(std::sync::Arc::new)
        }
    };
    Some(Certificate { name: name?, given: opened, renewal })
}

/// Returns the PFX password: a variable that is set but empty is an empty password.
fn password(layers: &Layers<'_>, file: &File) -> Option<Given<String>> {
    let (key, variable) = ("certificate.password", "SSL_PFX_PASSWORD");
    match layers.environment().exact(variable) {
        Some(value) => Some(Given { value: value.to_owned(), key, place: Place::Environment(variable) }),
        None => layers.pick(key, file.certificate.password.as_ref()),
    }
}

fn dns(layers: &mut Layers<'_>, file: &File, domain: Option<&str>) -> Option<Dns> {
    let zone = layers.pick("dns.zone", file.dns.zone.as_ref());
    let zone = match (zone, domain) {
        (Some(given), Some(domain)) => Some(layers.take(dns::zone(&given, domain))?),
        _ => None,
    };
    let group = layers.pick("dns.resource_group", file.dns.resource_group.as_ref());
    let group = group.map_or(Some(None), |given| layers.take(names::resource_group(&given)).map(Some));
    Some(Dns { zone, resource_group: group? })
}

fn canary(layers: &mut Layers<'_>, file: &File) -> Option<Canary> {
    let stable = count(layers, "canary.stable", file.canary.stable, u32::from(defaults::STABLE));
    let canary = count(layers, "canary.canary", file.canary.canary, u32::from(defaults::CANARY));
    let (stable, canary) = (stable?, canary?);
    layers.take(checks::canary::split(&stable, &canary))
}

/// Returns the kubeconfig to write: the first of a list; by default a simulated cloud has its own.
fn kubeconfig(
    layers: &mut Layers<'_>,
    file: &File,
    purpose: Purpose,
    folder: &Path,
    cloud: CloudName,
) -> Option<PathBuf> {
    let given = layers.pick("kubeconfig", file.kubeconfig.as_ref());
    let path = match (&given, cloud, layers.environment().get("HOME")) {
        (Some(given), ..) if matches!(given.place, Place::Environment(_)) => {
            std::env::split_paths(&given.value).find(|path| !path.as_os_str().is_empty()).unwrap_or_default()
        }
        (Some(given), ..) => layers.path(given),
        (None, CloudName::Sim, _) => folder.join("kubeconfig"),
        (None, CloudName::Azure, Some(home)) => Path::new(home).join(".kube/config"),
        (None, CloudName::Azure, None) => {
            let mistake =
                Mistake::at(Place::Environment("HOME"), "is not set, so there is no ~/.kube/config");
            layers.mistakes.push(mistake.hint("set KUBECONFIG"));
            return None;
        }
    };
    if purpose == Purpose::Make {
        let value = path.display().to_string();
        let given = given.unwrap_or(Given { value, key: "kubeconfig", place: Place::Default });
        layers.take(checks::kubeconfig::file(&given, &path, folder))?;
    }
    Some(path)
}

type Manifests = std::sync::Arc<Vec<landfall_cloud::kubernetes::manifest::Manifest>>;

fn manifests(layers: &mut Layers<'_>, file: &File, purpose: Purpose) -> Option<Option<Manifests>> {
    let Some(given) = layers.pick("manifests", file.manifests.as_ref()) else { return Some(None) };
    match (manifests::folder(&given, &layers.path(&given)), purpose) {
        (Ok(manifests), _) => Some(Some(manifests)),
        (Err(_), Purpose::Remember) => Some(None),
        (Err(mistakes), Purpose::Make) => {
            layers.mistakes.extend(mistakes);
            None
        }
    }
}

#[cfg(test)]
mod tests;
