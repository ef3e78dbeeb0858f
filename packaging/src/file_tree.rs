//! A tree of files with modes and owners, independent of the file system of this machine.

use std::collections::BTreeMap;

/// A file or a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The permission bits.
    pub mode: u32,
    /// The user and group id of the owner.
    pub owner: u32,
    /// The content; `None` is a folder.
    pub content: Option<Vec<u8>>,
}

/// Files and folders by path. The paths are relative, use `/`, and are sorted, so that a folder precedes its
/// content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileTree {
    entries: BTreeMap<String, Entry>,
}

impl FileTree {
    /// Adds a file of root, and the folders above it. A file of the same path is replaced.
    pub fn file(&mut self, path: &str, mode: u32, content: Vec<u8>) {
        self.insert(path, Entry { mode, owner: 0, content: Some(content) });
    }

    /// Adds a folder, and the folders above it.
    pub fn folder(&mut self, path: &str, mode: u32, owner: u32) {
        self.insert(path, Entry { mode, owner, content: None });
    }

    fn insert(&mut self, path: &str, entry: Entry) {
        let path = path.trim_matches('/');
        for (at, _) in path.match_indices('/') {
            let parent = Entry { mode: 0o755, owner: 0, content: None };
            self.entries.entry(path[..at].to_owned()).or_insert(parent);
        }
        self.entries.insert(path.to_owned(), entry);
    }

    /// Returns whether there is a file or folder at the path.
    #[must_use]
    pub fn contains(&self, path: &str) -> bool {
        self.entries.contains_key(path.trim_matches('/'))
    }

    /// Returns the content of the file at the path.
    #[must_use]
    pub fn content(&self, path: &str) -> Option<&[u8]> {
        self.entries.get(path.trim_matches('/'))?.content.as_deref()
    }

    /// Iterates over the entries, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_above_a_file_are_added_and_come_first() {
        let mut tree = FileTree::default();
        tree.file("/etc/ssl/roots.pem", 0o644, b"roots".to_vec());
        tree.folder("etc", 0o700, 7);
        let paths: Vec<_> = tree.iter().map(|(path, entry)| (path, entry.mode, entry.owner)).collect();
        assert_eq!(paths, [("etc", 0o700, 7), ("etc/ssl", 0o755, 0), ("etc/ssl/roots.pem", 0o644, 0)]);
    }
}
