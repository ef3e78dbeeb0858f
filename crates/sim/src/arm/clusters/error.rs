//! Shared error responses of the AKS provider. They have no `error` envelope.

use crate::arm::error::ArmError;

/// Returns a 400 with that code and message.
pub(crate) fn bad(code: &str, message: impl Into<String>) -> ArmError {
    ArmError::aks(400, code, message)
}

/// Returns a 400 `InvalidParameter` for one property.
pub(crate) fn parameter(target: &str, why: impl std::fmt::Display) -> ArmError {
    let message = format!("The value of parameter {target} is invalid. Error details: {why}");
    bad("InvalidParameter", message).with_target(target)
}

/// Returns a 400 for a change of an immutable property.
pub(crate) fn change(property: &str) -> ArmError {
    bad("PropertyChangeNotAllowed", format!("Changing property '{property}' is not allowed."))
        .with_target(property)
}

/// Returns the 409 of a write while another write is in progress.
pub(crate) fn busy(running: &str) -> ArmError {
    let message = format!(
        "Operation is not allowed: Another operation ({running}) is in progress, please wait for it to finish before \
         starting a new operation. See https://aka.ms/aks-pending-operation for more details"
    );
    ArmError::aks(409, "OperationNotAllowed", message)
}

/// Returns the 409 of a PUT during the creation of the cluster: a conflict in the provider's own store.
pub(crate) fn etag_mismatch() -> ArmError {
    ArmError::aks(409, "EtagMismatch", "Operation is not allowed: Another operation is in progress")
        .with_detail("Unspecified", "rpc error: code = FailedPrecondition desc = Etag mismatched")
        .with_subcode("PutManagedClusterAndComponents_FailedPrecondition")
}

/// Returns a 412: a precondition header does not hold.
pub(crate) fn precondition(header: &str, value: &str) -> ArmError {
    let message = format!("The condition '{value}' in the {header} header was not satisfied.");
    ArmError::aks(412, "PreconditionFailed", message)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_body_has_no_envelope_and_names_its_target() {
        let body = super::change("properties.dnsPrefix").into_reply().value();
        assert!(body.get("error").is_none());
        assert_eq!(body["code"], "PropertyChangeNotAllowed");
        assert_eq!(body["target"], "properties.dnsPrefix");
    }
}
