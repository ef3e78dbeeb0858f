//! Settings: flags, environment and `landfall.toml`, validated; all mistakes are reported at once.
//!
//! `file` is the structure of the file, `reading` parses it, `layers` applies the precedence of sources, and
//! `checks` contains the rules. This module combines them. Nothing here uses a network.

pub mod checks;
pub mod config_error;
pub mod defaults;
pub mod file_schema;
pub mod flags;
pub mod parse;
pub mod schema;
pub mod sources;
pub mod target;

use checks::endpoints::Consent;
use checks::{acme, certificate, cidrs, cluster, dns, manifests, names, state};
use config_error::{ConfigError, Place, Sourced};
use file_schema::{CloudName, File, IdentityName, PublisherName};
use ipnet::Ipv4Net;
use jiff::Timestamp;
use landfall_steps::{
    StepTables,
    identity_mode::IdentityMode,
    settings::{Canary, Certificate, Cluster, Dns, Network, Publisher, Renewal, Settings},
};
use sources::{Environment, Flags, Sources};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use target::TargetConfig;

/// The purpose of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Apply: an unusable certificate or manifest is a mistake.
    Apply,
    /// Inspect or delete: a certificate that has expired since must not prevent it.
    Inspect,
}

/// The input of [`load`].
pub struct LoadInput<'a> {
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
    pub mode: Mode,
    /// The time at which certificates must be valid.
    pub now: Timestamp,
    /// Prompts for the PFX password.
    pub ask: certificate::Ask<'a>,
}

/// The validated settings.
#[derive(Clone)]
pub struct LoadedConfig {
    /// The environment.
    pub settings: Settings,
    /// The target.
    pub place: TargetConfig,
    /// The environment's own state folder.
    pub folder: PathBuf,
}

/// Reads all sources and validates everything.
///
/// # Errors
/// Returns all mistakes, ordered by file, target, environment.
pub fn load(input: &LoadInput<'_>) -> Result<LoadedConfig, Vec<ConfigError>> {
    let mut config_errors = Vec::new();
    let config = input.config.unwrap_or(Path::new("landfall.toml"));
    let parsed = parse::read(config, input.config.is_some(), &mut config_errors);
    load_parsed(input, parsed, config_errors)
}

/// Like [`load`], for a file that is parsed already, with its mistakes so far.
///
/// # Errors
/// Those of [`load`].
pub fn load_parsed(
    input: &LoadInput<'_>,
    mut parsed: parse::ParsedFile,
    config_errors: Vec<ConfigError>,
) -> Result<LoadedConfig, Vec<ConfigError>> {
    let (file, tables) = (std::mem::take(&mut parsed.file), std::mem::take(&mut parsed.tables));
    let mut sources = Sources::new(input.flags, input.environment, &parsed, config_errors);

    let name =
        Sourced { value: input.name.to_owned(), key: "environment", place: Place::Flag("environment") };
    let name = sources.take(names::environment(&name));
    let folder = input.state_dir.join(input.name);
    let place = target::read(&mut sources, &file);
    let cloud = place.as_ref().map_or(CloudName::Sim, |place| place.cloud);
    let settings = build_settings(&mut sources, &file, tables, input, &folder, cloud);
    let acme = settings.as_ref().and_then(|settings| settings.certificate.acme.as_deref());
    let consent = place.as_ref().map_or(Consent::NotNeeded, |place| place.consent.clone());
    let acme_consent = acme::consent(&sources, acme, consent);
    let state = place.as_ref().and_then(|place| place.state.as_ref());
    let consent = state::consent(&sources, state, acme_consent);
    match (name, place, settings, sources.config_errors) {
        (Some(name), Some(mut place), Some(settings), config_errors) if config_errors.is_empty() => {
            place.consent = consent;
            Ok(LoadedConfig { settings: Settings { environment: name, ..settings }, place, folder })
        }
        (.., config_errors) => Err(config_errors),
    }
}

fn build_settings(
    sources: &mut Sources<'_>,
    file: &File,
    tables: StepTables,
    input: &LoadInput<'_>,
    folder: &Path,
    cloud: CloudName,
) -> Option<Settings> {
    let domain = sources.pick_or("domain", file.domain.as_ref(), defaults::DOMAIN);
    let domain = sources.take(dns::domain(&domain));
    let location = sources.pick_or("location", file.location.as_ref(), defaults::LOCATION);
    let location = sources.take(names::location(&location));
    let group = sources.pick_or("resource_group", file.resource_group.as_ref(), defaults::RESOURCE_GROUP);
    let nodes_default = format!("{}{}", group.value, defaults::NODE_GROUP_SUFFIX);
    let node_group =
        sources.pick_or("node_resource_group", file.node_resource_group.as_ref(), &nodes_default);
    let node_group = names::node_resource_group(&node_group, &group.value).map_err(|config_error| {
        match config_error.place {
            // The value is derived: the fix is at the setting from which it is derived.
            Place::Default => ConfigError { place: group.place.clone(), ..config_error },
            _ => config_error,
        }
    });
    let node_group = sources.take(node_group);
    let group = sources.take(names::resource_group(&group));
    let tags = tags(sources, file);
    let vault = sources.pick("key_vault.name", file.key_vault.name.as_ref());
    let vault = vault.map_or(Some(None), |given| sources.take(names::vault(&given)).map(Some));
    let identity = identity(sources, file);
    let identity_name = sources.pick("identity_name", file.identity_name.as_ref());
    let identity_name =
        identity_name.map_or(Some(None), |given| sources.take(names::identity(&given)).map(Some));
    let ranges = network_and_cluster(sources, file);
    let manifests = self::manifests(sources, file, input.mode);
    let certificate = domain.as_deref().map(|domain| {
        // An unreadable folder is a mistake of its own; the hosts in it are unknown.
        let hosts =
            manifests.as_ref().map(|folder| Settings::hosts_of(domain, folder.as_deref().map(Vec::as_slice)));
        self::certificate(sources, file, input, domain, &hosts.unwrap_or_default())
    });
    let dns = self::dns(sources, file, domain.as_deref());
    let canary = canary(sources, file);
    let kubeconfig = self::kubeconfig(sources, file, input.mode, folder, cloud);
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
        identity: identity?,
        identity_name: identity_name?,
        certificate: certificate??,
        cluster,
        dns: dns?,
        canary: canary?,
        kubeconfig: kubeconfig?,
        state_folder: folder.to_owned(),
        manifests: manifests?,
        skip_preflight: std::collections::BTreeSet::new(),
        replace_objects: Vec::new(),
        tables,
    })
}

/// Reads the identity; `Some(None)` if no source has it.
fn identity(sources: &mut Sources<'_>, file: &File) -> Option<Option<IdentityMode>> {
    let is_set = file.identity.is_some() || sources.pick("identity", None::<&str>).is_some();
    let name =
        target::choice(sources, "identity", file.identity, IdentityName::Workload, "workload or add-on")?;
    Some(is_set.then_some(match name {
        IdentityName::Workload => IdentityMode::Workload,
        IdentityName::AddOn => IdentityMode::AddOn,
    }))
}

fn tags(sources: &mut Sources<'_>, file: &File) -> Option<BTreeMap<String, String>> {
    let Some(tags) = &file.tags else {
        return Some(defaults::TAGS.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    };
    let given = Sourced { value: tags.clone(), key: "tags", place: sources.place("tags") };
    names::tags(&given).map_err(|config_errors| sources.config_errors.extend(config_errors)).ok()
}

fn network_and_cluster(sources: &mut Sources<'_>, file: &File) -> Option<(Network, Cluster)> {
    let (net, aks) = (&file.network, &file.cluster);
    let name = sources.pick_or("network.name", net.name.as_ref(), defaults::NETWORK);
    let name = sources.take(names::network(&name));
    let subnet = sources.pick_or("network.subnet", net.subnet.as_ref(), defaults::SUBNET);
    let subnet = sources.take(names::subnet(&subnet));
    let space = range(sources, "network.address_space", net.address_space.as_ref(), defaults::ADDRESS_SPACE);
    let prefix = range(sources, "network.subnet_prefix", net.subnet_prefix.as_ref(), defaults::SUBNET_PREFIX);
    let services = range(sources, "cluster.service_cidr", aks.service_cidr.as_ref(), defaults::SERVICE_CIDR);
    let dns_ip =
        sources.pick_or("cluster.dns_service_ip", aks.dns_service_ip.as_ref(), defaults::DNS_SERVICE_IP);

    let cluster = sources.pick_or("cluster.name", aks.name.as_ref(), defaults::CLUSTER);
    let cluster = sources.take(names::cluster(&cluster));
    let version = sources.pick("cluster.version", aks.version.as_ref());
    let version = version.map_or(Some(None), |given| sources.take(cluster::version(&given)).map(Some));
    let size = sources.pick_or("cluster.node_size", aks.node_size.as_ref(), defaults::NODE_SIZE);
    let size = sources.take(cluster::node_size(&size));
    let nodes = count(sources, "cluster.nodes", aks.nodes, defaults::NODES);
    let nodes_min = count(sources, "cluster.nodes_min", aks.nodes_min, defaults::NODES_MIN);
    let nodes_max = count(sources, "cluster.nodes_max", aks.nodes_max, defaults::NODES_MAX);
    if let (Some(nodes), Some(least), Some(most)) = (&nodes, &nodes_min, &nodes_max) {
        sources.config_errors.extend(cluster::nodes(nodes, least, most));
    }
    if let (Some(space), Some(prefix)) = (&space, &prefix) {
        sources.config_errors.extend(cidrs::network(space, prefix, nodes_max.as_ref()));
    }
    if let (Some(services), Some(space)) = (&services, &space) {
        sources.config_errors.extend(cidrs::services(services, space));
    }
    let dns_ip =
        services.as_ref().and_then(|services| sources.take(cidrs::dns_service_ip(&dns_ip, services)));
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
    sources: &mut Sources<'_>,
    key: &'static str,
    file: Option<&String>,
    default: &str,
) -> Option<Sourced<Ipv4Net>> {
    let given = sources.pick_or(key, file, default);
    sources.take(cidrs::range(&given))
}

fn count(
    sources: &mut Sources<'_>,
    key: &'static str,
    file: Option<u32>,
    default: u32,
) -> Option<Sourced<u32>> {
    let given = sources.pick_or(key, file, &default.to_string());
    sources.read(&given, "a whole number", &default.to_string())
}

fn certificate(
    sources: &mut Sources<'_>,
    file: &File,
    input: &LoadInput<'_>,
    domain: &str,
    hosts: &[String],
) -> Option<Certificate> {
    let name = sources.pick_or("certificate.name", file.certificate.name.as_ref(), defaults::CERTIFICATE);
    let name = sources.take(names::certificate(&name));
    let renew_before = file.certificate.renew_before.as_ref().map(|written| &written.0);
    let renewal = match sources.pick("certificate.renew_before", renew_before) {
        Some(given) => Some(Renewal::WhenLeft(sources.take(certificate::renew_before(&given))?)),
        None => None,
    };
    let given = sources.pick("certificate.pfx", file.certificate.pfx.as_ref());
    let acme = acme::read(sources, file, given.as_ref(), domain, hosts)?;
    let Some(given) = given else {
        return Some(Certificate { name: name?, given: None, acme: acme.map(std::sync::Arc::new), renewal });
    };
    let path = sources.path(&given);
    let password = password(sources, file);
    let opened = match input.mode {
        Mode::Apply => {
            let opened = certificate::pfx(&given, &path, password.as_ref(), input.ask)
                .and_then(|material| certificate::suits(&given, &path, material, hosts, input.now));
            Some(sources.take(opened)?)
        }
        Mode::Inspect => {
            let opened = certificate::pfx(&given, &path, password.as_ref(), &|_| None);
            opened.ok().map(std::sync::Arc::new)
        }
    };
    Some(Certificate { name: name?, given: opened, acme: None, renewal })
}

/// Returns the PFX password: a variable that is set but empty is an empty password.
fn password(sources: &Sources<'_>, file: &File) -> Option<Sourced<String>> {
    let (key, variable) = ("certificate.password", "SSL_PFX_PASSWORD");
    match sources.environment().exact(variable).filter(|_| !sources.file_wins(key)) {
        Some(value) => Some(Sourced { value: value.to_owned(), key, place: Place::Environment(variable) }),
        None => sources.pick(key, file.certificate.password.as_ref()),
    }
}

fn dns(sources: &mut Sources<'_>, file: &File, domain: Option<&str>) -> Option<Dns> {
    let zone = sources.pick("dns.zone", file.dns.zone.as_ref());
    let zone = match (zone, domain) {
        (Some(given), Some(domain)) => Some(sources.take(dns::zone(&given, domain))?),
        _ => None,
    };
    let group = sources.pick("dns.resource_group", file.dns.resource_group.as_ref());
    let group = group.map_or(Some(None), |given| sources.take(names::resource_group(&given)).map(Some));
    let publish = match file.dns.publish {
        None | Some(PublisherName::Landfall) => Publisher::Landfall,
        Some(PublisherName::Operator) => Publisher::Operator,
        Some(PublisherName::Table) => Publisher::Table,
    };
    Some(Dns { zone, resource_group: group?, publish })
}

fn canary(sources: &mut Sources<'_>, file: &File) -> Option<Canary> {
    let stable = count(sources, "canary.stable", file.canary.stable, u32::from(defaults::STABLE));
    let canary = count(sources, "canary.canary", file.canary.canary, u32::from(defaults::CANARY));
    let (stable, canary) = (stable?, canary?);
    sources.take(checks::canary::split(&stable, &canary))
}

/// Returns the kubeconfig to write: the first of a list; by default a simulated cloud has its own.
fn kubeconfig(
    sources: &mut Sources<'_>,
    file: &File,
    mode: Mode,
    folder: &Path,
    cloud: CloudName,
) -> Option<PathBuf> {
    let given = sources.pick("kubeconfig", file.kubeconfig.as_ref());
    let path = match (&given, cloud, sources.environment().get("HOME")) {
        (Some(given), ..) if matches!(given.place, Place::Environment(_)) => {
            std::env::split_paths(&given.value).find(|path| !path.as_os_str().is_empty()).unwrap_or_default()
        }
        (Some(given), ..) => sources.path(given),
        (None, CloudName::Sim, _) => folder.join("kubeconfig"),
        (None, CloudName::Azure, Some(home)) => Path::new(home).join(".kube/config"),
        (None, CloudName::Azure, None) => {
            let config_error =
                ConfigError::at(Place::Environment("HOME"), "is not set, so there is no ~/.kube/config");
            sources.config_errors.push(config_error.hint("set KUBECONFIG"));
            return None;
        }
    };
    if mode == Mode::Apply {
        let value = path.display().to_string();
        let given = given.unwrap_or(Sourced { value, key: "kubeconfig", place: Place::Default });
        sources.take(checks::kubeconfig::file(&given, &path, folder))?;
    }
    Some(path)
}

type Manifests = std::sync::Arc<Vec<landfall_cloud::kubernetes::manifest::Manifest>>;

fn manifests(sources: &mut Sources<'_>, file: &File, mode: Mode) -> Option<Option<Manifests>> {
    let Some(given) = sources.pick("manifests", file.manifests.as_ref()) else { return Some(None) };
    match (manifests::folder(&given, &sources.path(&given)), mode) {
        (Ok(manifests), _) => Some(Some(manifests)),
        (Err(_), Mode::Inspect) => Some(None),
        (Err(config_errors), Mode::Apply) => {
            sources.config_errors.extend(config_errors);
            None
        }
    }
}

#[cfg(test)]
mod tests;
