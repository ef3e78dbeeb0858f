//! The folded journal state: separate facts per step, because their lifetimes differ.

use super::entry::Entry;
use crate::{
    error::{ErrorReport, Leftover},
    handle::RecordOf,
    step_types::{How, Override, UndoOutcome},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

/// The field of an output, if it is an object, with the overrides of its resource. Outputs of earlier versions have
/// none, and earlier versions ignore it.
pub(crate) const OVERRIDES: &str = "overridden";

/// The recorded state, by step id.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct JournalState(pub BTreeMap<String, StepState>);

/// The recorded state of one step.
///
/// With one state instead of separate facts, a second run's "started" would erase the first run's "created".
/// A teardown would then keep an owned resource or delete a foreign one.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct StepState {
    /// landfall created it, so it may be deleted. Kept until the deletion.
    pub owned: bool,
    /// A person adopted what was only found, also if the output distinguishes the two.
    pub adopted: bool,
    /// The last output. Outlives every later attempt; see [`StepState::output_may_be_stale`].
    pub output: Option<Value>,
    /// The names of the last attempt, until that attempt has an output.
    pub planned_name: Option<Value>,
    /// The ticket of an operation in flight. The step's end consumes it; a new attempt also consumes that of
    /// a deletion.
    pub ticket: Option<Value>,
    /// The time at which the ticket was saved, RFC 3339.
    pub ticket_at: Option<String>,
    /// True if the ticket is for a deletion.
    pub ticket_undoes: bool,
    /// The failure of the last attempt, until another one starts.
    pub error: Option<ErrorReport>,
    /// The number of attempts.
    pub attempts: u32,
    /// The way in which it last got its output.
    pub how: Option<How>,
    /// The time of that output, RFC 3339.
    pub finished_at: Option<String>,
    /// The kind of the last entry.
    pub state: StepStatus,
    /// True if `owned` rests only on the current attempt, which can revoke it.
    claimed: bool,
    /// True if the output belongs to an owned resource.
    output_owned: bool,
    /// True if an attempt started after the output and gave none.
    stale: bool,
}

/// The kind of the last entry of a step.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum StepStatus {
    /// No entry, or the step was undone.
    #[default]
    NotStarted,
    /// It started, and no end was written.
    InProgress,
    /// It failed.
    Failed,
    /// It has its output.
    Ready,
}

impl JournalState {
    /// Returns the recorded state of one step.
    pub fn step_state(&self, step: &str) -> Option<&StepState> {
        self.0.get(step)
    }

    /// Returns the recorded state of the step that a handle or a reference names.
    pub fn past_of<T>(&self, step: RecordOf<T>) -> Option<&StepState> {
        self.step_state(step.id())
    }

    /// Returns the recorded output of a step; `None` if there is none, or it no longer parses.
    pub fn output_of<T: DeserializeOwned>(&self, step: RecordOf<T>) -> Option<T> {
        self.past_of(step)?.read_output()
    }

    /// Returns the latest recorded time of all steps: of an output or of a ticket. Only if this machine's clock
    /// was set back can it be in the future.
    pub fn latest_time(&self) -> Option<jiff::Timestamp> {
        let times = self.0.values().flat_map(|step| [&step.finished_at, &step.ticket_at]);
        times.flatten().filter_map(|time| time.parse().ok()).max()
    }

    /// Applies one entry, written at `at` (RFC 3339).
    pub fn apply(&mut self, at: &str, entry: &Entry) {
        match entry {
            // The failure of a later process does not revoke the claim of an earlier one.
            Entry::Opened { .. } => self.0.values_mut().for_each(|step_state| step_state.claimed = false),
            Entry::Closed { .. } => {}
            Entry::Started { step, attempt, creating, planned_name } => {
                self.of(step).start(*attempt, *creating, planned_name.as_ref());
            }
            Entry::Ticket { step, ticket, undoes } => self.of(step).save_ticket(at, ticket, *undoes),
            Entry::Finished { step, how, output } => self.of(step).finish(at, *how, output),
            Entry::Failed { step, error } => self.of(step).fail(error),
            Entry::Adopted { step } => self.of(step).adopt(),
            Entry::Undone { step, undone } => self.of(step).undo(undone),
        }
    }

    fn of(&mut self, step: &str) -> &mut StepState {
        self.0.entry(step.to_owned()).or_default()
    }
}

impl StepState {
    /// Returns the output in its type; `None` if there is none, or it no longer parses.
    pub fn read_output<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_value(self.output.clone()?).ok()
    }

    /// Returns the overrides that the output records; see [`Override`].
    pub fn overrides(&self) -> Vec<Override> {
        let recorded = self.output.as_ref().map(|output| output[OVERRIDES].clone());
        recorded.and_then(|recorded| serde_json::from_value(recorded).ok()).unwrap_or_default()
    }

    /// Returns whether an attempt without an output started after the one that gave this output: its resource
    /// may have another id.
    pub fn output_may_be_stale(&self) -> bool {
        self.stale && self.output.is_some()
    }

    /// Returns the output, if it belongs to an owned resource that may be deleted.
    pub(crate) fn owned_output(&self) -> Option<&Value> {
        self.output.as_ref().filter(|_| self.owned && self.output_owned)
    }

    /// Returns the output, unless it names a foreign resource and the creation of an owned one has started
    /// since.
    pub(crate) fn usable_output(&self) -> Option<&Value> {
        self.output.as_ref().filter(|_| self.output_owned == self.owned)
    }

    fn start(&mut self, attempt: u32, creating: bool, planned_name: Option<&Value>) {
        // An earlier claim stands even if this attempt leaves nothing. It is unknown whether that process
        // died before or after its request arrived.
        self.claimed = creating && !self.owned;
        self.owned |= creating;
        self.attempts = self.attempts.max(attempt);
        self.error = None;
        self.state = StepStatus::InProgress;
        self.stale = true;
        self.planned_name = planned_name.cloned().or(self.planned_name.take());
        // That deletion does not concern the resource of this attempt.
        if self.ticket_undoes {
            self.clear_ticket();
        }
    }

    fn save_ticket(&mut self, at: &str, ticket: &Value, undoes: bool) {
        let expired = ticket.is_null();
        self.ticket = (!expired).then(|| ticket.clone());
        self.ticket_at = (!expired).then(|| at.to_owned());
        self.ticket_undoes = undoes && !expired;
        // Work that the cloud accepted always leaves something.
        self.claimed &= expired;
    }

    fn finish(&mut self, at: &str, how: How, output: &Value) {
        self.output = Some(output.clone());
        self.output_owned = self.owned;
        self.stale = false;
        self.planned_name = None;
        self.clear_ticket();
        self.error = None;
        self.how = Some(how);
        self.finished_at = Some(at.to_owned());
        self.state = StepStatus::Ready;
        self.claimed = false;
    }

    fn fail(&mut self, error: &ErrorReport) {
        // An attempt that certainly left nothing owns nothing. Without this, `down` would delete a foreign
        // resource that takes the name after a refused request.
        if self.claimed && error.leftover == Leftover::Nothing {
            self.owned = false;
            self.planned_name = None;
        }
        self.claimed = false;
        self.error = Some(error.clone());
        self.state = StepStatus::Failed;
    }

    fn adopt(&mut self) {
        self.adopted = true;
        self.owned = true;
        self.output_owned = self.output.is_some();
        self.claimed = false;
    }

    fn undo(&mut self, undone: &UndoOutcome) {
        match undone {
            // The run that completes it polls with the ticket.
            UndoOutcome::InProgress => {}
            // The record of a creation attempt is still needed: the resource stays owned.
            UndoOutcome::Kept { .. } if !self.ticket_undoes => {}
            UndoOutcome::Kept { .. } => self.clear_ticket(),
            UndoOutcome::Deleted | UndoOutcome::AlreadyDeleted | UndoOutcome::DeletedWithParent => {
                *self = Self::default()
            }
        }
    }

    fn clear_ticket(&mut self) {
        self.ticket = None;
        self.ticket_at = None;
        self.ticket_undoes = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Kind, StepError};
    use proptest::prelude::*;
    use serde_json::json;

    const AT: &str = "2026-11-23T09:00:00.000Z";

    fn started(creating: bool) -> Entry {
        Entry::Started { step: "a".into(), attempt: 1, creating, planned_name: None }
    }

    fn planned_name(name: &str) -> Entry {
        Entry::Started { step: "a".into(), attempt: 1, creating: true, planned_name: Some(json!(name)) }
    }

    fn opened() -> Entry {
        let environment = crate::EnvironmentKey {
            cloud: "toy".into(),
            subscription: "none".into(),
            environment: "default".into(),
        };
        Entry::Opened { format: 1, command: "up".into(), environment, landfall: "0.1.0".into(), holder: None }
    }

    fn failed(leftover: Leftover) -> Entry {
        Entry::Failed { step: "a".into(), error: StepError::new(Kind::Failed, "x").leftover(leftover) }
    }

    fn finished() -> Entry {
        Entry::Finished { step: "a".into(), how: How::Created, output: json!("made") }
    }

    fn ticket(value: Value) -> Entry {
        Entry::Ticket { step: "a".into(), ticket: value, undoes: false }
    }

    fn undone(undone: UndoOutcome) -> Entry {
        Entry::Undone { step: "a".into(), undone }
    }

    fn after(entries: &[Entry]) -> StepState {
        let mut journal_state = JournalState::default();
        for entry in entries {
            journal_state.apply(AT, entry);
        }
        journal_state.step_state("a").cloned().unwrap_or_default()
    }

    #[test]
    fn an_output_without_overrides_is_one_of_an_earlier_version() {
        let mut state = JournalState::default();
        let finish = |state: &mut JournalState, output: Value| {
            state.apply(AT, &Entry::Finished { step: "a".into(), how: How::Found, output });
            state.step_state("a").unwrap().clone()
        };
        let plain = finish(&mut state, json!({ "name": "x" }));
        assert_eq!(plain.overrides(), []);
        let change = json!({ "field": "tags.A", "is": "p", "wanted": "d" });
        let output = json!({ "name": "x", "overridden": [{ "change": change, "cause": "a policy" }] });
        let overrides = finish(&mut state, output).overrides();
        assert_eq!((overrides[0].change.field.as_str(), overrides[0].cause.as_str()), ("tags.A", "a policy"));
        assert_eq!(finish(&mut state, json!("text")).overrides(), []);
    }

    #[test]
    fn a_second_start_keeps_the_records_of_the_first_run() {
        let step_state = after(&[started(true), finished(), started(false)]);
        assert!(step_state.owned);
        assert_eq!(step_state.output, Some(json!("made")));
        assert_eq!(step_state.state, StepStatus::InProgress);
        let step_state =
            after(&[started(true), ticket(json!("op")), started(false), failed(Leftover::Unknown)]);
        assert_eq!((step_state.owned, step_state.ticket), (true, Some(json!("op"))));
    }

    #[test]
    fn a_ticket_is_cleared_on_finish_and_on_expiry() {
        assert_eq!(after(&[started(true), ticket(json!("op")), finished()]).ticket, None);
        assert_eq!(after(&[started(true), ticket(json!("op")), ticket(Value::Null)]).ticket, None);
    }

    #[test]
    fn an_attempt_without_leftover_revokes_only_its_own_claim() {
        assert!(!after(&[started(true), failed(Leftover::Nothing)]).owned);
        assert!(after(&[started(true), failed(Leftover::Unknown)]).owned);
        assert!(
            after(&[started(true), started(true), failed(Leftover::Nothing)]).owned,
            "the first may have made it"
        );
        assert!(
            after(&[started(true), ticket(json!("op")), failed(Leftover::Nothing)]).owned,
            "the cloud took it"
        );
        assert!(after(&[started(true), finished(), started(false), failed(Leftover::Nothing)]).owned);
    }

    #[test]
    fn an_adopted_resource_is_owned_until_its_deletion() {
        let found = Entry::Finished { step: "a".into(), how: How::Found, output: json!("theirs") };
        let adopted = || Entry::Adopted { step: "a".into() };
        assert!(!after(std::slice::from_ref(&found)).owned);
        let step_state = after(&[found.clone(), adopted(), opened()]);
        assert!(step_state.owned && step_state.adopted);
        assert_eq!(step_state.owned_output(), Some(&json!("theirs")));
        assert_eq!(after(&[found, adopted(), undone(UndoOutcome::Deleted)]), StepState::default());
    }

    #[test]
    fn a_deletion_in_progress_stays_owned_and_keeps_its_ticket() {
        let deletion = Entry::Ticket { step: "a".into(), ticket: json!("op"), undoes: true };
        let step_state = after(&[started(true), finished(), deletion, undone(UndoOutcome::InProgress)]);
        assert_eq!((step_state.owned, step_state.ticket), (true, Some(json!("op"))));
    }

    #[test]
    fn a_deleted_resource_is_forgotten_and_a_kept_one_is_not() {
        assert_eq!(after(&[started(true), finished(), undone(UndoOutcome::Deleted)]), StepState::default());
        let kept =
            after(&[started(true), finished(), undone(UndoOutcome::Kept { why: "changed hands".into() })]);
        assert!(kept.owned && kept.output.is_some());
        let why = || UndoOutcome::Kept { why: "changed hands".into() };
        let unfinished = after(&[started(true), ticket(json!("half of it")), undone(why())]);
        assert_eq!((unfinished.owned, unfinished.ticket), (true, Some(json!("half of it"))));
    }

    #[test]
    fn a_later_run_that_fails_its_check_revokes_no_claim() {
        let step_state = after(&[opened(), started(true), opened(), failed(Leftover::Nothing)]);
        assert!(step_state.owned, "whether the first run's request arrived is not known");
        assert!(!after(&[opened(), started(true), failed(Leftover::Nothing)]).owned);
    }

    #[test]
    fn planned_names_are_recorded_until_there_is_an_output() {
        let step_state = after(&[planned_name("lake-1")]);
        assert_eq!(step_state.planned_name, Some(json!("lake-1")));
        assert_eq!(after(&[planned_name("lake-1"), started(false)]).planned_name, Some(json!("lake-1")));
        assert_eq!(
            after(&[planned_name("lake-1"), failed(Leftover::Unknown)]).planned_name,
            Some(json!("lake-1"))
        );
        assert_eq!(after(&[planned_name("lake-1"), failed(Leftover::Nothing)]).planned_name, None);
        assert_eq!(after(&[planned_name("lake-1"), finished()]).planned_name, None);
        assert_eq!(after(&[planned_name("lake-1"), undone(UndoOutcome::Deleted)]), StepState::default());
    }

    #[test]
    fn an_output_is_stale_while_a_later_attempt_has_none() {
        let recreated = after(&[started(true), finished(), started(true)]);
        assert!(recreated.output_may_be_stale() && recreated.owned_output().is_some());
        assert!(!after(&[started(true), finished(), started(true), finished()]).output_may_be_stale());
        assert!(!after(&[started(true)]).output_may_be_stale(), "there is none");
        let updated = after(&[finished(), started(false)]);
        assert!(updated.output_may_be_stale() && updated.usable_output().is_some());
    }

    #[test]
    fn a_found_resource_is_not_owned_because_its_replacement_is() {
        let step_state = after(&[finished(), started(true)]);
        assert!(step_state.owned && step_state.output.is_some());
        assert_eq!((step_state.owned_output(), step_state.usable_output()), (None, None));
    }

    #[test]
    fn a_new_attempt_clears_the_ticket_of_a_deletion() {
        let deletion = Entry::Ticket { step: "a".into(), ticket: json!("gone"), undoes: true };
        let step_state = after(&[started(true), finished(), deletion, started(true)]);
        assert_eq!((step_state.ticket, step_state.ticket_undoes), (None, false));
    }

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let step = prop::sample::select(vec!["a", "b"]).prop_map(str::to_owned);
        let leftover = prop::sample::select(vec![Leftover::Nothing, Leftover::Something, Leftover::Unknown]);
        let undone = prop::sample::select(vec![
            UndoOutcome::Deleted,
            UndoOutcome::AlreadyDeleted,
            UndoOutcome::DeletedWithParent,
            UndoOutcome::Kept { why: "x".into() },
        ]);
        let entry = (step, 0..6_u8, any::<bool>(), 1..4_u32, leftover, undone).prop_map(
            |(step, which, flag, attempt, leftover, undone)| match which {
                0 => Entry::Started {
                    step,
                    attempt,
                    creating: flag,
                    planned_name: flag.then(|| json!(attempt)),
                },
                1 => Entry::Ticket { step, ticket: json!(attempt), undoes: flag },
                2 => Entry::Finished { step, how: How::Found, output: json!(attempt) },
                3 => Entry::Failed { step, error: StepError::new(Kind::Failed, "x").leftover(leftover) },
                4 => Entry::Adopted { step },
                _ => Entry::Undone { step, undone },
            },
        );
        prop::collection::vec(entry, 0..24)
    }

    fn step_of(entry: &Entry) -> &str {
        match entry {
            Entry::Started { step, .. }
            | Entry::Ticket { step, .. }
            | Entry::Finished { step, .. }
            | Entry::Failed { step, .. }
            | Entry::Adopted { step }
            | Entry::Undone { step, .. } => step,
            Entry::Opened { .. } | Entry::Closed { .. } => "",
        }
    }

    proptest! {
        #[test]
        fn steps_do_not_change_each_others_state(entries in entries()) {
            let mut whole = JournalState::default();
            entries.iter().for_each(|entry| whole.apply(AT, entry));
            for step in ["a", "b"] {
                let mut alone = JournalState::default();
                entries.iter().filter(|e| step_of(e) == step).for_each(|e| alone.apply(AT, e));
                prop_assert_eq!(alone.step_state(step), whole.step_state(step));
            }
        }

        #[test]
        fn each_fact_is_cleared_only_by_permitted_entries(entries in entries()) {
            let mut journal_state = JournalState::default();
            for entry in &entries {
                let before = journal_state.step_state(step_of(entry)).cloned().unwrap_or_default();
                journal_state.apply(AT, entry);
                let after = journal_state.step_state(step_of(entry)).expect("just learnt");
                let deleted = matches!(entry, Entry::Undone { undone, .. } if undone.is_deleted());
                let nothing = matches!(entry, Entry::Failed { error, .. } if error.leftover == Leftover::Nothing);
                prop_assert!(!before.owned || after.owned || deleted || (nothing && before.claimed));
                prop_assert!(before.output.is_none() || after.output.is_some() || deleted);
                let restarts = matches!(entry, Entry::Started { .. }) && before.ticket_undoes;
                let spent = restarts || matches!(entry, Entry::Finished { .. } | Entry::Undone { .. });
                prop_assert!(before.ticket.is_none() || after.ticket.is_some() || spent);
                let planned_name = deleted || nothing || matches!(entry, Entry::Finished { .. });
                prop_assert!(before.planned_name.is_none() || after.planned_name.is_some() || planned_name);
                prop_assert!(after.attempts >= before.attempts || deleted);
                prop_assert!(!after.claimed || after.owned);
                prop_assert!(!deleted || *after == StepState::default());
            }
        }
    }
}
