//! The identifiers of a new order: DNS names, checked as by Boulder's policy.

use serde_json::Value;

use super::problem::Problem;

/// The maximum length of a name.
const NAME_MAX: usize = 253;

/// Reads the names: in lower case, sorted, each once.
///
/// # Errors
/// `malformed`, `unsupportedIdentifier` or `rejectedIdentifier`.
pub(super) fn read(identifiers: &Value) -> Result<Vec<String>, Problem> {
    let listed = identifiers.as_array().filter(|listed| !listed.is_empty());
    let listed =
        listed.ok_or_else(|| Problem::malformed("NewOrder request did not specify any identifiers"))?;
    let mut names = Vec::new();
    let mut refused = Vec::new();
    for identifier in listed {
        let value = identifier["value"].as_str().unwrap_or_default();
        if identifier["type"] != "dns" {
            let detail =
                format!("NewOrder request included unsupported identifier: type {}", identifier["type"]);
            return Err(Problem::new(400, "unsupportedIdentifier", detail));
        }
        let name = value.to_ascii_lowercase();
        match check_name(&name) {
            Ok(()) => names.push(name),
            Err(why) => refused.push((value.to_owned(), Problem::new(400, "rejectedIdentifier", why))),
        }
    }
    if let Some(problem) = Problem::combined("Cannot issue for requested names", refused) {
        return Err(problem);
    }
    names.sort_unstable();
    names.dedup();
    let redundant = names.iter().find(|name| {
        let above = name.split_once('.').map(|(_, above)| format!("*.{above}"));
        !name.starts_with("*.") && above.is_some_and(|wildcard| names.contains(&wildcard))
    });
    match redundant {
        Some(name) => Err(Problem::malformed(format!(
            "Domain name \"{name}\" is redundant with a wildcard domain in the same request. Remove one or the other from \
             the certificate request."
        ))),
        None => Ok(names),
    }
}

/// Checks a name as Boulder's policy does, without its list of public suffixes.
fn check_name(name: &str) -> Result<(), String> {
    let base = name.strip_prefix("*.").unwrap_or(name);
    if base.is_empty() || name.len() > NAME_MAX {
        return Err("Domain name is empty or longer than 253 bytes".to_owned());
    }
    if base.contains('*') {
        return Err("Domain name has more than one wildcard, or one that is not its first label".to_owned());
    }
    if base.parse::<std::net::IpAddr>().is_ok() {
        return Err("The ACME server can not issue a certificate for an IP address".to_owned());
    }
    if base.ends_with('.') {
        return Err("Domain name ends in a dot".to_owned());
    }
    let labels: Vec<&str> = base.split('.').collect();
    if labels.len() < 2 {
        return Err("Domain name needs at least one dot".to_owned());
    }
    let label = |label: &&str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match labels.iter().all(label) {
        true => Ok(()),
        false => Err("Domain name contains an invalid character".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_checked_sorted_and_not_redundant() {
        let of = |names: &[&str]| {
            let listed: Vec<Value> =
                names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
            read(&json!(listed))
        };
        assert_eq!(
            of(&["*.Example.com", "example.com", "example.com"]).unwrap(),
            ["*.example.com", "example.com"]
        );
        for bad in ["localhost", "a..b", "*.*.b.c", "a.*.c", "10.0.0.1", "a_b.c", "-a.b", "a.b.", ""] {
            assert_eq!(of(&[bad]).unwrap_err().kind, "rejectedIdentifier", "{bad}");
        }
        let redundant = of(&["*.example.com", "www.example.com"]).unwrap_err();
        assert_eq!((redundant.kind, redundant.status), ("malformed", 400));
        let two = of(&["bad", "worse"]).unwrap_err();
        assert_eq!(two.document()["subproblems"][1]["identifier"]["value"], "worse");
    }
}
