//! The secrets in the kubeconfigs of a cluster.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use rcgen::{CertificateParams, DnType, KeyPair};
use serde::{Deserialize, Serialize};

use crate::arm::error::ArmError;

/// The secrets in the kubeconfigs of a cluster.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Credential {
    pub(super) user_token: String,
    pub(super) admin_token: String,
    pub(super) certificate_pem: String,
    pub(super) key_pem: String,
}

impl Credential {
    /// Generates the tokens and a client certificate.
    ///
    /// # Errors
    /// 500 if the certificate cannot be generated.
    pub(super) fn new(cluster: &str) -> Result<Self, ArmError> {
        let failed = |error: rcgen::Error| {
            ArmError::aks(500, "InternalOperationError", format!("client certificate of {cluster}: {error}"))
        };
        let key = KeyPair::generate().map_err(failed)?;
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::OrganizationName, "system:masters");
        parameters.distinguished_name.push(DnType::CommonName, "masterclient");
        let certificate = parameters.self_signed(&key).map_err(failed)?;
        Ok(Self {
            user_token: token(),
            admin_token: token(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }

    /// Returns the Kubernetes user of a bearer token.
    pub(super) fn user_of(&self, bearer: &str) -> Option<&'static str> {
        let is = |own: &str| verify_slices_are_equal(own.as_bytes(), bearer.as_bytes()).is_ok();
        (is(&self.user_token) || is(&self.admin_token)).then_some("masterclient")
    }
}

/// Returns 128 random hexadecimal digits.
fn token() -> String {
    let mut bytes = [0_u8; 64];
    SystemRandom::new().fill(&mut bytes).expect("the operating system has randomness");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
