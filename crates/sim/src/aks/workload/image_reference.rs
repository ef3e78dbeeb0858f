//! Parsing of image references, as in container runtimes.

/// Returns the runtime's error message if a reference is malformed (the grammar of
/// github.com/distribution/reference).
pub(super) fn format_error(reference: &str) -> Option<&'static str> {
    let (rest, digest) = match reference.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (reference, None),
    };
    let slash = rest.rfind('/').map_or(0, |at| at + 1);
    let (path, tag) = match rest[slash..].find(':') {
        Some(colon) => (&rest[..slash + colon], Some(&rest[slash + colon + 1..])),
        None => (rest, None),
    };
    let repository = match path.split_once('/') {
        Some((host, repository)) if is_host(host) => {
            if !host.chars().all(|letter| letter.is_ascii_alphanumeric() || "-.:[]".contains(letter)) {
                return Some("invalid reference format");
            }
            repository
        }
        _ => path,
    };
    if repository.chars().any(|letter| letter.is_ascii_uppercase()) {
        return Some("invalid reference format: repository name must be lowercase");
    }
    let sound = repository.split('/').all(is_component)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(|digest| digest.split_once(':').is_some_and(|(_, hex)| hex.len() >= 32));
    (!sound).then_some("invalid reference format")
}

/// Returns the reference with the default tag if it has none.
pub(super) fn with_tag(reference: &str) -> String {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    if last.contains([':', '@']) { reference.to_owned() } else { format!("{reference}:latest") }
}

/// Returns the repository of a reference, without tag and digest.
pub(super) fn repository(reference: &str) -> &str {
    let rest = reference.split('@').next().unwrap_or(reference);
    let slash = rest.rfind('/').map_or(0, |at| at + 1);
    rest[slash..].find(':').map_or(rest, |colon| &rest[..slash + colon])
}

fn is_host(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':'])
}

fn is_component(part: &str) -> bool {
    let ends = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
    ends(part.chars().next())
        && ends(part.chars().next_back())
        && part.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter))
}

fn is_tag(tag: &str) -> bool {
    !tag.is_empty()
        && tag.len() <= 128
        && !tag.starts_with(['.', '-'])
        && tag.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_validated_like_a_container_runtime() {
        for sound in [
            "nginx",
            "mcr.microsoft.com/oss/kubernetes/pause:3.9",
            "localhost:5000/a/b",
            "registry.k8s.io/pause@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(format_error(sound), None, "{sound}");
        }
        for malformed in
            ["", "nginx:", "Nginx", "a b", "mcr.microsoft.com/", "nginx::1", "__IMAGE__", "nginx@sha"]
        {
            assert!(format_error(malformed).is_some(), "{malformed}");
        }
        assert_eq!(with_tag("mcr.microsoft.com:443/a"), "mcr.microsoft.com:443/a:latest");
        assert_eq!(with_tag("a:1"), "a:1");
        for reference in ["localhost:5000/a/b", "localhost:5000/a/b:1", "localhost:5000/a/b:1@sha256:0123"] {
            assert_eq!(repository(reference), "localhost:5000/a/b");
        }
    }
}
