//! The folded journal state: separate facts per step, because their lifetimes differ.

use super::entry::Entry;
use crate::{
    error::{ErrorReport, Residue},
    handle::RecordOf,
    step_types::{How, Undone},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

/// The recorded state, by step id.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Memory(pub BTreeMap<String, Past>);

/// The recorded state of one step.
///
/// With one state instead of separate facts, a second run's "started" would erase the first run's "created".
/// A teardown would then keep an owned resource or delete a foreign one.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Past {
    /// landfall created it, so it may be deleted. Kept until the deletion.
    pub ours: bool,
    /// A person adopted what was only found, also if the output distinguishes the two.
    pub adopted: bool,
    /// The last output. Outlives every later attempt; see [`Past::output_in_doubt`].
    pub output: Option<Value>,
    /// The names of the last attempt, until that attempt has an output.
    pub named: Option<Value>,
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
    pub state: State,
    /// True if `ours` rests only on the current attempt, which can revoke it.
    claimed: bool,
    /// True if the output belongs to an owned resource.
    output_ours: bool,
    /// True if an attempt started after the output and gave none.
    doubt: bool,
}

/// The kind of the last entry of a step.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No entry, or the step was undone.
    #[default]
    Never,
    /// It started, and no end was written.
    Underway,
    /// It failed.
    Failed,
    /// It has its output.
    Ready,
}

impl Memory {
    /// Returns the recorded state of one step.
    pub fn past(&self, step: &str) -> Option<&Past> {
        self.0.get(step)
    }

    /// Returns the recorded state of the step that a handle or a reference names.
    pub fn past_of<T>(&self, step: RecordOf<T>) -> Option<&Past> {
        self.past(step.id())
    }

    /// Returns the recorded output of a step; `None` if there is none, or it no longer parses.
    pub fn output_of<T: DeserializeOwned>(&self, step: RecordOf<T>) -> Option<T> {
        self.past_of(step)?.read_output()
    }

    /// Applies one entry, written at `at` (RFC 3339).
    pub fn learn(&mut self, at: &str, entry: &Entry) {
        match entry {
            // The failure of a later process does not revoke the claim of an earlier one.
            Entry::Opened { .. } => self.0.values_mut().for_each(|past| past.claimed = false),
            Entry::Closed { .. } => {}
            Entry::Started { step, attempt, making, named } => {
                self.of(step).start(*attempt, *making, named.as_ref());
            }
            Entry::Ticket { step, ticket, undoes } => self.of(step).keep(at, ticket, *undoes),
            Entry::Finished { step, how, output } => self.of(step).finish(at, *how, output),
            Entry::Failed { step, error } => self.of(step).fail(error),
            Entry::Adopted { step } => self.of(step).adopt(),
            Entry::Undone { step, undone } => self.of(step).undo(undone),
        }
    }

    fn of(&mut self, step: &str) -> &mut Past {
        self.0.entry(step.to_owned()).or_default()
    }
}

impl Past {
    /// Returns the output in its type; `None` if there is none, or it no longer parses.
    pub fn read_output<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_value(self.output.clone()?).ok()
    }

    /// Returns whether an attempt without an output started after the one that gave this output: its resource
    /// may have another id.
    pub fn output_in_doubt(&self) -> bool {
        self.doubt && self.output.is_some()
    }

    /// Returns the output, if it belongs to an owned resource that may be deleted.
    pub(crate) fn output_of_ours(&self) -> Option<&Value> {
        self.output.as_ref().filter(|_| self.ours && self.output_ours)
    }

    /// Returns the output, unless it names a foreign resource and the creation of an owned one has started
    /// since.
    pub(crate) fn output_to_stand_on(&self) -> Option<&Value> {
        self.output.as_ref().filter(|_| self.output_ours == self.ours)
    }

    fn start(&mut self, attempt: u32, making: bool, named: Option<&Value>) {
        // An earlier claim stands even if this attempt leaves nothing. It is unknown whether that process
        // died before or after its request arrived.
        self.claimed = making && !self.ours;
        self.ours |= making;
        self.attempts = self.attempts.max(attempt);
        self.error = None;
        self.state = State::Underway;
        self.doubt = true;
        self.named = named.cloned().or(self.named.take());
        // That deletion does not concern the resource of this attempt.
        if self.ticket_undoes {
            self.spend_ticket();
        }
    }

    fn keep(&mut self, at: &str, ticket: &Value, undoes: bool) {
        let expired = ticket.is_null();
        self.ticket = (!expired).then(|| ticket.clone());
        self.ticket_at = (!expired).then(|| at.to_owned());
        self.ticket_undoes = undoes && !expired;
        // Work that the cloud accepted always leaves something.
        self.claimed &= expired;
    }

    fn finish(&mut self, at: &str, how: How, output: &Value) {
        self.output = Some(output.clone());
        self.output_ours = self.ours;
        self.doubt = false;
        self.named = None;
        self.spend_ticket();
        self.error = None;
        self.how = Some(how);
        self.finished_at = Some(at.to_owned());
        self.state = State::Ready;
        self.claimed = false;
    }

    fn fail(&mut self, error: &ErrorReport) {
        // An attempt that certainly left nothing owns nothing. Without this, `down` would delete a foreign
        // resource that takes the name after a refused request.
        if self.claimed && error.residue == Residue::Nothing {
            self.ours = false;
            self.named = None;
        }
        self.claimed = false;
        self.error = Some(error.clone());
        self.state = State::Failed;
    }

    fn adopt(&mut self) {
        self.adopted = true;
        self.ours = true;
        self.output_ours = self.output.is_some();
        self.claimed = false;
    }

    fn undo(&mut self, undone: &Undone) {
        match undone {
            // The run that completes it polls with the ticket.
            Undone::Underway => {}
            // The record of a creation attempt is still needed: the resource stays owned.
            Undone::Kept { .. } if !self.ticket_undoes => {}
            Undone::Kept { .. } => self.spend_ticket(),
            Undone::Deleted | Undone::AlreadyGone | Undone::GoesWithParent => *self = Self::default(),
        }
    }

    fn spend_ticket(&mut self) {
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

    fn started(making: bool) -> Entry {
        Entry::Started { step: "a".into(), attempt: 1, making, named: None }
    }

    fn named(name: &str) -> Entry {
        Entry::Started { step: "a".into(), attempt: 1, making: true, named: Some(json!(name)) }
    }

    fn opened() -> Entry {
        let environment = crate::EnvironmentKey {
            cloud: "toy".into(),
            subscription: "none".into(),
            environment: "default".into(),
        };
        Entry::Opened { format: 1, command: "up".into(), environment, landfall: "0.1.0".into() }
    }

    fn failed(residue: Residue) -> Entry {
        Entry::Failed { step: "a".into(), error: StepError::new(Kind::Failed, "x").residue(residue) }
    }

    fn finished() -> Entry {
        Entry::Finished { step: "a".into(), how: How::Created, output: json!("made") }
    }

    fn ticket(value: Value) -> Entry {
        Entry::Ticket { step: "a".into(), ticket: value, undoes: false }
    }

    fn undone(undone: Undone) -> Entry {
        Entry::Undone { step: "a".into(), undone }
    }

    fn after(entries: &[Entry]) -> Past {
        let mut memory = Memory::default();
        for entry in entries {
            memory.learn(AT, entry);
        }
        memory.past("a").cloned().unwrap_or_default()
    }

    #[test]
    fn a_second_start_destroys_nothing_the_first_run_knew() {
        let past = after(&[started(true), finished(), started(false)]);
        assert!(past.ours);
        assert_eq!(past.output, Some(json!("made")));
        assert_eq!(past.state, State::Underway);
        let past = after(&[started(true), ticket(json!("op")), started(false), failed(Residue::Unknown)]);
        assert_eq!((past.ours, past.ticket), (true, Some(json!("op"))));
    }

    #[test]
    fn a_ticket_is_spent_by_finishing_and_dropped_when_it_expired() {
        assert_eq!(after(&[started(true), ticket(json!("op")), finished()]).ticket, None);
        assert_eq!(after(&[started(true), ticket(json!("op")), ticket(Value::Null)]).ticket, None);
    }

    #[test]
    fn an_attempt_that_left_nothing_takes_back_its_own_claim_only() {
        assert!(!after(&[started(true), failed(Residue::Nothing)]).ours);
        assert!(after(&[started(true), failed(Residue::Unknown)]).ours);
        assert!(
            after(&[started(true), started(true), failed(Residue::Nothing)]).ours,
            "the first may have made it"
        );
        assert!(
            after(&[started(true), ticket(json!("op")), failed(Residue::Nothing)]).ours,
            "the cloud took it"
        );
        assert!(after(&[started(true), finished(), started(false), failed(Residue::Nothing)]).ours);
    }

    #[test]
    fn what_was_found_and_is_adopted_is_ours_until_it_is_gone() {
        let found = Entry::Finished { step: "a".into(), how: How::Found, output: json!("theirs") };
        let adopted = || Entry::Adopted { step: "a".into() };
        assert!(!after(std::slice::from_ref(&found)).ours);
        let past = after(&[found.clone(), adopted(), opened()]);
        assert!(past.ours && past.adopted);
        assert_eq!(past.output_of_ours(), Some(&json!("theirs")));
        assert_eq!(after(&[found, adopted(), undone(Undone::Deleted)]), Past::default());
    }

    #[test]
    fn what_is_being_taken_away_stays_ours_and_keeps_its_ticket() {
        let going = Entry::Ticket { step: "a".into(), ticket: json!("op"), undoes: true };
        let past = after(&[started(true), finished(), going, undone(Undone::Underway)]);
        assert_eq!((past.ours, past.ticket), (true, Some(json!("op"))));
    }

    #[test]
    fn what_is_gone_is_forgotten_and_what_is_kept_is_not() {
        assert_eq!(after(&[started(true), finished(), undone(Undone::Deleted)]), Past::default());
        let kept = after(&[started(true), finished(), undone(Undone::Kept { why: "changed hands".into() })]);
        assert!(kept.ours && kept.output.is_some());
        let why = || Undone::Kept { why: "changed hands".into() };
        let unfinished = after(&[started(true), ticket(json!("half of it")), undone(why())]);
        assert_eq!((unfinished.ours, unfinished.ticket), (true, Some(json!("half of it"))));
    }

    #[test]
    fn a_later_run_that_fails_at_looking_takes_no_claim_back() {
        let past = after(&[opened(), started(true), opened(), failed(Residue::Nothing)]);
        assert!(past.ours, "whether the first run's request arrived is not known");
        assert!(!after(&[opened(), started(true), failed(Residue::Nothing)]).ours);
    }

    #[test]
    fn names_are_remembered_from_the_first_claim_until_there_is_an_output() {
        let past = after(&[named("lake-1")]);
        assert_eq!(past.named, Some(json!("lake-1")));
        assert_eq!(after(&[named("lake-1"), started(false)]).named, Some(json!("lake-1")));
        assert_eq!(after(&[named("lake-1"), failed(Residue::Unknown)]).named, Some(json!("lake-1")));
        assert_eq!(after(&[named("lake-1"), failed(Residue::Nothing)]).named, None);
        assert_eq!(after(&[named("lake-1"), finished()]).named, None);
        assert_eq!(after(&[named("lake-1"), undone(Undone::Deleted)]), Past::default());
    }

    #[test]
    fn an_output_is_in_doubt_while_a_later_attempt_has_given_none() {
        let remade = after(&[started(true), finished(), started(true)]);
        assert!(remade.output_in_doubt() && remade.output_of_ours().is_some());
        assert!(!after(&[started(true), finished(), started(true), finished()]).output_in_doubt());
        assert!(!after(&[started(true)]).output_in_doubt(), "there is none");
        let mended = after(&[finished(), started(false)]);
        assert!(mended.output_in_doubt() && mended.output_to_stand_on().is_some());
    }

    #[test]
    fn what_was_found_does_not_become_ours_because_something_is_made_in_its_place() {
        let past = after(&[finished(), started(true)]);
        assert!(past.ours && past.output.is_some());
        assert_eq!((past.output_of_ours(), past.output_to_stand_on()), (None, None));
    }

    #[test]
    fn the_ticket_of_a_deletion_is_no_use_once_something_is_begun_again() {
        let deletion = Entry::Ticket { step: "a".into(), ticket: json!("gone"), undoes: true };
        let past = after(&[started(true), finished(), deletion, started(true)]);
        assert_eq!((past.ticket, past.ticket_undoes), (None, false));
    }

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let step = prop::sample::select(vec!["a", "b"]).prop_map(str::to_owned);
        let residue = prop::sample::select(vec![Residue::Nothing, Residue::Something, Residue::Unknown]);
        let undone = prop::sample::select(vec![
            Undone::Deleted,
            Undone::AlreadyGone,
            Undone::GoesWithParent,
            Undone::Kept { why: "x".into() },
        ]);
        let entry = (step, 0..6_u8, any::<bool>(), 1..4_u32, residue, undone).prop_map(
            |(step, which, flag, attempt, residue, undone)| match which {
                0 => Entry::Started { step, attempt, making: flag, named: flag.then(|| json!(attempt)) },
                1 => Entry::Ticket { step, ticket: json!(attempt), undoes: flag },
                2 => Entry::Finished { step, how: How::Found, output: json!(attempt) },
                3 => Entry::Failed { step, error: StepError::new(Kind::Failed, "x").residue(residue) },
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
        fn steps_do_not_touch_each_others_past(entries in entries()) {
            let mut whole = Memory::default();
            entries.iter().for_each(|entry| whole.learn(AT, entry));
            for step in ["a", "b"] {
                let mut alone = Memory::default();
                entries.iter().filter(|e| step_of(e) == step).for_each(|e| alone.learn(AT, e));
                prop_assert_eq!(alone.past(step), whole.past(step));
            }
        }

        #[test]
        fn each_fact_ends_only_by_what_may_end_it(entries in entries()) {
            let mut memory = Memory::default();
            for entry in &entries {
                let before = memory.past(step_of(entry)).cloned().unwrap_or_default();
                memory.learn(AT, entry);
                let after = memory.past(step_of(entry)).expect("just learnt");
                let gone = matches!(entry, Entry::Undone { undone, .. } if undone.is_gone());
                let nothing = matches!(entry, Entry::Failed { error, .. } if error.residue == Residue::Nothing);
                prop_assert!(!before.ours || after.ours || gone || (nothing && before.claimed));
                prop_assert!(before.output.is_none() || after.output.is_some() || gone);
                let anew = matches!(entry, Entry::Started { .. }) && before.ticket_undoes;
                let spent = anew || matches!(entry, Entry::Finished { .. } | Entry::Undone { .. });
                prop_assert!(before.ticket.is_none() || after.ticket.is_some() || spent);
                let named = gone || nothing || matches!(entry, Entry::Finished { .. });
                prop_assert!(before.named.is_none() || after.named.is_some() || named);
                prop_assert!(after.attempts >= before.attempts || gone);
                prop_assert!(!after.claimed || after.ours);
                prop_assert!(!gone || *after == Past::default());
            }
        }
    }
}
