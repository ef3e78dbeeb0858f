//! Results of the checks, and the root cause among several failures.

use std::collections::BTreeMap;

/// A check, in display order. Its name is a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CheckId {
    /// Every gateway has an address and responds on its ports.
    Gateways,
    /// The Secret exists, has the right type, and a running workload keeps it in sync with the vault.
    TlsSecret,
    /// The served certificate is the vault's newest version and covers every host.
    Certificate,
    /// The root path responds.
    CatchAll,
    /// Every other path responds too.
    AnyPath,
    /// Plain HTTP is redirected to HTTPS.
    Redirect,
    /// Traffic splits match their weights.
    Canary,
    /// Header matches select the backend.
    HeaderRouting,
    /// Path matches select the backend.
    PathRouting,
    /// The zone's records contain the gateways' addresses.
    Dns,
}

impl CheckId {
    /// All checks.
    pub const ALL: [Self; 10] = [
        Self::Gateways,
        Self::TlsSecret,
        Self::Certificate,
        Self::CatchAll,
        Self::AnyPath,
        Self::Redirect,
        Self::Canary,
        Self::HeaderRouting,
        Self::PathRouting,
        Self::Dns,
    ];

    /// Returns its name, kebab-case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateways => "gateways",
            Self::TlsSecret => "tls-secret",
            Self::Certificate => "certificate",
            Self::CatchAll => "catch-all",
            Self::AnyPath => "any-path",
            Self::Redirect => "redirect",
            Self::Canary => "canary",
            Self::HeaderRouting => "header-routing",
            Self::PathRouting => "path-routing",
            Self::Dns => "dns",
        }
    }
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CheckOutcome {
    /// The check passes, with its evidence.
    Passed(String),
    /// Nothing in the environment is subject to this check, with the reason.
    NotApplicable(String),
    /// The check fails in these places.
    Failed(Vec<Fault>),
}

/// One place in which a check fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The actual and the expected result.
    pub(super) text: String,
    /// The remedy.
    pub(super) hint: Option<String>,
    /// The check that reports the cause, if that check fails too.
    pub(super) root: Option<CheckId>,
}

impl Fault {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), hint: None, root: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn root(mut self, root: CheckId) -> Self {
        self.root = Some(root);
        self
    }
}

/// The final state of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The check passes.
    Ok,
    /// The check fails.
    Failed,
    /// Nothing in the environment is subject to this check.
    Skipped,
    /// The check fails only because another check fails.
    Blocked {
        /// The check that fails.
        by: CheckId,
    },
}

/// A check with its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// The check.
    pub check: CheckId,
    /// Its final state.
    pub state: State,
    /// The result in one or two lines, safe for a terminal.
    pub detail: String,
    /// The remedy of a failure.
    pub hint: Option<String>,
}

/// Separates causes from consequences: a check is blocked if another failed check explains each of its
/// faults.
pub(super) fn evaluate(found: BTreeMap<CheckId, CheckOutcome>) -> Vec<CheckReport> {
    // Causes come before their consequences; this order differs from the display order.
    let mut order: Vec<CheckId> = found.keys().copied().collect();
    order.sort_by_key(|check| (*check != CheckId::TlsSecret, *check));
    let mut reports: BTreeMap<CheckId, CheckReport> = BTreeMap::new();
    for check in order {
        let (state, detail, hint) = match &found[&check] {
            CheckOutcome::Passed(detail) => (State::Ok, detail.clone(), None),
            CheckOutcome::NotApplicable(why) => (State::Skipped, why.clone(), None),
            CheckOutcome::Failed(faults) => failed_report(check, faults, &reports),
        };
        reports
            .insert(check, CheckReport { check, state, detail: without_control_characters(&detail), hint });
    }
    reports.into_values().collect()
}

fn failed_report(
    check: CheckId,
    faults: &[Fault],
    reports: &BTreeMap<CheckId, CheckReport>,
) -> (State, String, Option<String>) {
    let cause = |fault: &Fault| match reports.get(&fault.root.filter(|root| *root != check)?)?.state {
        State::Failed => fault.root,
        State::Blocked { by } => Some(by),
        State::Ok | State::Skipped => None,
    };
    let own: Vec<&Fault> = faults.iter().filter(|fault| cause(fault).is_none()).collect();
    match (own.as_slice(), faults.iter().find_map(cause)) {
        ([], Some(by)) => (State::Blocked { by }, format!("not checked: {} fails", by.name()), None),
        (own, _) => {
            let hint = own.iter().find_map(|fault| fault.hint.clone());
            (State::Failed, description(own), hint)
        }
    }
}

/// Returns the first two places and the number of further ones.
fn description(faults: &[&Fault]) -> String {
    const SHOWN_MAX: usize = 2;
    let mut texts: Vec<&str> = Vec::new();
    for fault in faults {
        if !texts.contains(&fault.text.as_str()) {
            texts.push(&fault.text);
        }
    }
    let more = texts.len().saturating_sub(SHOWN_MAX);
    let lines = texts.iter().take(SHOWN_MAX).copied().collect::<Vec<_>>().join("\n");
    if more > 0 { format!("{lines}\nand {more} more") } else { lines }
}

/// Removes control characters from a server's text, so that a terminal cannot interpret them.
fn without_control_characters(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() && letter != '\n' { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluated(found: Vec<(CheckId, CheckOutcome)>) -> Vec<(&'static str, State)> {
        evaluate(found.into_iter().collect()).into_iter().map(|one| (one.check.name(), one.state)).collect()
    }

    fn fault(root: Option<CheckId>) -> Fault {
        Fault { root, ..Fault::new("it is not so") }
    }

    #[test]
    fn consequential_failures_are_blocked() {
        use CheckId::{CatchAll, Certificate, Gateways, TlsSecret};
        let found = vec![
            (Gateways, CheckOutcome::Failed(vec![fault(Some(TlsSecret))])),
            (TlsSecret, CheckOutcome::Failed(vec![fault(None)])),
            (Certificate, CheckOutcome::Failed(vec![fault(Some(Gateways))])),
            (CatchAll, CheckOutcome::Failed(vec![fault(Some(Certificate)), fault(Some(Gateways))])),
        ];
        let by = State::Blocked { by: TlsSecret };
        assert_eq!(
            evaluated(found),
            [("gateways", by), ("tls-secret", State::Failed), ("certificate", by), ("catch-all", by)]
        );
    }

    #[test]
    fn an_independent_fault_is_reported_as_failed() {
        use CheckId::{CatchAll, Gateways};
        let found = vec![
            (Gateways, CheckOutcome::Failed(vec![fault(None)])),
            (CatchAll, CheckOutcome::Failed(vec![fault(Some(Gateways)), fault(None)])),
        ];
        assert_eq!(evaluated(found), [("gateways", State::Failed), ("catch-all", State::Failed)]);
        let alone = vec![
            (Gateways, CheckOutcome::Passed("2 gateways".into())),
            (CatchAll, CheckOutcome::Failed(vec![fault(Some(Gateways))])),
        ];
        assert_eq!(evaluated(alone), [("gateways", State::Ok), ("catch-all", State::Failed)]);
    }

    #[test]
    fn control_characters_are_removed_from_server_text() {
        assert_eq!(without_control_characters("a\u{1b}[2Jb\nc"), "a [2Jb\nc");
    }
}
