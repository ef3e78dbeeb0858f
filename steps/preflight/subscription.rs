//! Check that the subscription accepts writes, and trusts the tenant of the signed-in principal.

use super::{PreflightCheckId, finding::Finding};
use landfall_cloud::arm::Subscription;

/// The subscription states that accept writes.
/// <https://learn.microsoft.com/azure/cost-management-billing/manage/subscription-states>
const WRITABLE: [&str; 4] = ["Enabled", "Active", "Warned", "PastDue"];

/// Evaluates the subscription; `tenant` is the tenant of our token.
pub(super) fn evaluate(found: Option<&Subscription>, tenant: &str) -> Option<Finding> {
    let found = found?;
    let refused =
        Finding::refused(PreflightCheckId::Subscription, format!("use subscription {}", found.name));
    if !found.tenant.is_empty() && !found.tenant.eq_ignore_ascii_case(tenant) {
        return Some(
            refused
                .code("InvalidAuthenticationTokenTenant")
                .cause(format!("it trusts tenant {}, but this sign-in is of {tenant}", found.tenant))
                .fix(format!("sign in there: --tenant {} or AZURE_TENANT_ID", found.tenant)),
        );
    }
    let writable = found.state.is_empty() || WRITABLE.iter().any(|s| s.eq_ignore_ascii_case(&found.state));
    (!writable).then(|| {
        refused
            .code("ReadOnlyDisabledSubscription")
            .cause(format!("it is {}, and accepts no writes", found.state))
            .fix("ask its owner to enable it, or set subscription to another one")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(tenant: &str, state: &str) -> Subscription {
        Subscription { id: "s".into(), name: "web".into(), tenant: tenant.into(), state: state.into() }
    }

    #[test]
    fn another_tenant_or_a_disabled_subscription_is_a_finding() {
        assert_eq!(evaluate(Some(&subscription("T", "Enabled")), "t"), None);
        let other = evaluate(Some(&subscription("u", "Enabled")), "t").unwrap();
        assert!(other.fix.contains("--tenant u"), "{}", other.fix);
        let disabled = evaluate(Some(&subscription("t", "Disabled")), "t").unwrap();
        assert_eq!(disabled.code, Some("ReadOnlyDisabledSubscription"));
        assert_eq!(evaluate(None, "t"), None);
    }
}
