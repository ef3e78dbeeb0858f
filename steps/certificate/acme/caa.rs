//! CAA records (RFC 8659): whether they allow an authority to issue for a name.

use super::plan::Obstacle;
use landfall_cloud::{
    acme::NameServers,
    arm::{Record, Zone, dns::relative},
};

/// Returns the obstacle of a name whose CAA records forbid the authority. The nearest record set up the tree decides;
/// in the zones of the subscription those of Resource Manager, above them those of the public DNS. `account` is the
/// address of the account, or an empty text if there is none yet; `None` if it is not known (RFC 8657).
pub(super) async fn check(
    name_servers: &NameServers,
    name: &str,
    zones: &[(Zone, Vec<Record>)],
    identities: &[String],
    account: Option<&str>,
) -> Option<Obstacle> {
    if identities.is_empty() {
        return None;
    }
    let (base, is_wildcard) = name.strip_prefix("*.").map_or((name, false), |base| (base, true));
    let mut at = base;
    loop {
        let properties = match own(at, zones) {
            Some(properties) => properties,
            // Without an answer the server decides.
            None => name_servers.caa(at).await.unwrap_or_default(),
        };
        if !properties.is_empty() {
            return match allows(&properties, is_wildcard, identities, account) {
                true => None,
                false => Some(forbidden(name, at, &properties, is_wildcard, identities, account)),
            };
        }
        match at.split_once('.') {
            Some((_, parent)) if parent.contains('.') => at = parent,
            _ => return None,
        }
    }
}

/// Returns the properties at a name, if a zone of the subscription contains it.
fn own(name: &str, zones: &[(Zone, Vec<Record>)]) -> Option<Vec<(String, String)>> {
    let (relative, sets) =
        zones.iter().find_map(|(zone, sets)| relative(name, &zone.name).map(|relative| (relative, sets)))?;
    let sets = sets.iter().filter(|set| set.kind == "CAA" && set.is_named(&relative));
    Some(sets.flat_map(|set| set.values.iter()).filter_map(|value| property(value)).collect())
}

/// Parses `0 issue "letsencrypt.org"`.
fn property(text: &str) -> Option<(String, String)> {
    let (_, rest) = text.split_once(' ')?;
    let (tag, value) = rest.split_once(' ')?;
    Some((tag.to_ascii_lowercase(), value.trim().trim_matches('"').to_owned()))
}

fn allows(
    properties: &[(String, String)],
    is_wildcard: bool,
    identities: &[String],
    account: Option<&str>,
) -> bool {
    let of = |tag: &str| -> Vec<&str> {
        properties.iter().filter(|(known, _)| known == tag).map(|(_, value)| value.as_str()).collect()
    };
    let mut values = of("issue");
    // For a wildcard, issuewild takes the place of issue.
    if is_wildcard && !of("issuewild").is_empty() {
        values = of("issuewild");
    }
    // Without one of them, such as with iodef alone, every authority may issue.
    values.is_empty() || values.iter().any(|value| is_allowed(value, identities, account))
}

fn is_allowed(value: &str, identities: &[String], account: Option<&str>) -> bool {
    let issuer = value.split(';').next().unwrap_or_default().trim();
    let methods = parameter(value, "validationmethods");
    let of_account = parameter(value, "accounturi");
    identities.iter().any(|identity| identity.eq_ignore_ascii_case(issuer))
        && methods.is_none_or(|methods| methods.split(',').any(|method| method.trim() == "dns-01"))
        && of_account.is_none_or(|uri| account.is_none_or(|account| account == uri))
}

/// Returns the value of a parameter after the issuer.
fn parameter<'a>(value: &'a str, key: &str) -> Option<&'a str> {
    let parameters = value.split(';').skip(1).filter_map(|part| part.split_once('='));
    parameters
        .map(|(name, value)| (name.trim(), value.trim()))
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value)
}

fn forbidden(
    name: &str,
    at: &str,
    properties: &[(String, String)],
    is_wildcard: bool,
    identities: &[String],
    account: Option<&str>,
) -> Obstacle {
    let shown: Vec<String> = properties.iter().map(|(tag, value)| format!("{tag} \"{value}\"")).collect();
    let tag = if is_wildcard { "issuewild" } else { "issue" };
    let why = format!("the CAA records of {at} do not allow a certificate for {name}: {}", shown.join(", "));
    // Only the account is another one.
    if allows(properties, is_wildcard, identities, None) {
        let own = match account {
            Some(account) if !account.is_empty() => format!("the account of this environment is {account}"),
            _ => "this environment has no account yet".to_owned(),
        };
        let fix = match account {
            Some(account) if !account.is_empty() => {
                format!("add a CAA record at {at}: 0 {tag} \"{}; accounturi={account}\"", identities[0])
            }
            _ => format!("remove accounturi from the CAA record at {at} for the first order"),
        };
        return Obstacle::refused(format!("{why}; {own}"), fix).code("CaaForbids");
    }
    Obstacle::refused(why, format!("add a CAA record at {at}: 0 {tag} \"{}\"", identities[0]))
        .code("CaaForbids")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(records: &[&str], is_wildcard: bool) -> bool {
        let properties: Vec<_> = records.iter().filter_map(|record| property(record)).collect();
        allows(&properties, is_wildcard, &["letsencrypt.org".to_owned()], Some("https://ca.example/acct/7"))
    }

    #[test]
    fn issue_issuewild_and_their_parameters_decide() {
        assert!(allowed(&["0 issue \"letsencrypt.org\""], true));
        assert!(!allowed(&["0 issue \"digicert.com\""], false));
        assert!(!allowed(&["0 issue \"letsencrypt.org\"", "0 issuewild \";\""], true));
        assert!(allowed(&["0 issue \"letsencrypt.org\"", "0 issuewild \";\""], false));
        assert!(allowed(&["0 iodef \"mailto:a@b.c\""], true));
        assert!(!allowed(&["0 issue \"letsencrypt.org; validationmethods=http-01\""], false));
        assert!(allowed(&["0 issue \"letsencrypt.org; validationmethods=dns-01,http-01\""], false));
        assert!(allowed(&["0 issue \"letsencrypt.org; accounturi=https://ca.example/acct/7\""], false));
        assert!(!allowed(&["0 issue \"letsencrypt.org; accounturi=https://ca.example/acct/8\""], false));
    }
}
