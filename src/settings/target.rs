//! Settings of the target: cloud, subscription and sign-in.

use super::{
    checks::{
        endpoints::{self, Consent},
        images, proxy,
        state::{self, StateConfig},
    },
    config_error::{ConfigError, Sourced},
    defaults,
    file_schema::{AuthName, CloudName, File},
    sources::Sources,
};
use landfall_cloud::text_file;
use landfall_sim::fault::Armed;
use serde::de::IntoDeserializer;
use std::{collections::BTreeMap, path::PathBuf};
use url::Url;

/// The maximum size of a file with authorities. Those of an operating system have 250 KB.
const AUTHORITIES_SIZE_MAX: u64 = 4_000_000;

/// The target.
#[derive(Clone)]
pub struct TargetConfig {
    /// The cloud.
    pub cloud: CloudName,
    /// The subscription's id; `None` means that of the sign-in.
    pub subscription: Option<String>,
    /// The tenant; `None` means that of the sign-in.
    pub tenant: Option<String>,
    /// The sign-in method.
    pub auth: AuthName,
    /// The options of the simulated cloud.
    pub sim: SimConfig,
    /// Endpoints that differ from public Azure's.
    pub endpoints: Endpoints,
    /// The place of the journal; `None` for the state folder.
    pub state: Option<StateConfig>,
    /// The consent to endpoints that landfall does not know.
    pub consent: Consent,
}

/// The options of the simulated cloud.
#[derive(Clone, Debug, PartialEq)]
pub struct SimConfig {
    /// The time scale: 1 is real time; infinite for instant.
    pub speed: Sourced<f64>,
    /// The seed; `None` means a random one.
    pub seed: Option<Sourced<u64>>,
    /// The faults to inject.
    pub faults: Vec<String>,
    /// The DNS zones to create.
    pub zones: Vec<String>,
    /// The programs of this machine that stand for images, by the repository of the image.
    pub images: Option<Sourced<BTreeMap<String, PathBuf>>>,
    /// The environment whose simulated cloud is used; `None` for the own one.
    pub environment: Option<String>,
}

/// Endpoints that differ from public Azure's; `None` means public Azure's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// The sign-in authority.
    pub login: Option<Url>,
    /// The resource manager.
    pub arm: Option<Url>,
    /// The audience of resource manager tokens.
    pub arm_audience: Option<String>,
    /// The suffix of vault host names.
    pub vault_suffix: Option<String>,
    /// The audience of vault tokens.
    pub vault_audience: Option<String>,
    /// The only authorities to trust, PEM.
    pub authorities: Option<String>,
}

/// Reads the target.
pub fn read(sources: &mut Sources<'_>, file: &File) -> Option<TargetConfig> {
    let cloud = choice(sources, "cloud", file.cloud, CloudName::Sim, "sim or azure");
    let ways = "one of auto, cli, service-principal, workload-identity, managed-identity";
    let auth = choice(sources, "auth", file.auth, AuthName::Auto, ways);
    let subscription = sources.pick("subscription", file.subscription.as_ref());
    let subscription =
        subscription.map_or(Some(None), |given| sources.take(super::names::subscription(&given)).map(Some));
    let tenant = sources.pick("tenant", file.tenant.as_ref());
    let tenant = tenant.map_or(Some(None), |given| sources.take(super::names::tenant(&given)).map(Some));
    let sim = sim_config(sources, file);
    let own = self::endpoints(sources, file);
    let consent = own.as_ref().map(|own| endpoints::consent(sources, own));
    let state = state::read(sources, file, cloud, own.as_ref());
    if cloud == Some(CloudName::Azure) {
        sources.take(proxy::https(sources.environment()));
    }
    let place = TargetConfig {
        cloud: cloud?,
        subscription: subscription?,
        tenant: tenant?,
        auth: auth?,
        sim: sim?,
        endpoints: own?,
        state: state?,
        consent: consent??,
    };
    if place.cloud == CloudName::Sim && place.endpoints != Endpoints::default() {
        let config_error =
            ConfigError::at(sources.place("endpoints"), "[endpoints] is only for Azure, but cloud is sim");
        sources
            .config_errors
            .push(config_error.hint("set cloud = \"azure\", or remove the table [endpoints]"));
        return None;
    }
    Some(place)
}

/// Parses an enumerated value: the file's is already validated, a flag's or variable's is not.
pub(super) fn choice<T: Copy + serde::de::DeserializeOwned>(
    sources: &mut Sources<'_>,
    key: &'static str,
    file: Option<T>,
    default: T,
    wanted: &str,
) -> Option<T> {
    let Some(given) = sources.pick(key, None::<&str>) else { return Some(file.unwrap_or(default)) };
    let word: serde::de::value::StrDeserializer<'_, serde::de::value::Error> =
        given.value.trim().into_deserializer();
    let choice = T::deserialize(word);
    sources.take(choice.map_err(|_| {
        let wrong = given.wrong(format!("\"{}\" is not a valid {key}", given.value));
        wrong.hint(format!("use {wanted}"))
    }))
}

fn sim_config(sources: &mut Sources<'_>, file: &File) -> Option<SimConfig> {
    let speed = file.sim.speed.as_ref().map(|speed| speed.0.as_str());
    let speed = sources.pick_or("sim.speed", speed, &defaults::SPEED.to_string());
    let speed = sources.take(self::speed(&speed).map(|value| speed.with(value)));
    let seed = sources.pick("sim.seed", file.sim.seed);
    let seed = seed.map_or(Some(None), |given| sources.read::<u64>(&given, "a seed", "7").map(Some));
    let listed = file.sim.faults.as_ref().map(|faults| faults.join(","));
    let faults = sources.pick("sim.faults", listed);
    let faults = faults.map_or(Some(Vec::new()), |given| sources.take(self::faults(&given)));
    let listed = file.sim.zones.as_ref().map(|zones| zones.join(","));
    let zones = sources.pick("sim.zones", listed);
    let zones = zones.map_or(Some(Vec::new()), |given| sources.take(self::zones(&given)));
    let listed = file.sim.images.as_ref().map(|images| images.join(","));
    let images = sources.pick("sim.images", listed);
    let images = images.map_or(Some(None), |given| {
        let read = images::read(sources, &given);
        sources.take(read).map(|images| Some(given.with(images)))
    });
    let environment = sources.pick("sim.environment", file.sim.environment.as_ref());
    let environment =
        environment.map_or(Some(None), |given| sources.take(super::names::environment(&given)).map(Some));
    Some(SimConfig {
        speed: speed?,
        seed: seed?,
        faults: faults?,
        zones: zones?,
        images: images?,
        environment: environment?,
    })
}

/// Parses a list of zones.
fn zones(given: &Sourced<String>) -> Result<Vec<String>, ConfigError> {
    let zones = given.value.split(',').map(str::trim).filter(|zone| !zone.is_empty());
    let zone = |zone: &str| match landfall_sim::is_zone_name(zone) {
        true => Ok(zone.to_ascii_lowercase()),
        false => Err(given
            .wrong(format!("\"{zone}\" is not a name of a DNS zone"))
            .hint("use a domain of at least two labels, such as example.com")),
    };
    zones.map(zone).collect()
}

/// Parses a list of faults; only the simulated cloud knows the valid ones.
fn faults(given: &Sourced<String>) -> Result<Vec<String>, ConfigError> {
    let faults: Vec<&str> = given.value.split(',').map(str::trim).filter(|fault| !fault.is_empty()).collect();
    for fault in &faults {
        Armed::read(fault).map_err(|error| {
            given
                .wrong(format!("cannot {error}"))
                .hint("a fault is written name[@METHOD path-part][#n][*times]")
        })?;
    }
    Ok(faults.into_iter().map(str::to_owned).collect())
}

/// Parses a time scale: a positive number or `instant`.
fn speed(given: &Sourced<String>) -> Result<f64, ConfigError> {
    match given.value.trim() {
        "instant" => Ok(f64::INFINITY),
        text => text.parse().ok().filter(|speed: &f64| speed.is_finite() && *speed > 0.0).ok_or_else(|| {
            given
                .wrong(format!("\"{text}\" is not a speed"))
                .hint("use a number above 0 (1 is real time, 60 is an hour in a minute) or instant")
        }),
    }
}

fn endpoints(sources: &mut Sources<'_>, file: &File) -> Option<Endpoints> {
    let table = &file.endpoints;
    let login = table.login.as_ref().map(|text| address(sources, "endpoints.login", text));
    let arm = table.arm.as_ref().map(|text| address(sources, "endpoints.arm", text));
    let suffix = table.vault_suffix.as_ref().map(|text| vault_suffix(sources, text));
    let authorities = table.ca_file.as_ref().map(|text| authorities(sources, text));
    Some(Endpoints {
        login: login.map_or(Some(None), |url| url.map(Some))?,
        arm: arm.map_or(Some(None), |url| url.map(Some))?,
        arm_audience: table.arm_audience.clone(),
        vault_suffix: suffix.map_or(Some(None), |suffix| suffix.map(Some))?,
        vault_audience: table.vault_audience.clone(),
        authorities: authorities.map_or(Some(None), |text| text.map(Some))?,
    })
}

fn address(sources: &mut Sources<'_>, key: &'static str, text: &str) -> Option<Url> {
    let given = Sourced { value: text.to_owned(), key, place: sources.place(key) };
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.host().is_some());
    let url = url.ok_or_else(|| {
        given.wrong(format!("\"{text}\" is not an https:// address")).hint("tokens are sent only over HTTPS")
    });
    sources.take(url.and_then(|url| {
        match is_bare(&url, key) {
            true => Ok(url),
            // The text is omitted: the part before an @ may be a password.
            false => Err(given
                .wrong("the address has an unused part: a user, a query, a fragment or a path")
                .hint("use only scheme, host and port: https://management.example.com")),
        }
    }))
}

/// Returns whether an address consists of an origin only. Only a sign-in may have a path, as with a
/// federation service.
fn is_bare(url: &Url, key: &str) -> bool {
    let plain = url.username().is_empty() && url.password().is_none();
    let path = url.path() == "/" || key == "endpoints.login";
    plain && path && url.query().is_none() && url.fragment().is_none()
}

/// Parses the parent domain of all vaults.
fn vault_suffix(sources: &mut Sources<'_>, text: &str) -> Option<String> {
    let key = "endpoints.vault_suffix";
    let given = Sourced { value: text.to_owned(), key, place: sources.place(key) };
    let domain = text.trim_start_matches('.').to_ascii_lowercase();
    let is_label = |label: &str| {
        let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        !label.is_empty() && label.chars().all(plain)
    };
    let holds = domain.contains('.') && domain.split('.').all(is_label);
    sources.take(if holds {
        Ok(domain)
    } else {
        Err(given
            .wrong(format!("\"{text}\" is not a domain"))
            .hint("use the suffix of the vaults' host names: vault.azure.net"))
    })
}

fn authorities(sources: &mut Sources<'_>, text: &str) -> Option<String> {
    pem(sources, "endpoints.ca_file", text)
}

/// Reads a PEM file with authorities.
pub(super) fn pem(sources: &mut Sources<'_>, key: &'static str, text: &str) -> Option<String> {
    let given = Sourced { value: text.to_owned(), key, place: sources.place(key) };
    let path = sources.path(&given);
    let read = text_file::read(&path, AUTHORITIES_SIZE_MAX)
        .map_err(|error| given.wrong(format!("{} {error}", path.display())).hint("use a readable PEM file"))
        .and_then(|pem| match pem.contains("-----BEGIN CERTIFICATE-----") {
            true => Ok(pem),
            false => Err(given
                .wrong(format!("{} contains no PEM certificate", path.display()))
                .hint("`openssl x509 -inform der -in FILE` turns a DER file into PEM")),
        });
    sources.take(read)
}
