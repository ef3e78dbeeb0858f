//! Activity of a step's turn, for reports: its requests, retries and waits. No decision depends on it.

use serde::{Deserialize, Serialize};
use std::{
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// The maximum number of waits, and of distinct retry reasons, that one turn records.
const RECORDED_MAX: usize = 32;

tokio::task_local! {
    /// The recorder of the turn that this task runs.
    static RECORDER: ActivityRecorder;
}

/// The activity of one turn of a step. Durations are real time.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepActivity {
    /// The duration of the turn, in milliseconds.
    pub elapsed_ms: u64,
    /// The number of requests.
    #[serde(skip_serializing_if = "is_zero")]
    pub requests: u64,
    /// The retries by reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retries: Vec<RetryCount>,
    /// The waits, in the order of their ends. Concurrent waits overlap.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<WaitSpan>,
}

/// The number of retries for one reason.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetryCount {
    /// The reason, such as the service's error code.
    pub because: String,
    /// The number of retries.
    pub count: u64,
}

/// One wait of a turn.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WaitSpan {
    /// The condition; fits after "wait for".
    pub what: String,
    /// The beginning, in milliseconds since the beginning of the turn.
    pub start_ms: u64,
    /// The duration, in milliseconds.
    pub elapsed_ms: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Returns whole milliseconds.
pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Counts a request of the step that runs in this task; without effect outside of a step's turn.
pub fn count_request() {
    let _ = RECORDER.try_with(ActivityRecorder::count_request);
}

/// Counts a retry of the step that runs in this task; without effect outside of a step's turn.
pub fn count_retry(because: &str) {
    let _ = RECORDER.try_with(|recorder| recorder.count_retry(because));
}

/// Records the activity of one turn. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct ActivityRecorder {
    began: Instant,
    activity: Arc<Mutex<StepActivity>>,
    /// The requests of all turns of the run.
    run_requests: Arc<AtomicU64>,
}

impl ActivityRecorder {
    /// Starts a turn; `run_requests` counts the requests of the whole run.
    pub(crate) fn begin(run_requests: &Arc<AtomicU64>) -> Self {
        Self { began: Instant::now(), activity: Arc::default(), run_requests: run_requests.clone() }
    }

    /// Runs a future whose requests and retries this turn counts.
    pub(crate) fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        RECORDER.scope(self.clone(), future)
    }

    /// Returns the activity so far, with the duration up to now.
    pub(crate) fn so_far(&self) -> StepActivity {
        StepActivity { elapsed_ms: ms(self.began.elapsed()), ..self.lock().clone() }
    }

    /// Adds the requests and retries of a speculative check, which this turn uses.
    pub(crate) fn add(&self, other: &StepActivity) {
        let mut activity = self.lock();
        activity.requests += other.requests;
        other.retries.iter().for_each(|retry| add_retries(&mut activity, &retry.because, retry.count));
    }

    pub(crate) fn count_retry(&self, because: &str) {
        add_retries(&mut self.lock(), because, 1);
    }

    /// Records a wait that ends now.
    pub(crate) fn waited(&self, what: &str, began: Instant) {
        let (start_ms, elapsed_ms) = (ms(began.duration_since(self.began)), ms(began.elapsed()));
        let waits = &mut self.lock().waits;
        // A condition that held at the first poll was not waited for.
        if elapsed_ms > 0 && waits.len() < RECORDED_MAX {
            waits.push(WaitSpan { what: what.to_owned(), start_ms, elapsed_ms });
        }
    }

    fn count_request(&self) {
        self.lock().requests += 1;
        self.run_requests.fetch_add(1, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, StepActivity> {
        self.activity.lock().expect("nothing panics while it is held")
    }
}

fn add_retries(activity: &mut StepActivity, because: &str, count: u64) {
    let retries = &mut activity.retries;
    match retries.iter().position(|retry| retry.because == because) {
        Some(known) => retries[known].count += count,
        None if retries.len() < RECORDED_MAX => {
            retries.push(RetryCount { because: because.to_owned(), count });
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_turn_counts_what_its_task_does() {
        let run_requests = Arc::default();
        let (first, second) =
            (ActivityRecorder::begin(&run_requests), ActivityRecorder::begin(&run_requests));
        count_request();
        let step = |requests: u32| async move {
            (0..requests).for_each(|_| count_request());
            count_retry("HTTP 429");
            count_retry("HTTP 429");
        };
        tokio::join!(first.scope(step(3)), second.scope(step(1)));
        tokio::time::advance(Duration::from_millis(70)).await;
        assert_eq!((first.so_far().requests, second.so_far().requests), (3, 1));
        assert_eq!(first.so_far().retries, [RetryCount { because: "HTTP 429".into(), count: 2 }]);
        assert_eq!(first.so_far().elapsed_ms, 70);
        assert_eq!(run_requests.load(Ordering::Relaxed), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn records_are_bounded_and_a_fulfilled_condition_is_no_wait() {
        let recorder = ActivityRecorder::begin(&Arc::default());
        recorder.waited("nothing", Instant::now());
        assert_eq!(recorder.so_far().waits, []);
        let began = Instant::now();
        tokio::time::advance(Duration::from_millis(5)).await;
        (0..100).for_each(|n| {
            recorder.waited("the lake", began);
            recorder.count_retry(&format!("reason {n}"));
        });
        assert_eq!((recorder.so_far().waits.len(), recorder.so_far().retries.len()), (32, 32));
        let span = WaitSpan { what: "the lake".into(), start_ms: 0, elapsed_ms: 5 };
        assert_eq!(recorder.so_far().waits[0], span);
    }

    #[test]
    fn unknown_and_missing_fields_are_accepted() {
        let read: StepActivity = serde_json::from_str(r#"{"elapsed_ms":7,"bytes":1}"#).unwrap();
        assert_eq!(read, StepActivity { elapsed_ms: 7, ..StepActivity::default() });
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"{"elapsed_ms":7}"#);
    }
}
