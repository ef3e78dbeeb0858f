//! The identity with which the driver reads the vault for a SecretProviderClass.

use super::{Finding, SelfRecovery};
use crate::object_fields::text;
use landfall_cloud::{arm::FederatedCredential, kubernetes::DynamicObject};

/// The identity that a class selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClassIdentity<'a> {
    /// An identity of the nodes.
    Node,
    /// An identity that trusts the service accounts of pods, by client id.
    Workload(&'a str),
}

impl<'a> ClassIdentity<'a> {
    /// Reads the identity from the parameters of a class.
    pub(crate) fn of(class: &'a DynamicObject) -> Self {
        let parameter = |name: &str| text(&class.data["spec"]["parameters"], &format!("/{name}")).trim();
        let is_true = |name: &str| parameter(name).eq_ignore_ascii_case("true");
        match parameter("clientID") {
            "" => Self::Node,
            _ if is_true("useVMManagedIdentity") || is_true("usePodIdentity") => Self::Node,
            client_id => Self::Workload(client_id),
        }
    }

    /// Returns the identity for display.
    pub(super) fn noun(self) -> String {
        match self {
            Self::Node => "the add-on's identity".to_owned(),
            Self::Workload(client_id) => format!("the managed identity {client_id}"),
        }
    }
}

/// The claims of a token that an identity must trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Presented {
    /// The issuer.
    pub(crate) issuer: String,
    /// The subject.
    pub(crate) subject: String,
    /// The audience.
    pub(crate) audience: String,
}

impl Presented {
    /// Reads the claims from a message of the token endpoint: `Assertion Issuer: '…'.`
    pub(super) fn read(message: &str) -> Option<Self> {
        let claim = |name: &str| {
            let (_, rest) = message.split_once(&format!("Assertion {name}: '"))?;
            Some(rest.split('\'').next().unwrap_or_default().to_owned())
        };
        Some(Self { issuer: claim("Issuer")?, subject: claim("Subject")?, audience: claim("Audience")? })
    }

    /// Describes the three values that the token endpoint compares.
    pub(crate) fn describe(&self) -> String {
        let Self { issuer, subject, audience } = self;
        format!("the token has issuer {issuer}, subject {subject}, audience {audience}")
    }
}

/// Describes the values of a credential.
pub(crate) fn describe(credential: &FederatedCredential) -> String {
    let FederatedCredential { name, issuer, subject, audience, .. } = credential;
    format!("credential {name} has issuer {issuer}, subject {subject}, audience {audience}")
}

/// Returns the finding for an identity that does not trust the token of the pod.
pub(crate) fn not_trusted(identity: &str) -> Finding {
    Finding::new(
        "FEDERATED_CREDENTIAL_MISSING",
        format!("{identity} does not trust the service account of the sync workload (AADSTS70021)"),
        "run landfall up: it writes the federated credential for this cluster and this service account; a new \
         credential may take minutes to take effect",
    )
    .self_recovery(SelfRecovery::Possible)
}

/// Returns the finding for an identity that does not exist.
pub(crate) fn missing(identity: &str) -> Finding {
    Finding::new(
        "IDENTITY_MISSING",
        format!("{identity}, with which the certificate is read from the vault, does not exist"),
        "run landfall up: it creates the identity, its role and its federated credential",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_compared_values_are_read_from_the_message() {
        let message = "AADSTS70021: No matching federated identity record found for presented assertion. Assertion Issuer: \
                       'https://i/'. Assertion Subject: 'system:serviceaccount:default:x'. Assertion Audience: 'api://a'. https://docs";
        let presented = Presented::read(message).expect("all three are there");
        assert_eq!(
            presented.describe(),
            "the token has issuer https://i/, subject system:serviceaccount:default:x, audience api://a"
        );
        assert_eq!(Presented::read("AADSTS700016: Application not found"), None);
    }
}
