//! The tags of a certificate by ACME: how it was ordered, and the progress of its renewal.
//!
//! A renewal may run on a new machine each time. The settings of the last order and the progress of an interrupted one
//! are tags of the certificate's newest version. The new version of a renewal has no progress, because it is over. The
//! tags of the account key are no place for it: several certificates share an account, and a secret has 15 tags at most.

use super::{
    Acme, AcmeDirectory, DIRECTORY_TAG, KeyPlace, PROFILE_TAG, Propagation,
    plan::{Plan, Planner},
    ticket::{OrderTicket, TxtValue},
};
use crate::{
    names,
    settings::{Dns, Publisher},
};
use jiff::Timestamp;
use landfall_cloud::vault::StoredCertificate;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The maximum length of a tag's value (Key Vault limits).
const VALUE_MAX: usize = 256;
/// The maximum number of tags of a version (Key Vault limits).
const TAGS_MAX: usize = 15;

const KEY: &str = "landfall-acme-key";
const PROPAGATION: &str = "landfall-acme-propagation";
const ZONE: &str = "landfall-acme-zone";
const FAILURES: &str = "landfall-renew-failures";
const NOT_BEFORE: &str = "landfall-renew-not-before";
const ERROR: &str = "landfall-renew-error";
const ORDER: &str = "landfall-renew-order";
const VALUES: &str = "landfall-renew-values";

pub(super) type Tags = BTreeMap<String, String>;

/// The progress of a renewal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RenewalProgress {
    /// The failures in a row.
    pub failures: usize,
    /// The time before which no attempt is made.
    pub not_before: Option<Timestamp>,
    /// The cause of the last failure.
    pub error: Option<String>,
    /// The digest of an order's content, and its address.
    pub(super) order: Option<(String, String)>,
    /// The TXT values that may be in the zones.
    pub(super) values: BTreeSet<String>,
}

impl RenewalProgress {
    /// Reads it from the tags of a certificate.
    #[must_use]
    pub fn of(tags: &Tags) -> Self {
        let order = tags.get(ORDER).and_then(|text| text.split_once(' '));
        let values = tags.iter().filter(|(name, _)| name.starts_with(VALUES));
        Self {
            failures: tags.get(FAILURES).and_then(|text| text.parse().ok()).unwrap_or_default(),
            not_before: tags.get(NOT_BEFORE).and_then(|text| text.parse().ok()),
            error: tags.get(ERROR).cloned(),
            order: order.map(|(digest, address)| (digest.to_owned(), address.to_owned())),
            values: values.flat_map(|(_, text)| text.split(',')).map(str::to_owned).collect(),
        }
    }

    /// Replaces the progress in the tags of a certificate.
    pub(crate) fn write(&self, tags: &mut Tags) {
        tags.retain(|name, _| !name.starts_with("landfall-renew-"));
        let mut set = |name: &str, value: Option<String>| {
            if let Some(value) = value.filter(|value| value.len() <= VALUE_MAX) {
                tags.insert(name.to_owned(), value);
            }
        };
        set(FAILURES, (self.failures > 0).then(|| self.failures.to_string()));
        set(NOT_BEFORE, self.not_before.map(|at| at.to_string()));
        set(ERROR, self.error.as_ref().map(|text| shortened(text)));
        set(ORDER, self.order.as_ref().map(|(digest, address)| format!("{digest} {address}")));
        let values: Vec<&str> = self.values.iter().map(String::as_str).collect();
        // A value has 43 characters. Values without a tag are found again in the pending order.
        let free = TAGS_MAX.saturating_sub(tags.len());
        for (at, some) in values.chunks(5).take(free).enumerate() {
            tags.insert(format!("{VALUES}-{at}"), some.join(","));
        }
    }

    /// Takes the progress of an order from its ticket.
    pub(super) fn take(&mut self, ticket: &OrderTicket) {
        self.order = ticket.order.url.clone().map(|address| (digest(ticket), address));
        self.values =
            ticket.order.values.iter().chain(&ticket.trial.values).map(|one| one.value.clone()).collect();
        if let Some((until, _)) = &ticket.not_before {
            self.not_before = Some(*until);
        }
    }

    /// Adds the progress to the ticket of a run without a journal.
    pub(super) fn resume(&self, ticket: &mut OrderTicket, plan: &Plan) {
        for validation in &plan.validations {
            for value in &self.values {
                let (zone, record) = (validation.zone.id.clone(), validation.record.clone());
                let one = TxtValue { zone, record, value: value.clone() };
                if !ticket.order.values.contains(&one) {
                    ticket.order.values.push(one);
                }
            }
        }
        if let Some((of, address)) = &self.order
            && *of == digest(ticket)
        {
            ticket.order.url = Some(address.clone());
            ticket.requests = true;
        }
    }
}

/// Returns the first 256 bytes of a text, cut between characters.
fn shortened(text: &str) -> String {
    let mut end = text.len().min(VALUE_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// Returns the digest of what was ordered: an order of other content is not resumed.
fn digest(ticket: &OrderTicket) -> String {
    let content = (&ticket.directory, &ticket.profile, &ticket.names);
    let bytes = serde_json::to_vec(&content).unwrap_or_default();
    Sha256::digest(bytes)[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the tags of a certificate that is ordered with these settings.
pub(super) fn of_order(acme: &Acme, planner: &Planner, mark: &str) -> Tags {
    let directory = acme.directory.to_string().chars().take(VALUE_MAX).collect();
    let mut tags =
        Tags::from([(names::OWNER.to_owned(), mark.to_owned()), (DIRECTORY_TAG.to_owned(), directory)]);
    let mut set = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| value.len() <= VALUE_MAX) {
            tags.insert(name.to_owned(), value);
        }
    };
    set(PROFILE_TAG, acme.profile.clone());
    set(KEY, (acme.key == KeyPlace::Local).then(|| "local".to_owned()));
    set(PROPAGATION, (acme.propagation != Propagation::default()).then(|| written(acme.propagation)));
    let (zone, group) = planner.chosen_zone();
    if zone.is_some() || group.is_some() {
        set(ZONE, Some(format!("{}/{}", zone.unwrap_or_default(), group.unwrap_or_default())));
    }
    tags
}

fn written(propagation: Propagation) -> String {
    let seconds = |duration: Duration| duration.as_secs();
    match propagation {
        Propagation::AskAtMost(bound) => format!("{}s", seconds(bound)),
        Propagation::Wait(wait) => format!("wait {}s", seconds(wait)),
    }
}

/// Returns the settings with which a certificate was ordered; `None` if no ACME server issued it, or its tag is not
/// readable. The account is registered, so a renewal needs neither a contact nor an external account.
pub(crate) fn settings_of(stored: &StoredCertificate) -> Option<(Acme, Option<Dns>)> {
    let tag = |name: &str| stored.tags.get(name).map(String::as_str);
    let directory = AcmeDirectory::parse(tag(DIRECTORY_TAG)?)?;
    let zone = tag(ZONE).and_then(|text| text.split_once('/'));
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let acme = Acme {
        directory,
        root: None,
        profile: tag(PROFILE_TAG).map(str::to_owned),
        names: stored.names.clone(),
        registration: Default::default(),
        propagation: tag(PROPAGATION).and_then(Propagation::parse).unwrap_or_default(),
        rehearse: false,
        key: if tag(KEY) == Some("local") { KeyPlace::Local } else { KeyPlace::Vault },
    };
    Some((
        acme,
        zone.map(|(zone, group)| Dns {
            zone: some(zone),
            resource_group: some(group),
            publish: Publisher::default(),
        }),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_survives_the_tags_and_keeps_the_others() {
        let values = (0..7).map(|n| format!("{n:043}")).collect();
        let progress = RenewalProgress {
            failures: 3,
            not_before: Some("2026-11-28T18:15:00Z".parse().unwrap()),
            error: Some("é".repeat(200)),
            order: Some(("0123456789ab".to_owned(), "/order/7".to_owned())),
            values,
        };
        let mut tags = Tags::from([("landfall".to_owned(), "mark".to_owned())]);
        progress.write(&mut tags);
        assert!(tags.len() <= 15 && tags.values().all(|value| value.len() <= VALUE_MAX), "{tags:#?}");
        let read = RenewalProgress::of(&tags);
        assert_eq!(RenewalProgress { error: None, ..read }, RenewalProgress { error: None, ..progress });
        RenewalProgress::default().write(&mut tags);
        assert_eq!(tags.len(), 1);
    }
}
