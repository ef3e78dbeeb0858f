//! The figures of a replay, printed, and checked against lower bounds.

use std::collections::BTreeMap;

use super::compare::Comparison;
use super::session::Outcome;

/// The maximum number of missing fields that a report lists.
const FIELDS_LISTED: usize = 60;

/// The maximum length of a listed message, in characters.
const MESSAGE_LISTED: usize = 120;

/// The lowest figures that a replay may have.
pub(super) struct Bounds {
    /// The number of compared requests.
    pub(super) requests: usize,
    /// The number of equal statuses.
    pub(super) statuses: usize,
    /// The number of equal error codes, where none and none are equal.
    pub(super) codes: usize,
    /// The share of Azure's fields that are present.
    pub(super) fields_per_mille: usize,
}

/// The results of all recordings of a file.
pub(super) struct Report {
    file: String,
    compared: Vec<Comparison>,
    foreign: BTreeMap<String, usize>,
    left_out: BTreeMap<&'static str, usize>,
}

impl Report {
    pub(super) fn new(file: &str) -> Self {
        let file = file.to_owned();
        Self { file, compared: Vec::new(), foreign: BTreeMap::new(), left_out: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, outcome: Outcome) {
        self.compared.extend(outcome.compared);
        for (kind, count) in outcome.foreign {
            *self.foreign.entry(kind).or_default() += count;
        }
        for (reason, count) in outcome.left_out {
            *self.left_out.entry(reason).or_default() += count;
        }
    }

    fn statuses(&self) -> usize {
        self.compared.iter().filter(|one| one.has_status()).count()
    }

    fn codes(&self) -> usize {
        self.compared.iter().filter(|one| one.has_code()).count()
    }

    fn fields(&self) -> (usize, usize) {
        let all: usize = self.compared.iter().map(|one| one.fields).sum();
        let missing: usize = self.compared.iter().map(|one| one.missing.len()).sum();
        (all - missing, all)
    }

    fn fields_per_mille(&self) -> usize {
        let (present, all) = self.fields();
        (present * 1000).checked_div(all).unwrap_or(1000)
    }

    /// Prints the figures, and every difference on a line.
    pub(super) fn print(&self) {
        let (present, all) = self.fields();
        println!(
            "{}: {} requests compared, {} statuses equal, {} error codes equal, {present} of {all} fields present \
             ({:.1} %)",
            self.file,
            self.compared.len(),
            self.statuses(),
            self.codes(),
            self.fields_per_mille() as f64 / 10.0
        );
        self.left_out.iter().for_each(|(reason, count)| println!("  {count:4}  left out: {reason}"));
        self.foreign.iter().for_each(|(kind, count)| println!("  {count:4}  not simulated: {kind}"));
        for one in self.compared.iter().filter(|one| !one.has_status() || !one.has_code()) {
            let ((status, own_status), (code, own_code)) = (one.statuses, &one.codes);
            let message: String = one.message.chars().take(MESSAGE_LISTED).collect();
            println!("  Azure {status} {code}, here {own_status} {own_code}: {} ({message})", one.place);
        }
        let mut missing: BTreeMap<&str, usize> = BTreeMap::new();
        let answered = self.compared.iter().filter(|one| one.has_status());
        answered.flat_map(|one| &one.missing).for_each(|field| *missing.entry(field).or_default() += 1);
        let mut missing: Vec<(&str, usize)> = missing.into_iter().collect();
        missing.sort_by_key(|(field, count)| (std::cmp::Reverse(*count), *field));
        for (field, count) in missing.iter().take(FIELDS_LISTED) {
            let one = self.compared.iter().find(|one| one.missing.iter().any(|missing| missing == field));
            let place = one.map_or("", |one| one.place.as_str());
            println!("  {count:4}  missing: {field} ({place})");
        }
    }

    /// Checks that no figure is below its bound.
    pub(super) fn check(&self, bounds: &Bounds) {
        let figures = [
            ("compared requests", self.compared.len(), bounds.requests),
            ("equal statuses", self.statuses(), bounds.statuses),
            ("equal error codes", self.codes(), bounds.codes),
            ("fields per mille", self.fields_per_mille(), bounds.fields_per_mille),
        ];
        for (name, figure, bound) in figures {
            assert!(figure >= bound, "{}: {figure} {name}, but at least {bound} before", self.file);
        }
    }
}
