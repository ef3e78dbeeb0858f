//! Validation of vault names.
//!
//! Source: "Naming rules and restrictions for Azure resources", Microsoft.KeyVault: 3–24 letters, digits and
//! hyphens, a letter first, a letter or digit last, no two hyphens in a row. The name is a globally unique
//! DNS label.

/// Returns the service's error message for an invalid name; `None` if the name is valid.
pub(crate) fn invalid_name(name: &str) -> Option<String> {
    let alphabet = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let good = (3..=24).contains(&name.len())
        && name.chars().all(alphabet)
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
        && !name.contains("--");
    (!good).then(|| {
        format!(
            "The vault name '{name}' is invalid. A vault's name must be between 3-24 alphanumeric characters. The name \
             must begin with a letter, end with a letter or digit, and not contain consecutive hyphens. Follow this \
             link for more information: https://go.microsoft.com/fwlink/?linkid=2147742"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::invalid_name;

    #[test]
    fn good_names_pass() {
        for name in ["kv1", "kv-demo", "Kv-Demo-2", "a23456789012345678901234"] {
            assert_eq!(invalid_name(name), None, "{name}");
        }
    }

    #[test]
    fn bad_names_are_refused_with_the_name_in_the_sentence() {
        for name in ["kv", "1kv", "kv-", "kv--x", "kv_x", "a234567890123456789012345", "kvä"] {
            assert!(invalid_name(name).is_some_and(|text| text.contains(name)), "{name}");
        }
    }
}
