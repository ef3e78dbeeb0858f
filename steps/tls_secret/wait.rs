//! The wait until the Secret contains the certificate, with a diagnosis of the failed stage.

use super::{NAMESPACE, SECRET, TlsSecret};
use crate::{
    ClusterSession, objects,
    watch::{self, WatchTarget},
};
use futures::future::{Either, select};
use landfall_cloud::{
    kubernetes::{
        DynamicObject, Kind, Selection,
        manifest::Manifest,
        readiness,
        tls_secret::{chain, thumbprint},
    },
    sync_diagnosis::{Finding, RotationContext, SelfRecovery, message_summary},
};
use landfall_engine::{Context, Kind as ErrorKind, Leftover, StatusCell, Step, StepError, Wait};
use std::{
    pin::pin,
    time::{Duration, SystemTime},
};

/// The time, in cloud time, after which a permanent fault ends the wait. The driver polls every two minutes,
/// and from version 1.6 on may need two polls.
const ROTATION_TIMEOUT: Duration = Duration::from_secs(300);

impl TlsSecret {
    /// Watches the Secret, and the events that explain a delay.
    pub(super) async fn await_secret(
        &self,
        cx: &Context,
        session: &ClusterSession,
        input: &<Self as Step>::Input,
    ) -> Result<SystemTime, StepError> {
        let what = "watch Secret gateway-tls-secret";
        let before = session.api.get(&Kind::SECRET, Some(NAMESPACE), SECRET).await.ok().flatten();
        // The first mount happens at once; a new version arrives only with the driver's next poll of the
        // vault.
        let rotates = before.as_ref().and_then(thumbprint).is_some();
        let (typical_duration, at_most) = if rotates { (120, 600) } else { (70, 900) };
        let wait = Wait::new(
            "the Secret to contain the certificate",
            Duration::from_secs(typical_duration),
            Duration::from_secs(at_most),
        );
        let status = StatusCell::new();
        status.set(match &before {
            Some(_) => "waiting for the driver to poll the vault again",
            None => "waiting for the driver to mount the certificate",
        });
        let space = Some(NAMESPACE);
        let secrets = WatchTarget { kind: &Kind::SECRET, space, selection: Selection::Name(SECRET) };
        let events = WatchTarget { kind: &Kind::EVENT, space, selection: Selection::All };
        let desired = &input.1.thumbprint;
        // Only the chain changes: the Secret must have it, or one that differs from the one before, because
        // the driver may drop certificates that do not belong to it.
        let old_chain =
            before.as_ref().filter(|before| thumbprint(before).as_ref() == Some(desired)).and_then(chain);
        let has_chain = |secret: &DynamicObject| match (&input.1.chain, &old_chain) {
            (Some(wanted), Some(old)) if self.is_chain_replaced(cx, wanted) => {
                chain(secret).is_some_and(|chain| chain == *wanted || chain != *old)
            }
            _ => true,
        };
        let secret = watch::until(&session.api, secrets, &status, what, |all| {
            all.iter()
                .find(|secret| thumbprint(secret).as_ref() == Some(desired) && has_chain(secret))
                .map(|secret| readiness::changed_at(secret).unwrap_or_else(SystemTime::now))
        });
        // Events from before the current certificate say nothing about the awaited one.
        let mut old: Option<Option<(String, String)>> = None;
        let reasons = watch::until(&session.api, events, &status, "watch the events", |events| {
            let latest = events.iter().filter_map(mount_failure).max();
            let old = old.get_or_insert_with(|| before.as_ref().and(latest.clone()));
            if let Some(reason) = latest.filter(|latest| Some(latest) > old.as_ref()) {
                status.set(reason.1);
            }
            None::<SystemTime>
        });
        let permanent_failure = self.permanent_failure(cx, session, input, rotates);
        let first = async {
            let (secret, reasons, permanent_failure) = (pin!(secret), pin!(reasons), pin!(permanent_failure));
            match select(secret, select(reasons, permanent_failure)).await {
                Either::Left((ended, _)) | Either::Right((Either::Left((ended, _)), _)) => ended,
                Either::Right((Either::Right((failed_stage, _)), _)) => Err(step_error(&failed_stage)),
            }
        };
        match cx.wait_for(wait, &status, first).await {
            Err(error)
                if error.kind == ErrorKind::TimedOut
                    && old_chain.is_some()
                    && self.has_leaf(session, desired).await =>
            {
                cx.note(
                    "the Secret keeps its old chain: the driver drops certificates that do not belong to it",
                );
                Ok(SystemTime::now())
            }
            Err(error) if error.kind == ErrorKind::TimedOut => match self.failed_stage(session, input).await {
                Some(failed_stage) => Err(step_error(&failed_stage).cause(error.message)),
                None => Err(error.hint(
                    "every part of the sync is correct: check the events and the log of the driver's pods, \
                     kubectl -n kube-system logs -l app=secrets-store-csi-driver",
                )),
            },
            ended => ended,
        }
    }

    /// Waits until the sync workload runs as it is configured now: its new pods have mounted the certificate. The old
    /// pods, and with them the Secret, stay until then.
    pub(super) async fn await_rollout(
        &self,
        cx: &Context,
        session: &ClusterSession,
        input: &<Self as Step>::Input,
        wanted: &[Manifest],
    ) -> Result<Option<SystemTime>, StepError> {
        let rollout = objects::await_workloads(cx, session, wanted);
        let permanent_failure = self.permanent_failure(cx, session, input, false);
        let (rollout, permanent_failure) = (pin!(rollout), pin!(permanent_failure));
        match select(rollout, permanent_failure).await {
            Either::Left((Err(error), _)) if error.kind == ErrorKind::TimedOut => {
                match self.failed_stage(session, input).await {
                    Some(failed_stage) => Err(step_error(&failed_stage).cause(error.message)),
                    None => Err(error),
                }
            }
            Either::Left((ended, _)) => ended,
            Either::Right((failed_stage, _)) => Err(step_error(&failed_stage)),
        }
    }

    /// Returns whether the Secret contains a leaf; false if it cannot be read.
    async fn has_leaf(&self, session: &ClusterSession, desired: &String) -> bool {
        let secret = session.api.get(&Kind::SECRET, Some(NAMESPACE), SECRET).await.ok().flatten();
        secret.as_ref().and_then(thumbprint).as_ref() == Some(desired)
    }

    /// Returns whether the recorded Secret was synced with another chain.
    fn is_chain_replaced(&self, cx: &Context, wanted: &String) -> bool {
        let last: Option<<Self as Step>::Output> = cx.last_output();
        last.is_some_and(|last| last.chain.as_ref() != Some(wanted))
    }

    /// Returns when a stage has a permanent fault: at once if the fault is configured, else when the driver
    /// must have polled. `rotates` is false for a first mount, which needs no rotation.
    async fn permanent_failure(
        &self,
        cx: &Context,
        session: &ClusterSession,
        input: &<Self as Step>::Input,
        rotates: bool,
    ) -> Finding {
        let mut above = if rotates { SelfRecovery::Unlikely } else { SelfRecovery::Never };
        loop {
            if above < SelfRecovery::Never
                && let Some(failed_stage) = self
                    .failed_stage(session, input)
                    .await
                    .filter(|failed_stage| failed_stage.self_recovery > above)
            {
                return failed_stage;
            }
            tokio::time::sleep(cx.time_scale().poll_timeout(ROTATION_TIMEOUT)).await;
            above = SelfRecovery::Possible;
        }
    }

    /// Diagnoses the failed stage. After a failed diagnosis the wait reports only its timeout.
    async fn failed_stage(
        &self,
        session: &ClusterSession,
        (cluster, held, vault, ..): &<Self as Step>::Input,
    ) -> Option<Finding> {
        let cluster = self.azure.cluster(&self.group, &cluster.name).await.ok().flatten()?;
        let vault_body = self.azure.vault(&self.group, &vault.name).await.ok().flatten();
        let context = RotationContext {
            cluster: &cluster,
            vault: &vault.reference(),
            vault_body: vault_body.as_ref(),
            vaults: &self.vaults,
            certificate: &held.reference(),
            namespace: NAMESPACE,
            secret: SECRET,
        };
        self.diagnosis.diagnose(session, &context).await.ok().flatten()
    }
}

fn step_error(failed_stage: &Finding) -> StepError {
    let what = format!("sync the certificate to Secret {SECRET}");
    let error =
        StepError::new(ErrorKind::Failed, what).code(failed_stage.code).cause(failed_stage.cause.clone());
    let error = failed_stage.evidence.iter().cloned().fold(error, StepError::cause);
    error.hint(failed_stage.remedy.clone()).leftover(Leftover::Something)
}

/// Returns the latest reason of a failed mount, as display text.
fn mount_failure(event: &DynamicObject) -> Option<(String, String)> {
    let reason = event.data["reason"].as_str()?;
    if !matches!(reason, "FailedMount" | "FailedToCreateSecret" | "MountRotationFailed") {
        return None;
    }
    let at = event.data["lastTimestamp"].as_str().unwrap_or_default().to_owned();
    let message = event.data["message"].as_str().unwrap_or_default();
    let description = if message.contains("ForbiddenByRbac") {
        "the identity may not read the vault yet".to_owned()
    } else if message.contains("AADSTS70021") {
        "the federated credential of the identity has not taken effect yet".to_owned()
    } else {
        message_summary(message)
    };
    Some((at, description))
}
