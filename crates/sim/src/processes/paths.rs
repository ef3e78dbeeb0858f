//! The mount paths of a container, which has no root of its own: where its arguments and variables name one, they get the
//! real folder.

use std::path::{Path, PathBuf};

/// The real folders of mount paths, the longest path first.
#[derive(Debug, Clone, Default)]
pub(super) struct MountPaths(Vec<(String, PathBuf)>);

impl MountPaths {
    /// Creates the table from mount paths and their folders.
    pub fn new(mounts: impl IntoIterator<Item = (String, PathBuf)>) -> Self {
        let trimmed =
            mounts.into_iter().map(|(path, folder)| (path.trim_end_matches('/').to_owned(), folder));
        let mut all: Vec<_> = trimmed.filter(|(path, _)| !path.is_empty()).collect();
        all.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Self(all)
    }

    /// Returns the text with the real folders.
    ///
    /// A mount path counts where it stands alone or begins a longer path: `/fleet` in `/fleet/a.json` and in
    /// `--list=/fleet`, but not in `/fleets` or `a/fleet`.
    pub fn replace(&self, text: &str) -> String {
        let mut replaced = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let before = replaced_end(text, rest);
            if first == '/'
                && !before.is_some_and(|letter| is_part(letter) || letter == '/')
                && let Some((path, folder)) = self.at(rest)
            {
                replaced.push_str(&folder.display().to_string());
                rest = &rest[path.len()..];
            } else {
                replaced.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        replaced
    }

    /// Returns the mount path at the beginning of a text.
    fn at(&self, text: &str) -> Option<(&str, &Path)> {
        let ends = |path: &str| text[path.len()..].chars().next().is_none_or(|letter| !is_part(letter));
        let mut all = self.0.iter().map(|(path, folder)| (path.as_str(), folder.as_path()));
        all.find(|(path, _)| text.starts_with(path) && ends(path))
    }
}

/// Returns the letter of the text before its end `rest`.
fn replaced_end(text: &str, rest: &str) -> Option<char> {
    text[..text.len() - rest.len()].chars().next_back()
}

/// Returns whether a letter can be part of a file name.
fn is_part(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '.' | '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_path_is_replaced_where_it_begins_a_path() {
        let mounts = [("/fleet", "/real/a"), ("/fleet/extra/", "/real/b"), ("/", "/real/c")];
        let paths = MountPaths::new(mounts.map(|(path, folder)| (path.to_owned(), PathBuf::from(folder))));
        for (text, wanted) in [
            ("/fleet/wave.json", "/real/a/wave.json"),
            ("--list=/fleet", "--list=/real/a"),
            ("cat /fleet/a '/fleet/extra/b':/fleet", "cat /real/a/a '/real/b/b':/real/a"),
            ("/fleets /a/fleet x/fleet //fleet", "/fleets /a/fleet x/fleet //fleet"),
            ("/", "/"),
            ("é/fleet", "é/fleet"),
        ] {
            assert_eq!(paths.replace(text), wanted);
        }
    }
}
