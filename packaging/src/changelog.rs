//! The changelog's section of a version, which is the text of the release.

use crate::Error;

/// Returns the section of a version without its heading.
///
/// # Errors
/// The changelog has no such section, or an empty one.
pub fn section<'a>(changelog: &'a str, version: &str) -> Result<&'a str, Error> {
    let failed = |cause: &str| {
        Error::new(format!("find {version} in CHANGELOG.md"), cause)
            .hint("the changes of a release are under a heading with its version")
    };
    let section = changelog
        .split("\n## ")
        .skip(1)
        .find(|section| section.split_whitespace().next() == Some(version))
        .ok_or_else(|| failed("there is no such section"))?;
    let text = section.split_once('\n').map_or("", |(_, text)| text).trim();
    match text.is_empty() {
        true => Err(failed("the section is empty")),
        false => Ok(text),
    }
}

/// Returns whether the heading of a version has a date, as in `## 1.2.3 (2027-01-31)`.
#[must_use]
pub fn is_dated(changelog: &str, version: &str) -> bool {
    let prefix = format!("## {version} (");
    let headings = changelog.lines().filter_map(|line| line.strip_prefix(&prefix)?.strip_suffix(')'));
    headings.into_iter().any(|date| date.parse::<jiff::civil::Date>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# Changelog\n\n## Unreleased\n\n## 0.2.0 (2027-01-02)\n\n### Added\n\n- a\n\n## 0.1.0\n\n- b\n";

    #[test]
    fn a_section_ends_at_the_next_version() {
        assert_eq!(section(TEXT, "0.2.0").unwrap(), "### Added\n\n- a");
        assert_eq!(section(TEXT, "0.1.0").unwrap(), "- b");
    }

    #[test]
    fn a_released_version_has_a_date() {
        assert!(is_dated(TEXT, "0.2.0"));
        assert!(!is_dated(TEXT, "0.1.0"));
        assert!(!is_dated("## 0.1.0 (not yet released)\n", "0.1.0"));
    }

    #[test]
    fn a_version_without_changes_is_refused() {
        assert!(section(TEXT, "0.3.0").unwrap_err().to_string().contains("no such section"));
        assert!(section(TEXT, "0.2").is_err());
        assert!(section(TEXT, "Unreleased").unwrap_err().to_string().contains("empty"));
    }
}
