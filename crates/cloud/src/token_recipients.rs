//! The rules that decide which endpoints may receive credentials and tokens.
//!
//! A known Azure cloud and this machine are trusted without consent. Every other endpoint needs the consent
//! of a person. Some combinations are always refused: a token of one party never goes to another.

use crate::{
    Endpoints, Roots,
    known_clouds::{EndpointOwner, KNOWN_CLOUDS, KnownCloud},
};
use url::Url;

/// A combination of endpoints that is refused even with consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointMismatch {
    /// The setting below `[endpoints]`: `arm_audience`.
    pub field: &'static str,
    /// The reason: a lowercase fragment that names the values.
    pub message: String,
    /// The change that makes the endpoints fit.
    pub hint: String,
}

impl Endpoints {
    /// Returns a description of each endpoint that needs the consent of a person; none for a known cloud or
    /// loopback.
    ///
    /// # Errors
    /// Every refused combination: endpoints of two clouds, or an audience that does not belong to its host.
    pub fn consent_needed(&self) -> Result<Vec<String>, Vec<EndpointMismatch>> {
        let owners = [
            ("login", EndpointOwner::of_login(&self.login), self.login.to_string()),
            ("arm", EndpointOwner::of_arm(&self.arm), self.arm.to_string()),
            ("vault_suffix", EndpointOwner::of_vaults(&self.vault_suffix), self.vault_suffix.clone()),
        ];
        let mut mismatches: Vec<_> = mixed(&owners).into_iter().collect();
        mismatches.extend(self.arm_audience_mismatch(owners[1].1));
        mismatches.extend(self.vault_audience_mismatch(owners[2].1));
        if !mismatches.is_empty() {
            return Err(mismatches);
        }
        let custom = owners.iter().filter(|(_, owner, _)| *owner == EndpointOwner::Custom);
        let mut needed: Vec<String> =
            custom.map(|(field, _, value)| format!("{field} = {}", value.trim_end_matches('/'))).collect();
        // A token for a vault comes from the sign-in, so the sign-in and the resource manager decide.
        let known = owners[..2].iter().find(|(_, owner, _)| matches!(owner, EndpointOwner::Known(_)));
        if let (Roots::Only(_), Some((_, owner, _))) = (&self.roots, known) {
            needed.push(format!("ca_file: other authorities than the system's vouch for {}", owner.name()));
        }
        Ok(needed)
    }

    fn arm_audience_mismatch(&self, owner: EndpointOwner) -> Option<EndpointMismatch> {
        let audience = self.arm_audience.trim_end_matches('/');
        let (fits, wanted) = match owner {
            EndpointOwner::Known(cloud) => {
                (cloud.arm_audiences.contains(&audience), cloud.arm_audiences[0].to_owned())
            }
            _ => fits_host(audience, owner, &self.arm),
        };
        (!fits).then(|| mismatch("arm_audience", audience, self.arm.as_str(), &wanted))
    }

    fn vault_audience_mismatch(&self, owner: EndpointOwner) -> Option<EndpointMismatch> {
        let audience = self.vault_audience.trim_end_matches('/');
        let vaults = Url::parse(&format!("https://{}", self.vault_suffix));
        let (fits, wanted) = match (owner, vaults) {
            (EndpointOwner::Known(cloud), _) => {
                (cloud.vault_audience == audience, cloud.vault_audience.to_owned())
            }
            (_, Ok(vaults)) => fits_host(audience, owner, &vaults),
            (_, Err(_)) => (false, format!("https://{}", self.vault_suffix)),
        };
        (!fits).then(|| mismatch("vault_audience", audience, &self.vault_suffix, &wanted))
    }
}

/// Compares an audience with the host that receives its tokens; also returns the audience that fits.
fn fits_host(audience: &str, owner: EndpointOwner, receiver: &Url) -> (bool, String) {
    let wanted = receiver.as_str().trim_end_matches('/').to_owned();
    let Ok(url) = Url::parse(audience) else { return (false, wanted) };
    let same = url.host_str().is_some() && url.host_str() == receiver.host_str();
    let local = owner == EndpointOwner::Loopback && crate::resolve::is_loopback_host(&url);
    (url.scheme() == "https" && (same || local), wanted)
}

fn mismatch(field: &'static str, audience: &str, receiver: &str, wanted: &str) -> EndpointMismatch {
    let receiver = receiver.trim_end_matches('/');
    EndpointMismatch {
        field,
        message: format!("a token for {audience} must not go to {receiver}"),
        hint: format!("set {field} = \"{wanted}\", or leave it out"),
    }
}

/// Returns the refusal of endpoints that belong to two known clouds.
///
/// Loopback may be combined with each of them: the audience checks keep tokens of a known cloud away from it.
fn mixed(owners: &[(&'static str, EndpointOwner, String)]) -> Option<EndpointMismatch> {
    let mut known = owners.iter().filter_map(|(field, owner, value)| match owner {
        EndpointOwner::Known(cloud) => Some((*field, *cloud, value.trim_end_matches('/'))),
        _ => None,
    });
    let (first, cloud, value) = known.next()?;
    let (field, other, second_value) = known.find(|(_, other, _)| *other != cloud)?;
    let message = format!(
        "{first} = {value} belongs to {}, and {field} = {second_value} belongs to {}",
        cloud.name, other.name
    );
    let hint = format!("give all endpoints of one cloud; {} has {}", other.name, settings_of(other));
    Some(EndpointMismatch { field, message, hint })
}

fn settings_of(cloud: &KnownCloud) -> String {
    format!(
        "login = \"https://{}\", arm = \"https://{}\", vault_suffix = \"{}\"",
        cloud.login[0], cloud.arm, cloud.vault_suffix
    )
}

/// Returns whether a URL is a sign-in authority of the same cloud as the configured one.
///
/// A known cloud has several names for its authority; every other authority is identified by its origin
/// alone.
pub(crate) fn is_same_authority(configured: &Url, named: &Url) -> bool {
    let local = [configured, named].iter().all(|url| crate::resolve::is_loopback_host(url));
    if local || configured.origin() == named.origin() {
        return true;
    }
    let cloud = |url: &Url| match EndpointOwner::of_login(url) {
        EndpointOwner::Known(cloud) => KNOWN_CLOUDS.iter().position(|known| known == cloud),
        _ => None,
    };
    cloud(configured).is_some() && cloud(configured) == cloud(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom() -> Endpoints {
        Endpoints {
            login: Url::parse("https://login.private.example").expect("a constant that parses"),
            arm: Url::parse("https://arm.private.example").expect("a constant that parses"),
            arm_audience: "https://arm.private.example".to_owned(),
            vault_suffix: "vault.private.example".to_owned(),
            vault_audience: "https://vault.private.example".to_owned(),
            ..Endpoints::public()
        }
    }

    fn of(cloud: &KnownCloud) -> Endpoints {
        let url = |host: &str| Url::parse(&format!("https://{host}")).expect("a constant that parses");
        Endpoints {
            login: url(cloud.login[0]),
            arm: url(cloud.arm),
            arm_audience: cloud.arm_audiences[0].to_owned(),
            vault_suffix: cloud.vault_suffix.to_owned(),
            vault_audience: cloud.vault_audience.to_owned(),
            ..Endpoints::public()
        }
    }

    fn fields(endpoints: &Endpoints) -> Vec<&'static str> {
        let refused = endpoints.consent_needed().expect_err("the endpoints do not fit");
        refused.iter().map(|mismatch| mismatch.field).collect()
    }

    #[test]
    fn a_known_cloud_needs_no_consent() {
        for cloud in &KNOWN_CLOUDS {
            assert_eq!(of(cloud).consent_needed(), Ok(Vec::new()), "{}", cloud.name);
            for audience in cloud.arm_audiences {
                let endpoints = Endpoints { arm_audience: format!("{audience}/"), ..of(cloud) };
                assert_eq!(endpoints.consent_needed(), Ok(Vec::new()), "{audience}");
            }
        }
    }

    #[test]
    fn every_custom_endpoint_needs_consent() {
        let needed = custom().consent_needed().expect("the audiences are its own");
        assert_eq!(needed.len(), 3, "{needed:?}");
        let one = Endpoints { login: custom().login, ..Endpoints::public() };
        assert_eq!(one.consent_needed(), Ok(vec!["login = https://login.private.example".to_owned()]));
    }

    #[test]
    fn other_authorities_for_a_known_cloud_need_consent() {
        let endpoints = Endpoints { roots: Roots::Only(Vec::new()), ..Endpoints::public() };
        assert_eq!(endpoints.consent_needed().map(|needed| needed.len()), Ok(1));
    }

    #[test]
    fn endpoints_of_two_clouds_are_refused() {
        let [public, government, china] = &KNOWN_CLOUDS;
        let endpoints = Endpoints { arm: of(china).arm, arm_audience: of(china).arm_audience, ..of(public) };
        assert_eq!(fields(&endpoints), ["arm"]);
        let endpoints = Endpoints {
            vault_suffix: government.vault_suffix.to_owned(),
            vault_audience: government.vault_audience.to_owned(),
            ..of(public)
        };
        assert_eq!(fields(&endpoints), ["vault_suffix"]);
    }

    #[test]
    fn a_token_of_a_known_cloud_never_goes_to_another_host() {
        for audience in
            ["https://management.azure.com", "https://graph.microsoft.com", "https://vault.azure.net"]
        {
            let endpoints = Endpoints { arm_audience: audience.to_owned(), ..custom() };
            assert_eq!(fields(&endpoints), ["arm_audience"], "{audience}");
            let endpoints = Endpoints { vault_audience: audience.to_owned(), ..custom() };
            assert_eq!(fields(&endpoints), ["vault_audience"], "{audience}");
        }
        let swapped = Endpoints {
            arm_audience: "https://vault.azure.net".to_owned(),
            vault_audience: "https://management.azure.com".to_owned(),
            ..Endpoints::public()
        };
        assert_eq!(fields(&swapped), ["arm_audience", "vault_audience"]);
    }

    #[test]
    fn a_token_of_a_known_cloud_never_goes_to_this_machine() {
        let url = |text: &str| Url::parse(text).expect("a constant that parses");
        let local = Endpoints {
            login: url("https://login.landfall.localhost:1"),
            arm: url("https://management.landfall.localhost:1"),
            arm_audience: "https://management.landfall.localhost".to_owned(),
            vault_suffix: "vault.landfall.localhost".to_owned(),
            vault_audience: "https://vault.landfall.localhost".to_owned(),
            ..Endpoints::public()
        };
        assert_eq!(local.consent_needed(), Ok(Vec::new()));
        let endpoints = Endpoints { arm_audience: "https://management.azure.com".to_owned(), ..local };
        assert_eq!(fields(&endpoints), ["arm_audience"]);
    }

    #[test]
    fn the_authority_of_a_challenge_is_of_the_configured_cloud() {
        let url = |text: &str| Url::parse(text).expect("a constant that parses");
        let public = Endpoints::public().login;
        assert!(is_same_authority(&public, &url("https://login.windows.net/tenant")));
        assert!(!is_same_authority(&public, &url("https://login.microsoftonline.us/tenant")));
        assert!(!is_same_authority(&custom().login, &url("https://login.microsoftonline.com/tenant")));
        assert!(is_same_authority(&custom().login, &url("https://login.private.example/tenant")));
    }
}
