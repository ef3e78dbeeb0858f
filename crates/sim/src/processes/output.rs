//! The output of containers as log files: bounded, with a time before each line, as container runtimes write them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::Notify;

use crate::aks::log::log_files;
use crate::clock::SimTime;

/// The maximum size of a log file in bytes. The file before the current one stays, so a log has at most twice as much.
const FILE_MAX: u64 = 512 * 1024;
/// The maximum length of a line in bytes; longer ones are cut into several.
const LINE_MAX: usize = 16 * 1024;

/// The log of one container, which both of its outputs write.
#[derive(Debug, Clone)]
pub(super) struct Output {
    files: Arc<Mutex<LogFile>>,
    /// Notified of new lines.
    written: Arc<Notify>,
    /// The lead of the cloud's clock over the system's, in milliseconds.
    clock_offset_ms: i64,
}

#[derive(Debug)]
struct LogFile {
    current: PathBuf,
    previous: PathBuf,
    file: File,
    size: u64,
}

impl LogFile {
    fn open(current: PathBuf, previous: PathBuf) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).mode(0o600).open(&current)?;
        let size = file.metadata()?.len();
        Ok(Self { current, previous, file, size })
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.size + line.len() as u64 > FILE_MAX {
            fs::rename(&self.current, &self.previous)?;
            *self = Self::open(self.current.clone(), self.previous.clone())?;
        }
        self.file.write_all(line)?;
        self.size += line.len() as u64;
        Ok(())
    }
}

impl Output {
    /// Opens the log of a container; a restarted one goes on with it.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn open(
        folder: &Path,
        container: &str,
        written: Arc<Notify>,
        clock_offset_ms: i64,
    ) -> io::Result<Self> {
        let [previous, current] = log_files(folder, container);
        let files = Arc::new(Mutex::new(LogFile::open(current, previous)?));
        Ok(Self { files, written, clock_offset_ms })
    }

    /// Copies a stream to the log until it ends.
    pub async fn copy(self, mut stream: impl AsyncRead + Unpin) {
        let mut waiting = Vec::new();
        loop {
            let mut chunk = [0; 8 * 1024];
            let read = stream.read(&mut chunk).await.unwrap_or(0);
            waiting.extend_from_slice(&chunk[..read]);
            let mut start = 0;
            while let Some(end) = next_line(&waiting[start..], read == 0) {
                self.write_line(&waiting[start..start + end]);
                start += end + usize::from(waiting.get(start + end) == Some(&b'\n'));
            }
            waiting.drain(..start);
            if read == 0 {
                return;
            }
        }
    }

    fn write_line(&self, line: &[u8]) {
        let at = SimTime::now().plus_ms(self.clock_offset_ms).rfc3339();
        let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        let mut file = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.append(format!("{at} {text}\n").as_bytes()) {
            tracing::warn!(%error, "a line of a container's log is lost");
        }
        drop(file);
        self.written.notify_one();
    }
}

/// Returns the end of the first line that is complete, or too long, or the last one of a stream that has ended.
fn next_line(waiting: &[u8], has_ended: bool) -> Option<usize> {
    match waiting.iter().position(|byte| *byte == b'\n') {
        Some(end) => Some(end.min(LINE_MAX)),
        None if waiting.len() > LINE_MAX => Some(LINE_MAX),
        None => (has_ended && !waiting.is_empty()).then_some(waiting.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aks::log::read_log;

    async fn log_of(text: &[u8]) -> (Vec<String>, u64) {
        let folder = tempfile::tempdir().expect("a folder");
        let output = Output::open(folder.path(), "main", Arc::default(), 0).expect("it opens");
        output.copy(text).await;
        let files = log_files(folder.path(), "main");
        let size = files.iter().filter_map(|path| Some(fs::metadata(path).ok()?.len())).sum();
        (read_log(folder.path(), "main").into_iter().map(|line| line.text).collect(), size)
    }

    #[tokio::test]
    async fn every_line_has_a_time_and_the_last_one_needs_no_break() {
        assert_eq!(log_of(b"one\r\n\ntwo three").await.0, ["one", "", "two three"]);
        let long = vec![b'x'; LINE_MAX + 5];
        let lines = log_of(&long).await.0;
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [LINE_MAX, 5]);
    }

    #[tokio::test]
    async fn a_log_keeps_its_newest_lines_within_its_bound() {
        let text: Vec<u8> =
            (0..40_000).flat_map(|number| format!("line number {number}\n").into_bytes()).collect();
        let (lines, size) = log_of(&text).await;
        assert!(size <= 2 * FILE_MAX, "{size}");
        assert_eq!(lines.last().map(String::as_str), Some("line number 39999"));
        assert!(lines.len() > 10_000 && lines[0] != "line number 0", "{}", lines.len());
    }
}
