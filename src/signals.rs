//! Signal handling of Ctrl-C, SIGTERM and SIGHUP: the first requests a graceful stop, the second stops at
//! once, the third kills.

use crate::{exit::Exit, render::region::SHOW_CURSOR, render::stream};
use landfall_engine::Stop;
use tokio::sync::mpsc::UnboundedSender;

/// Listens until the process ends; no signal is missed after this returns.
///
/// # Panics
/// Panics outside of the runtime.
pub fn listen(stop: Stop, say: UnboundedSender<String>) {
    let mut signals = Signals::new();
    tokio::spawn(async move {
        // If the display has ended, the message is lost, but the stop request is valid.
        signals.next().await;
        let _ = say.send(
            "Stopping: no new request starts, requests in flight complete. Press Ctrl-C again to exit \
             immediately."
                .to_owned(),
        );
        stop.graceful();
        signals.next().await;
        let _ = say.send("Exiting immediately.".to_owned());
        stop.now();
        signals.next().await;
        stream::err().raw(SHOW_CURSOR);
        std::process::exit(Exit::Interrupted as i32);
    });
}

/// The stop request of a command that serves until then and has nothing to complete.
pub struct StopRequest(Signals);

impl StopRequest {
    /// Listens; no signal is missed after this returns.
    ///
    /// # Panics
    /// Panics outside of the runtime.
    pub fn listen() -> Self {
        Self(Signals::new())
    }

    /// Returns at a stop request, and again at each further one.
    pub async fn received(&mut self) {
        self.0.next().await;
    }
}

/// The signals that request a stop, created once, so that none is lost between the first and the second.
#[cfg(unix)]
struct Signals(Vec<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Signals {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
        if !hangup_is_ignored() {
            kinds.push(SignalKind::hangup());
        }
        // A signal without a handler keeps the system's default: it ends the process.
        Self(kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect())
    }

    /// Returns at the next stop request.
    async fn next(&mut self) {
        std::future::poll_fn(|cx| match self.0.iter_mut().any(|signal| signal.poll_recv(cx).is_ready()) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        })
        .await;
    }
}

/// Returns whether the parent process had SIGHUP ignored, as `nohup` does.
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

/// Parses `/proc/self/status`: `SigIgn` is a mask in hexadecimal digits whose lowest bit is SIGHUP (proc(5)).
#[cfg(unix)]
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let lowest = mask.and_then(|mask| mask.trim().chars().last()?.to_digit(16));
    lowest.is_some_and(|digit| digit & 1 == 1)
}

/// Ctrl-C only, on systems without the other signals.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Self {
        Self
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without a handler the system itself ends the process, so there is nothing to wait for.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nohup_is_seen_in_the_mask_of_ignored_signals() {
        assert!(ignores_hangup("SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"));
        assert!(!ignores_hangup("SigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup("Name:\tlandfall\n"));
    }
}
