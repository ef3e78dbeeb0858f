//! Certification authority authorization (RFC 8659) with `accounturi` and `validationmethods` (RFC 8657).

use super::ca::CAA_IDENTITY;
use super::problem::Problem;
use super::resolver::{AskNameServer, LookupError, Resolver};
use crate::dns_server::rdata::{Caa, caa_of};
use crate::dns_server::record::kind;

/// Checks that the records of a name allow this CA to issue. The nearest set up the tree counts.
///
/// # Errors
/// `caa` if they do not, or if a look-up fails.
pub(super) async fn check<A: AskNameServer>(
    resolver: &Resolver<'_, A>,
    name: &str,
    wildcard: bool,
    account_url: &str,
) -> Result<(), Problem> {
    let mut above = Some(name);
    while let Some(owner) = above {
        let records = match resolver.lookup(owner, kind::CAA).await {
            Ok(records) => records,
            Err(LookupError::NoName) => Vec::new(),
            Err(error) => {
                let detail = error.detail("CAA", owner);
                return Err(Problem::new(403, "caa", format!("While processing CAA for {name}: {detail}")));
            }
        };
        if !records.is_empty() {
            let set: Vec<Caa> = records.iter().filter_map(|record| caa_of(&record.data)).collect();
            return match allows(&set, wildcard, account_url) {
                true => Ok(()),
                false => Err(Problem::new(403, "caa", format!("CAA record for {owner} prevents issuance"))),
            };
        }
        above = owner.split_once('.').map(|(_, above)| above);
    }
    Ok(())
}

/// Returns whether a set allows this CA to issue.
fn allows(set: &[Caa], wildcard: bool, account_url: &str) -> bool {
    let known = ["issue", "issuewild", "iodef", "issuemail", "contactemail", "contactphone"];
    if set.iter().any(|record| record.critical && !known.contains(&record.tag.as_str())) {
        return false;
    }
    let tagged = |tag: &str| set.iter().filter(|record| record.tag == tag).collect::<Vec<_>>();
    let mut relevant = tagged("issue");
    if wildcard && !tagged("issuewild").is_empty() {
        relevant = tagged("issuewild");
    }
    relevant.is_empty() || relevant.iter().any(|record| names_this_ca(&record.value, account_url))
}

/// Returns whether `domain; name=value; …` names this CA and its parameters fit.
fn names_this_ca(value: &str, account_url: &str) -> bool {
    let mut parts = value.split(';').map(str::trim);
    if !parts.next().is_some_and(|domain| domain.eq_ignore_ascii_case(CAA_IDENTITY)) {
        return false;
    }
    parts.filter(|part| !part.is_empty()).all(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "accounturi" => value.trim() == account_url,
            "validationmethods" => value.split(',').any(|method| method.trim() == "dns-01"),
            _ => true,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(records: &[(&str, &str)], wildcard: bool) -> bool {
        let set: Vec<Caa> = records
            .iter()
            .map(|(tag, value)| Caa {
                critical: tag.starts_with('!'),
                tag: tag.trim_start_matches('!').to_owned(),
                value: (*value).to_owned(),
            })
            .collect();
        allows(&set, wildcard, "https://acme/account/1")
    }

    #[test]
    fn a_set_allows_or_refuses() {
        assert!(allowed(&[("issue", "letsencrypt.org")], true));
        assert!(allowed(&[("issue", "other.org"), ("issue", " LetsEncrypt.org ")], false));
        assert!(!allowed(&[("issue", "other.org")], false));
        assert!(!allowed(&[("issue", ";")], false));
        assert!(allowed(&[("iodef", "mailto:a@b")], false));
        assert!(!allowed(&[("issue", "letsencrypt.org"), ("issuewild", ";")], true));
        assert!(allowed(&[("issue", "letsencrypt.org"), ("issuewild", ";")], false));
        assert!(allowed(&[("issue", ";"), ("issuewild", "letsencrypt.org")], true));
        assert!(allowed(&[("issuewild", ";")], false));
        assert!(!allowed(&[("!unknown", "x")], false));
        assert!(allowed(&[("unknown", "x")], false));
        assert!(allowed(&[("issue", "letsencrypt.org; accounturi=https://acme/account/1")], false));
        assert!(!allowed(&[("issue", "letsencrypt.org; accounturi=https://acme/account/2")], false));
        assert!(allowed(&[("issue", "letsencrypt.org; validationmethods=http-01,dns-01")], false));
        assert!(!allowed(&[("issue", "letsencrypt.org; validationmethods=http-01")], false));
    }
}
