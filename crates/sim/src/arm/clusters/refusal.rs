//! The refusals of the AKS provider that more than one place makes. They come without the `error` envelope.

use crate::arm::error::ArmError;

/// A 400.
pub(crate) fn bad(code: &str, message: impl Into<String>) -> ArmError {
    ArmError::aks(400, code, message)
}

/// A 400 about one property.
pub(crate) fn parameter(target: &str, why: impl std::fmt::Display) -> ArmError {
    let message = format!("The value of parameter {target} is invalid. Error details: {why}");
    bad("InvalidParameter", message).with_target(target)
}

/// A 400 about a property that never changes.
pub(crate) fn change(property: &str) -> ArmError {
    bad("PropertyChangeNotAllowed", format!("Changing property '{property}' is not allowed."))
        .with_target(property)
}

/// Another write is still running: what every write but a PUT gets.
pub(crate) fn busy(running: &str) -> ArmError {
    let message = format!(
        "Operation is not allowed: Another operation ({running}) is in progress, please wait for it to finish before \
         starting a new operation. See https://aka.ms/aks-pending-operation for more details"
    );
    ArmError::aks(409, "OperationNotAllowed", message)
}

/// Another write is still running: what a PUT gets that met it in the provider's own store.
pub(crate) fn etag_mismatch() -> ArmError {
    ArmError::aks(409, "EtagMismatch", "Operation is not allowed: Another operation is in progress")
        .with_detail("Unspecified", "rpc error: code = FailedPrecondition desc = Etag mismatched")
        .with_subcode("PutManagedClusterAndComponents_FailedPrecondition")
}

/// A conditional header did not hold.
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
