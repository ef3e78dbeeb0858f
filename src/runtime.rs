//! The asynchronous runtime. Without a thread from the system it fails with a message, not with a panic.

use crate::{exit::Exit, failure::Failure};
use std::{
    any::Any,
    panic::{self, AssertUnwindSafe},
    sync::mpsc,
    time::Duration,
};
use tokio::runtime::{Builder, Runtime};

/// The timeout of the first thread for blocking tasks, in real time.
const THREAD_WAIT_MAX: Duration = Duration::from_secs(10);

/// The time that an idle thread is kept, in real time. Name resolution needs one at any time of a run, and at the
/// limit of threads it would wait for a new one for ever.
const THREAD_KEPT: Duration = Duration::from_secs(3600);

/// Starts the runtime, with one thread for blocking tasks.
///
/// # Errors
/// The system grants no thread.
pub fn start() -> Result<Runtime, Failure> {
    quiet_thread_panics();
    start_with(|| {
        let runtime = Builder::new_multi_thread().enable_all().thread_keep_alive(THREAD_KEPT).build()?;
        let (granted, thread) = mpsc::channel();
        runtime.spawn_blocking(move || granted.send(()));
        match thread.recv_timeout(THREAD_WAIT_MAX) {
            Ok(()) => Ok(runtime),
            Err(_) => {
                runtime.shutdown_background();
                Err(std::io::Error::other("no thread for blocking tasks was granted in time"))
            }
        }
    })
}

/// Builds a runtime. The library panics if it gets no thread.
fn start_with(build: impl FnOnce() -> std::io::Result<Runtime>) -> Result<Runtime, Failure> {
    let failed = |cause: &str| {
        Failure::new(Exit::Failed, "start the threads of this program").cause(cause).hint(
            "raise the limit of threads and processes of this user or container (ulimit -u, the pids limit), or \
             end other processes, then run again",
        )
    };
    match panic::catch_unwind(AssertUnwindSafe(build)) {
        Ok(Ok(runtime)) => Ok(runtime),
        // Of the system itself only the poll of sockets can fail, for want of open files.
        Ok(Err(error)) if error.raw_os_error().is_some() => {
            let failure = Failure::new(Exit::Failed, "start the runtime of this program").caused_by(&error);
            Err(failure.hint(landfall_engine::file_remedy(&error)))
        }
        Ok(Err(error)) => Err(failed(&error.to_string())),
        Err(panic) => Err(failed(panic_text(panic.as_ref()).unwrap_or("the system grants no thread"))),
    }
}

/// Prints no raw panic for a refused thread: the caller of the runtime reports it.
fn quiet_thread_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let refused = panic_text(info.payload()).is_some_and(landfall_engine::is_thread_refusal);
        if !refused {
            print(info);
        }
    }));
}

fn panic_text(panic: &(dyn Any + Send)) -> Option<&str> {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::style::Styler;

    #[test]
    fn a_refused_thread_is_a_message_and_no_panic() {
        let refusal = "OS can't spawn worker thread: Resource temporarily unavailable (os error 11)";
        assert!(landfall_engine::is_thread_refusal(refusal));
        quiet_thread_panics();
        for build in [
            (|| panic!("{}", "OS can't spawn worker thread: Resource temporarily unavailable (os error 11)"))
                as fn() -> std::io::Result<Runtime>,
            || {
                Err(std::io::Error::other(
                    "OS can't spawn worker thread: Resource temporarily unavailable (os error 11)",
                ))
            },
        ] {
            let failure = start_with(build).err().unwrap();
            assert_eq!(failure.exit, Exit::Failed);
            let text = failure.text(Styler::PLAIN);
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(text.contains(refusal) && text.contains("ulimit -u"), "{text}");
        }
    }

    #[test]
    fn the_runtime_starts() {
        assert_eq!(start().ok().unwrap().block_on(async { 7 }), 7);
    }
}
