//! Refuses to change immutable fields of objects that exist, before anything is written.

use super::Preflight;
use crate::{
    cluster::body as cluster_body,
    cluster_ready,
    objects::{self, Applied},
};
use landfall_cloud::{arm::State, kubernetes::manifest::Manifest};
use landfall_engine::{Context, StepError};
use std::time::Duration;

/// The maximum time for the cluster's answer, in cloud time, and at least this in real time.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
const MIN_RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

impl Preflight {
    /// Checks the objects of manifests that changed since their apply, or that this journal does not know.
    ///
    /// A cluster that does not exist yet has no objects. If a cluster does not answer now, each step checks
    /// again before its own first write.
    pub(super) async fn immutable(&self, cx: &Context) -> Option<StepError> {
        let unknown = self.unknown(cx);
        if unknown.is_empty() {
            return None;
        }
        let timeout = cx.time_scale().real(RESPONSE_TIMEOUT).max(MIN_RESPONSE_TIMEOUT);
        tokio::time::timeout(timeout, self.compare(&unknown)).await.ok().flatten()
    }

    fn unknown(&self, cx: &Context) -> Vec<Manifest> {
        let known = |applied: Option<Applied>, manifests: &[Manifest]| {
            applied.is_some_and(|applied| applied.fingerprint == Some(objects::fingerprint(manifests)))
        };
        let (apps, gateways) = (&self.manifests.apps, &self.manifests.gateways);
        let records = &self.queries.resources().records;
        let programmed = cx.output_of(records.gateways).map(|programmed| programmed.applied);
        let mut unknown = Vec::new();
        if !known(cx.output_of(records.apps), apps) {
            unknown.extend(apps.iter().cloned());
        }
        if !known(programmed, gateways) {
            unknown.extend(gateways.iter().cloned());
        }
        // This set's placeholders are filled in when the cluster is ready, so it has no fingerprint before.
        if cx.output_of(records.secret).is_none() && !self.queries.settings().has_operator_tls() {
            unknown.extend(self.manifests.tls_templates());
        }
        unknown
    }

    async fn compare(&self, manifests: &[Manifest]) -> Option<StepError> {
        let s = self.queries.settings();
        let body = self.queries.azure().recent_cluster(&s.resource_group, &s.cluster.name).await.ok()??;
        if State::of(&body) != State::Succeeded || cluster_body::is_stopped(&body) {
            return None;
        }
        let ready = cluster_ready::found(&body, &s.cluster.name)?;
        let session = self.clusters.open(&ready).await.ok()?;
        objects::refused(&session, manifests, &self.manifests.wanted()).await.ok()?
    }
}
