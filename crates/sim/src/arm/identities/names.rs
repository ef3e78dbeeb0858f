//! The rule for names of identities and credentials.

use crate::arm::error::ArmError;

/// Checks a name: it starts with a letter or digit, then letters, digits, hyphens and underscores.
pub(super) fn check_chars(name: &str, lengths: std::ops::RangeInclusive<usize>) -> Result<(), ArmError> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    let starts = name.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    if lengths.contains(&name.len()) && starts && name.chars().all(allowed) {
        return Ok(());
    }
    let (least, most) = (lengths.start(), lengths.end());
    let why = format!(
        "The resource name '{name}' is invalid. It must have {least} to {most} letters, digits, hyphens and underscores, \
         and start with a letter or digit."
    );
    Err(ArmError::new(400, "BadRequest", why))
}

pub(super) fn check_name(name: &str) -> Result<(), ArmError> {
    check_chars(name, 3..=128)
}
