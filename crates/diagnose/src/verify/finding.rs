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
pub(super) enum Finding {
    /// The check passes, with its evidence.
    Holds(String),
    /// Nothing in the environment is subject to this check, with the reason.
    Inapplicable(String),
    /// The check fails in these places.
    Broken(Vec<Fault>),
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
pub struct Checked {
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
pub(super) fn judge(found: BTreeMap<CheckId, Finding>) -> Vec<Checked> {
    // Causes come before their consequences; this order differs from the display order.
    let mut order: Vec<CheckId> = found.keys().copied().collect();
    order.sort_by_key(|check| (*check != CheckId::TlsSecret, *check));
    let mut ended: BTreeMap<CheckId, Checked> = BTreeMap::new();
    for check in order {
        let (state, detail, hint) = match &found[&check] {
            Finding::Holds(detail) => (State::Ok, detail.clone(), None),
            Finding::Inapplicable(why) => (State::Skipped, why.clone(), None),
            Finding::Broken(faults) => broken(check, faults, &ended),
        };
        ended.insert(check, Checked { check, state, detail: plain(&detail), hint });
    }
    ended.into_values().collect()
}

fn broken(
    check: CheckId,
    faults: &[Fault],
    ended: &BTreeMap<CheckId, Checked>,
) -> (State, String, Option<String>) {
    let cause = |fault: &Fault| match ended.get(&fault.root.filter(|root| *root != check)?)?.state {
        State::Failed => fault.root,
        State::Blocked { by } => Some(by),
        State::Ok | State::Skipped => None,
    };
    let own: Vec<&Fault> = faults.iter().filter(|fault| cause(fault).is_none()).collect();
    match (own.as_slice(), faults.iter().find_map(cause)) {
        ([], Some(by)) => (State::Blocked { by }, format!("not checked: {} fails", by.name()), None),
        (own, _) => {
            let hint = own.iter().find_map(|fault| fault.hint.clone());
            (State::Failed, told(own), hint)
        }
    }
}

/// Returns the first two places and the number of further ones.
fn told(faults: &[&Fault]) -> String {
    const TOLD_MAX: usize = 2;
    let mut texts: Vec<&str> = Vec::new();
    for fault in faults {
        if !texts.contains(&fault.text.as_str()) {
            texts.push(&fault.text);
        }
    }
    let more = texts.len().saturating_sub(TOLD_MAX);
    let shown = texts.iter().take(TOLD_MAX).copied().collect::<Vec<_>>().join("\n");
    if more > 0 { format!("{shown}\nand {more} more") } else { shown }
}

/// Removes control characters from a server's text, so that a terminal cannot interpret them.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() && letter != '\n' { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(found: Vec<(CheckId, Finding)>) -> Vec<(&'static str, State)> {
        judge(found.into_iter().collect()).into_iter().map(|one| (one.check.name(), one.state)).collect()
    }

    fn fault(root: Option<CheckId>) -> Fault {
        Fault { root, ..Fault::new("it is not so") }
    }

    #[test]
    fn what_follows_from_a_failure_is_not_told_as_another() {
        use CheckId::{CatchAll, Certificate, Gateways, TlsSecret};
        let found = vec![
            (Gateways, Finding::Broken(vec![fault(Some(TlsSecret))])),
            (TlsSecret, Finding::Broken(vec![fault(None)])),
            (Certificate, Finding::Broken(vec![fault(Some(Gateways))])),
            (CatchAll, Finding::Broken(vec![fault(Some(Certificate)), fault(Some(Gateways))])),
        ];
        let by = State::Blocked { by: TlsSecret };
        assert_eq!(
            judged(found),
            [("gateways", by), ("tls-secret", State::Failed), ("certificate", by), ("catch-all", by)]
        );
    }

    #[test]
    fn a_fault_of_its_own_is_told_whatever_else_fails() {
        use CheckId::{CatchAll, Gateways};
        let found = vec![
            (Gateways, Finding::Broken(vec![fault(None)])),
            (CatchAll, Finding::Broken(vec![fault(Some(Gateways)), fault(None)])),
        ];
        assert_eq!(judged(found), [("gateways", State::Failed), ("catch-all", State::Failed)]);
        let alone = vec![
            (Gateways, Finding::Holds("2 gateways".into())),
            (CatchAll, Finding::Broken(vec![fault(Some(Gateways))])),
        ];
        assert_eq!(judged(alone), [("gateways", State::Ok), ("catch-all", State::Failed)]);
    }

    #[test]
    fn what_a_server_says_cannot_move_a_cursor() {
        assert_eq!(plain("a\u{1b}[2Jb\nc"), "a [2Jb\nc");
    }
}
