//! Check that the resource providers are registered, or that landfall may register them.

use super::{PreflightCheckId, finding::Finding};
use landfall_cloud::arm::{Permissions, Registration};

/// Checks the right to register the missing providers; `rights` are those at the subscription, `None` if
/// there are none. A registration in progress needs no right.
pub(super) fn evaluate(
    wanted: &[&str],
    listed: &[(String, Registration)],
    rights: &Permissions,
    subscription: &str,
) -> Option<Finding> {
    let is_absent = |namespace: &str| {
        let found = listed.iter().find(|(known, _)| known.eq_ignore_ascii_case(namespace));
        found.is_none_or(|(_, registration)| *registration == Registration::Absent)
    };
    let may = |namespace: &str| rights.allow(&format!("{namespace}/register/action"));
    let blocked: Vec<&str> =
        wanted.iter().copied().filter(|namespace| is_absent(namespace) && !may(namespace)).collect();
    let commands = blocked.iter().map(|namespace| format!("az provider register -n {namespace}"));
    (!blocked.is_empty()).then(|| {
        Finding::refused(PreflightCheckId::Providers, format!("register {}", blocked.join(", ")))
            .code("MissingSubscriptionRegistration")
            .cause(format!(
                "{} not registered, and the signed-in identity may not register providers",
                are(&blocked)
            ))
            .fix(format!(
                "ask a Contributor of subscription {subscription} to run: {}",
                commands.collect::<Vec<_>>().join("; ")
            ))
    })
}

fn are(names: &[&str]) -> String {
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registered_or_registering_provider_needs_no_right() {
        let listed = [
            ("microsoft.network".to_owned(), Registration::Registered),
            ("Microsoft.Compute".to_owned(), Registration::InProgress("Registering".to_owned())),
            ("Microsoft.KeyVault".to_owned(), Registration::Absent),
        ];
        let none = Permissions::default();
        assert_eq!(evaluate(&["Microsoft.Network", "Microsoft.Compute"], &listed, &none, "s"), None);
        let finding = evaluate(&["Microsoft.Network", "Microsoft.KeyVault"], &listed, &none, "s").unwrap();
        assert_eq!(
            finding.causes,
            ["Microsoft.KeyVault is not registered, and the signed-in identity may not register providers"]
        );
        assert!(finding.fix.ends_with("az provider register -n Microsoft.KeyVault"), "{}", finding.fix);
    }
}
