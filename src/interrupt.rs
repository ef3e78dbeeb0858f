//! Ctrl-C and SIGTERM: the first asks the run to end, the second ends it, the third does not ask.

use crate::{failure::Exit, render::live::SHOW_CURSOR, render::stream};
use landfall_engine::Stop;
use tokio::sync::mpsc::UnboundedSender;

/// Listens until the process ends.
pub fn listen(stop: Stop, say: UnboundedSender<String>) {
    tokio::spawn(async move {
        // A display that is gone has nobody left to tell; the wish itself still counts.
        asked().await;
        let _ = say.send(
            "Stopping: nothing new is started, what is under way goes on in the cloud. Press Ctrl-C again to \
             leave at once."
                .to_owned(),
        );
        stop.gently();
        asked().await;
        let _ = say.send("Leaving at once.".to_owned());
        stop.now();
        asked().await;
        stream::err().write(SHOW_CURSOR);
        std::process::exit(Exit::Interrupted as i32);
    });
}

/// Returns when the process is asked to end.
async fn asked() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            },
            Err(_) => wait_for_ctrl_c().await,
        }
    }
    #[cfg(not(unix))]
    wait_for_ctrl_c().await;
}

async fn wait_for_ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a handler the system ends the process by itself, so there is nothing to wait for.
        std::future::pending::<()>().await;
    }
}
