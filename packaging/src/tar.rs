//! Tar archives in the format ustar (POSIX.1-1988): a header of 512 bytes per entry, then its content in blocks of
//! the same size. Two empty blocks are the end.

use crate::{
    error::Error,
    file_tree::{Entry, FileTree},
};

const BLOCK: usize = 512;

/// Returns the archive of a tree. `time` is the modification time of every entry, in seconds since 1970.
///
/// # Errors
/// A path is longer than the format permits.
pub fn write(tree: &FileTree, time: u64) -> Result<Vec<u8>, Error> {
    let mut archive = Vec::new();
    for (path, entry) in tree.iter() {
        archive.extend(header(path, entry, time)?);
        if let Some(content) = &entry.content {
            archive.extend(content);
            archive.resize(archive.len().next_multiple_of(BLOCK), 0);
        }
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    Ok(archive)
}

fn header(path: &str, entry: &Entry, time: u64) -> Result<[u8; BLOCK], Error> {
    let is_folder = entry.content.is_none();
    let full = if is_folder { format!("{path}/") } else { path.to_owned() };
    let (prefix, name) =
        split(&full).ok_or_else(|| Error::new(format!("archive {path}"), "the path is too long"))?;
    let size = entry.content.as_ref().map_or(0, Vec::len) as u64;
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, &format!("{:07o}", entry.mode));
    put(108, &format!("{:07o}", entry.owner));
    put(116, &format!("{:07o}", entry.owner));
    put(124, &format!("{size:011o}"));
    put(136, &format!("{time:011o}"));
    put(148, "        ");
    put(156, if is_folder { "5" } else { "0" });
    put(257, "ustar\x0000");
    put(345, prefix);
    let sum: u32 = block.iter().copied().map(u32::from).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    Ok(block)
}

/// Splits a path into a prefix of at most 155 bytes and a name of at most 100.
fn split(path: &str) -> Option<(&str, &str)> {
    if path.len() <= 100 {
        return Some(("", path));
    }
    let cuts =
        path.match_indices('/').filter(|(at, _)| *at <= 155 && (1..=100).contains(&(path.len() - at - 1)));
    cuts.map(|(at, _)| (&path[..at], &path[at + 1..])).next()
}

/// Reads an archive that [`write()`] wrote, or another one with files and folders only.
///
/// # Errors
/// The archive is damaged, has another kind of entry, or a path that leaves the folder.
pub fn read(archive: &[u8]) -> Result<FileTree, Error> {
    let failed = |cause: &str| Error::new("read the tar archive", cause);
    let mut tree = FileTree::default();
    let mut at = 0;
    loop {
        let block = archive.get(at..at + BLOCK).ok_or_else(|| failed("it has no end"))?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(tree);
        }
        let sum: u32 = block.iter().copied().map(u32::from).sum::<u32>()
            - block[148..156].iter().copied().map(u32::from).sum::<u32>()
            + 8 * u32::from(b' ');
        if number(&block[148..156]) != Some(u64::from(sum)) {
            return Err(failed("the checksum of a header is wrong"));
        }
        let path = match (text(&block[345..500]), text(&block[..100])) {
            (Some(""), Some(name)) => name.to_owned(),
            (Some(prefix), Some(name)) => format!("{prefix}/{name}"),
            _ => return Err(failed("a path is not UTF-8")),
        };
        if path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(failed(&format!("the path {path} leaves the folder")));
        }
        let field = |range: std::ops::Range<usize>| {
            number(&block[range]).ok_or_else(|| failed("a number is invalid"))
        };
        let (mode, owner, size) = (field(100..108)?, field(108..116)?, field(124..136)?);
        let mode = u32::try_from(mode).map_err(|_| failed("a mode is invalid"))?;
        let owner = u32::try_from(owner).map_err(|_| failed("an owner is invalid"))?;
        let size = usize::try_from(size).map_err(|_| failed("a size is invalid"))?;
        at += BLOCK;
        match block[156] {
            b'5' => tree.folder(&path, mode, owner),
            b'0' | 0 => {
                let end = at.checked_add(size).ok_or_else(|| failed("a size is invalid"))?;
                let content = archive.get(at..end).ok_or_else(|| failed("a file is cut"))?;
                tree.file(&path, mode, content.to_vec());
                at += size.next_multiple_of(BLOCK);
            }
            kind => return Err(failed(&format!("{path} is of the kind {}", char::from(kind)))),
        }
    }
}

fn text(field: &[u8]) -> Option<&str> {
    std::str::from_utf8(field.split(|byte| *byte == 0).next()?).ok()
}

fn number(field: &[u8]) -> Option<u64> {
    u64::from_str_radix(text(field)?.trim(), 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> FileTree {
        let mut tree = FileTree::default();
        tree.file("bin/landfall", 0o755, vec![7; 1000]);
        tree.file("empty", 0o644, Vec::new());
        let long = format!("{0}/{0}/{1}", "folder".repeat(10), "name".repeat(20));
        tree.file(&long, 0o644, b"long".to_vec());
        tree.folder("tmp", 0o1777, 0);
        tree.folder("work", 0o755, 65_532);
        tree
    }

    #[test]
    fn what_was_written_is_read() {
        let archive = write(&tree(), 86_400).unwrap();
        assert_eq!(archive.len() % BLOCK, 0);
        assert_eq!(read(&archive).unwrap(), tree());
        assert_eq!(archive, write(&tree(), 86_400).unwrap());
    }

    #[test]
    fn a_path_that_does_not_fit_is_refused() {
        let mut tree = FileTree::default();
        tree.file(&"x".repeat(101), 0o644, Vec::new());
        let error = write(&tree, 0).unwrap_err().to_string();
        assert!(error.ends_with("the path is too long"), "{error}");
    }

    #[test]
    fn damage_and_paths_that_leave_the_folder_are_refused() {
        let good = write(&tree(), 0).unwrap();
        for cut in [0, 100, 600, good.len() - 2 * BLOCK] {
            assert!(read(&good[..cut]).is_err(), "cut at {cut}");
        }
        let mut damaged = good.clone();
        damaged[1] ^= 1;
        assert!(read(&damaged).unwrap_err().to_string().contains("checksum"));
        let mut outside = FileTree::default();
        outside.file("a/../../b", 0o644, Vec::new());
        let error = read(&write(&outside, 0).unwrap()).unwrap_err().to_string();
        assert!(error.contains("leaves the folder"), "{error}");
    }

    #[test]
    fn the_system_s_tar_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.tar");
        std::fs::write(&file, write(&tree(), 86_400).unwrap()).unwrap();
        let Ok(list) = std::process::Command::new("tar").arg("-tvf").arg(&file).output() else {
            println!("skipped: there is no tar");
            return;
        };
        let text = String::from_utf8_lossy(&list.stdout);
        assert!(list.status.success() && list.stderr.is_empty(), "{list:?}");
        assert!(text.contains("bin/landfall") && text.contains("1970"), "{text}");
        assert_eq!(text.lines().count(), tree().iter().count());
    }
}
