//! Certificate signing requests (RFC 2986).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use super::jwk::Jwk;
use super::problem::Problem;

/// A verified signing request.
#[derive(Debug)]
pub(super) struct Request {
    /// The DNS names in lower case, sorted, each once; a common name is among them.
    pub(super) names: Vec<String>,
    pub(super) common_name: Option<String>,
    /// The public key: SubjectPublicKeyInfo, DER.
    pub(super) public_key: Vec<u8>,
    /// The curve point or the RSA modulus.
    key_bits: Vec<u8>,
}

/// Reads a signing request and verifies its signature.
///
/// # Errors
/// `badCSR`.
pub(super) fn read(der: &[u8]) -> Result<Request, Problem> {
    let unreadable = || Problem::bad_csr("Error parsing certificate request");
    let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| unreadable())?;
    if !rest.is_empty() {
        return Err(Problem::bad_csr("Error parsing certificate request: trailing data"));
    }
    let info = &request.certification_request_info;
    let key = info.subject_pki.parsed().map_err(|_| unreadable())?;
    let key_bits = key_bits(&key)?;
    verify(&request, &key)?;
    let common_name = info.subject.iter_common_name().next().and_then(|name| name.as_str().ok());
    let common_name = common_name.map(str::to_ascii_lowercase).filter(|name| !name.is_empty());
    let mut names: Vec<String> = common_name.clone().into_iter().collect();
    for extension in request.requested_extensions().into_iter().flatten() {
        let ParsedExtension::SubjectAlternativeName(alternatives) = extension else { continue };
        for name in &alternatives.general_names {
            match name {
                GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
                _ => return Err(Problem::bad_csr("CSR contains a name that is not a DNS name")),
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return Err(Problem::bad_csr("at least one identifier is required"));
    }
    Ok(Request { names, common_name, public_key: info.subject_pki.raw.to_vec(), key_bits })
}

impl Request {
    /// Returns whether its key is an account key.
    pub(super) fn has_key_of(&self, account: &Jwk) -> bool {
        self.key_bits == account.public_bits()
    }
}

fn key_bits(key: &PublicKey<'_>) -> Result<Vec<u8>, Problem> {
    match key {
        PublicKey::EC(point) if [65, 97].contains(&point.data().len()) => Ok(point.data().to_vec()),
        PublicKey::EC(_) => Err(Problem::bad_csr("invalid public key in CSR: ECDSA curve not allowed")),
        PublicKey::RSA(rsa) => {
            let modulus: Vec<u8> = rsa.modulus.iter().copied().skip_while(|byte| *byte == 0).collect();
            let bits = modulus.len() * 8;
            match [2048, 3072, 4096].contains(&bits) {
                true => Ok(modulus),
                false => Err(Problem::bad_csr(format!(
                    "invalid public key in CSR: key size not supported: {bits}"
                ))),
            }
        }
        _ => Err(Problem::bad_csr("invalid public key in CSR: unknown key type")),
    }
}

fn verify(request: &X509CertificationRequest<'_>, key: &PublicKey<'_>) -> Result<(), Problem> {
    let oid = request.signature_algorithm.algorithm.to_id_string();
    let algorithm: &dyn VerificationAlgorithm = match (oid.as_str(), key) {
        ("1.2.840.113549.1.1.11", PublicKey::RSA(_)) => &RSA_PKCS1_2048_8192_SHA256,
        ("1.2.840.113549.1.1.12", PublicKey::RSA(_)) => &RSA_PKCS1_2048_8192_SHA384,
        ("1.2.840.113549.1.1.13", PublicKey::RSA(_)) => &RSA_PKCS1_2048_8192_SHA512,
        ("1.2.840.10045.4.3.2", PublicKey::EC(point)) if point.data().len() == 65 => &ECDSA_P256_SHA256_ASN1,
        ("1.2.840.10045.4.3.3", PublicKey::EC(point)) if point.data().len() == 97 => &ECDSA_P384_SHA384_ASN1,
        _ => return Err(Problem::bad_csr("unsupported signature algorithm of the CSR")),
    };
    let info = &request.certification_request_info;
    let key = UnparsedPublicKey::new(algorithm, info.subject_pki.subject_public_key.data.as_ref());
    key.verify(info.raw, request.signature_value.data.as_ref())
        .map_err(|_| Problem::bad_csr("invalid signature on CSR"))
}
