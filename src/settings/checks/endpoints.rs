//! The rules for `[endpoints]`: the allowed receivers of tokens, and the endpoints that need consent.

use crate::settings::{config_error::ConfigError, sources::Sources, target::Endpoints};
use landfall_cloud::Roots;

/// A person's consent to the endpoints that landfall does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    /// It is not needed, or a person named the settings file on the command line.
    NotNeeded,
    /// The file was found in the folder: these endpoints receive nothing without a person's consent.
    Needed {
        /// The settings file, as named in messages.
        file: String,
        /// A description of each endpoint.
        endpoints: Vec<String>,
    },
}

/// Fills missing endpoints with those of public Azure.
pub fn resolve(own: &Endpoints) -> landfall_cloud::Endpoints {
    let public = landfall_cloud::Endpoints::public();
    let bare = |url: &url::Url| url.as_str().trim_end_matches('/').to_owned();
    let suffix = own.vault_suffix.clone();
    let arm_audience = own.arm_audience.clone().or(own.arm.as_ref().map(bare));
    let vault_audience =
        own.vault_audience.clone().or(suffix.as_ref().map(|suffix| format!("https://{suffix}")));
    landfall_cloud::Endpoints {
        login: own.login.clone().unwrap_or(public.login),
        arm: own.arm.clone().unwrap_or(public.arm),
        arm_audience: arm_audience.unwrap_or(public.arm_audience),
        vault_suffix: suffix.unwrap_or(public.vault_suffix),
        vault_audience: vault_audience.unwrap_or(public.vault_audience),
        roots: own.authorities.clone().map_or(Roots::System, |pem| Roots::Only(vec![pem])),
        time_scale: 1.0,
        transport: None,
        acme_directory: public.acme_directory,
        acme_staging: public.acme_staging,
        acme_roots: public.acme_roots,
        name_servers: public.name_servers,
        clock: public.clock,
        connections: public.connections,
    }
}

/// Returns the consent that the endpoints need; combinations that are always refused become mistakes.
pub fn consent(sources: &mut Sources<'_>, own: &Endpoints) -> Option<Consent> {
    match resolve(own).consent_needed() {
        Ok(needed) if needed.is_empty() || sources.file_is_named() => Some(Consent::NotNeeded),
        Ok(endpoints) => Some(Consent::Needed { file: sources.place("endpoints").to_string(), endpoints }),
        Err(mismatches) => {
            for mismatch in mismatches {
                let key = format!("endpoints.{}", mismatch.field);
                let place = sources.nearest_place(&key, "endpoints");
                sources.config_errors.push(ConfigError::at(place, mismatch.message).hint(mismatch.hint));
            }
            None
        }
    }
}
