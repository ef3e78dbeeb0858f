//! Object identifiers of PKCS#12, as the contents of their DER.

/// 1.2.840.113549.1.5.13
pub(super) const PBES2: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 5, 13];
/// 1.2.840.113549.1.5.12
pub(super) const PBKDF2: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 5, 12];
/// 1.2.840.113549.1.5.14
pub(super) const PBMAC1: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 5, 14];
/// 1.3.14.3.2.26
pub(super) const SHA1: &[u8] = &[43, 14, 3, 2, 26];
/// 2.16.840.1.101.3.4.2.4
pub(super) const SHA224: &[u8] = &[96, 134, 72, 1, 101, 3, 4, 2, 4];
/// 2.16.840.1.101.3.4.2.1
pub(super) const SHA256: &[u8] = &[96, 134, 72, 1, 101, 3, 4, 2, 1];
/// 2.16.840.1.101.3.4.2.2
pub(super) const SHA384: &[u8] = &[96, 134, 72, 1, 101, 3, 4, 2, 2];
/// 2.16.840.1.101.3.4.2.3
pub(super) const SHA512: &[u8] = &[96, 134, 72, 1, 101, 3, 4, 2, 3];
/// 2.16.840.1.101.3.4.2.5
pub(super) const SHA512_224: &[u8] = &[96, 134, 72, 1, 101, 3, 4, 2, 5];
/// 2.16.840.1.101.3.4.2.6
pub(super) const SHA512_256: &[u8] = &[96, 134, 72, 1, 101, 3, 4, 2, 6];
/// 1.2.840.113549.2.7
pub(super) const HMAC_SHA1: &[u8] = &[42, 134, 72, 134, 247, 13, 2, 7];
/// 1.2.840.113549.2.8
pub(super) const HMAC_SHA224: &[u8] = &[42, 134, 72, 134, 247, 13, 2, 8];
/// 1.2.840.113549.2.9
pub(super) const HMAC_SHA256: &[u8] = &[42, 134, 72, 134, 247, 13, 2, 9];
/// 1.2.840.113549.2.10
pub(super) const HMAC_SHA384: &[u8] = &[42, 134, 72, 134, 247, 13, 2, 10];
/// 1.2.840.113549.2.11
pub(super) const HMAC_SHA512: &[u8] = &[42, 134, 72, 134, 247, 13, 2, 11];
/// 1.2.840.113549.1.12.1.3
pub(super) const SHA1_3DES: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 12, 1, 3];
/// 1.2.840.113549.1.12.1.4
pub(super) const SHA1_2DES: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 12, 1, 4];
/// 1.2.840.113549.1.12.1.5
pub(super) const SHA1_RC2_128: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 12, 1, 5];
/// 1.2.840.113549.1.12.1.6
pub(super) const SHA1_RC2_40: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 12, 1, 6];
/// 1.2.840.113549.1.7.1
pub(super) const DATA: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 7, 1];
/// 1.2.840.113549.1.7.2
pub(super) const SIGNED_DATA: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 7, 2];
/// 1.2.840.113549.1.7.3
pub(super) const ENVELOPED_DATA: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 7, 3];
/// 1.2.840.113549.1.7.6
pub(super) const ENCRYPTED_DATA: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 7, 6];
/// 1.2.840.113549.1.12.10.1.1
pub(super) const KEY_BAG: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 12, 10, 1, 1];
/// 1.2.840.113549.1.12.10.1.2
pub(super) const SHROUDED_KEY_BAG: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 12, 10, 1, 2];
/// 1.2.840.113549.1.12.10.1.3
pub(super) const CERTIFICATE_BAG: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 12, 10, 1, 3];
/// 1.2.840.113549.1.12.10.1.6
pub(super) const SAFE_CONTENTS_BAG: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 12, 10, 1, 6];
/// 1.2.840.113549.1.9.22.1
pub(super) const X509_CERTIFICATE: &[u8] = &[42, 134, 72, 134, 247, 13, 1, 9, 22, 1];

/// Returns the usual form of an identifier, for messages.
pub(super) fn dotted(oid: &[u8]) -> String {
    x509_parser::der_parser::oid::Oid::new(oid.into()).to_id_string()
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_identifier_is_written_with_dots() {
        assert_eq!(super::dotted(super::PBMAC1), "1.2.840.113549.1.5.14");
        assert_eq!(super::dotted(super::SHA512_256), "2.16.840.1.101.3.4.2.6");
    }
}
