//! Fuzz target: PFX files and certificates, with any bytes and passwords. Opening never panics and ends in
//! bounded time.
//!
//! The first byte selects the password; the rest is the file.

use jiff::Timestamp;
use landfall_cloud::certificate::{Leaf, Material, check_for};
use std::time::{Duration, Instant};

/// The passwords of the fixtures, and some wrong ones.
const PASSWORDS: [&str; 6] = ["hunter2", "", "pässwörd-日本", "x", "\0", "🗝"];

/// The timeout, far above the duration for the most expensive accepted file, and far below a user's limit.
const TIME_MAX: Duration = Duration::from_secs(20);

/// Checks one file.
pub fn check(data: &[u8]) {
    let Some((first, file)) = data.split_first() else { return };
    let began = Instant::now();
    match Material::from_pfx(file, PASSWORDS[usize::from(*first) % PASSWORDS.len()]) {
        Ok(material) => {
            check_fields(material.leaf());
            let (pfx, password) = (material.pfx().expose(), material.password().expose());
            // A file that is not plain DER is written again.
            if pfx != file {
                let again = Material::from_pfx(pfx, password).expect("the written file opens");
                assert_eq!(again.leaf().thumbprint_sha1, material.leaf().thumbprint_sha1);
                assert_eq!(again.pfx().expose(), pfx, "it is plain DER");
            }
            let _ = check_for(&material, &["demo.example.com".to_owned()], Timestamp::UNIX_EPOCH);
            let _ = check_for(&material, &["*.demo.example.com".to_owned()], Timestamp::MAX);
        }
        Err(error) => assert!(!error.to_string().is_empty() && !error.hint().is_empty()),
    }
    for leaf in [Leaf::from_der(file), Leaf::from_pem(file)].into_iter().flatten() {
        check_fields(&leaf);
    }
    let took = began.elapsed();
    assert!(took < TIME_MAX, "opening it took {took:?}");
}

fn check_fields(leaf: &Leaf) {
    assert_eq!((leaf.thumbprint_sha1.len(), leaf.thumbprint_sha256.len()), (40, 64));
    assert!(leaf.chain_length >= 1);
    for name in &leaf.names {
        assert!(
            leaf.covers(name) || name.ends_with('.') || !name.is_ascii(),
            "{name:?} does not cover itself"
        );
    }
}
