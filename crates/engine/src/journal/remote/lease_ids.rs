//! The ids under which processes of this machine held the lease.
//!
//! The lock of the state folder proves that the previous process is dead. Its successor acquires the lease under the
//! same id, without waiting for its end, and changes the id: a late request of the dead process is then refused.

use crate::journal::file;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

const FILE: &str = "remote.lease";
/// The number of ids that are kept: the one that was changed, and the one that it was changed to.
const IDS_MAX: usize = 2;

/// The ids, newest first, in a file of the state folder.
#[derive(Debug)]
pub(super) struct LeaseIds {
    path: PathBuf,
    /// The ids of earlier processes.
    pub(super) earlier: Vec<String>,
}

impl LeaseIds {
    /// Reads the ids of earlier processes. The state folder must be locked.
    pub(super) fn read(dir: &Path) -> io::Result<Self> {
        let path = dir.join(FILE);
        let text = match file::read_bytes(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let is_id = |line: &&str| line.len() == 36 && line.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        let earlier = text.lines().filter(is_id).take(IDS_MAX).map(str::to_owned).collect();
        Ok(Self { path, earlier })
    }

    /// Adds the id of this process, before its first use.
    pub(super) fn add(&self, id: &str) -> io::Result<()> {
        let ids = std::iter::once(id).chain(self.earlier.iter().map(String::as_str)).take(IDS_MAX);
        let text: String = ids.map(|id| format!("{id}\n")).collect();
        file::create(&self.path, text.as_bytes())
    }

    /// Removes the ids, after the lease was released.
    pub(super) fn forget(&self) {
        // Without this, the next process tries to acquire the lease under the old id, which does no harm.
        let _ = fs::remove_file(&self.path);
    }
}
