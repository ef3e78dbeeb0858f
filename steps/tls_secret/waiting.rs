//! Waiting for the Secret to carry a certificate, and saying which link is stuck when it does not come.

use super::{NAMESPACE, SECRET, TlsSecret, content};
use crate::{
    clouds::Opened,
    rotation_links::{self, Finding, Links, Outlook},
    watching::{self, Watched},
};
use futures::future::{Either, select};
use landfall_cloud::kubernetes::{DynamicObject, Kind, Selection, readiness};
use landfall_engine::{Context, Kind as ErrorKind, Residue, Seen, Step, StepError, Wait};
use std::{
    pin::pin,
    time::{Duration, SystemTime},
};

/// After so long, in cloud time, a link that does not mend by itself ends the wait: a poll comes every two minutes, and
/// from driver 1.6 on it may take two of them.
const PATIENCE: Duration = Duration::from_secs(300);

impl TlsSecret {
    /// Watches the Secret, and the events that say why it does not come.
    pub(super) async fn await_secret(
        &self,
        cx: &Context,
        opened: &Opened,
        input: &<Self as Step>::Input,
    ) -> Result<SystemTime, StepError> {
        let what = "watch Secret gateway-tls-secret";
        let before = opened.api.get(&Kind::SECRET, Some(NAMESPACE), SECRET).await.ok().flatten();
        // The first mount comes at once; a new version only with the driver's next look at the vault.
        let rotates = before.as_ref().and_then(content::thumbprint).is_some();
        let (usual, at_most) = if rotates { (120, 600) } else { (70, 900) };
        let wait = Wait::new(
            "the Secret to carry the certificate",
            Duration::from_secs(usual),
            Duration::from_secs(at_most),
        );
        let seen = Seen::new();
        seen.set(match &before {
            Some(_) => "waiting for the driver to look at the vault again",
            None => "waiting for the driver to mount the certificate",
        });
        let space = Some(NAMESPACE);
        let secrets = Watched { kind: &Kind::SECRET, space, selection: Selection::Name(SECRET) };
        let events = Watched { kind: &Kind::EVENT, space, selection: Selection::All };
        let thumbprint = &input.1.thumbprint;
        let secret = watching::until(&opened.api, secrets, &seen, what, |all| {
            all.iter()
                .find(|secret| content::thumbprint(secret).as_ref() == Some(thumbprint))
                .map(|secret| readiness::changed_at(secret).unwrap_or_else(SystemTime::now))
        });
        // What was told before a certificate that is there came is not about the one that is waited for.
        let mut old: Option<Option<(String, String)>> = None;
        let reasons = watching::until(&opened.api, events, &seen, "watch the events", |events| {
            let latest = events.iter().filter_map(mount_failure).max();
            let old = old.get_or_insert_with(|| before.as_ref().and(latest.clone()));
            if let Some(reason) = latest.filter(|latest| Some(latest) > old.as_ref()) {
                seen.set(reason.1);
            }
            None::<SystemTime>
        });
        let hopeless = self.hopeless(cx, opened, input, rotates);
        let first = async {
            let (secret, reasons, hopeless) = (pin!(secret), pin!(reasons), pin!(hopeless));
            match select(secret, select(reasons, hopeless)).await {
                Either::Left((ended, _)) | Either::Right((Either::Left((ended, _)), _)) => ended,
                Either::Right((Either::Right((stuck, _)), _)) => Err(told(&stuck)),
            }
        };
        match cx.attend(wait, &seen, first).await {
            Err(error) if error.kind == ErrorKind::TimedOut => match self.stuck(opened, input).await {
                Some(stuck) => Err(told(&stuck).cause(error.message)),
                None => Err(error.hint(
                    "every link is sound: look at the events and the log of the driver's pods, \
                     kubectl -n kube-system logs -l app=secrets-store-csi-driver",
                )),
            },
            ended => ended,
        }
    }

    /// Ends when a link is stuck that does not mend by itself: at once where somebody has said that it should be so,
    /// else when the driver must have come round. `rotates` is false for a first mount, which needs no rotation.
    async fn hopeless(
        &self,
        cx: &Context,
        opened: &Opened,
        input: &<Self as Step>::Input,
        rotates: bool,
    ) -> Finding {
        let mut worse_than = if rotates { Outlook::Unlikely } else { Outlook::Never };
        loop {
            if worse_than < Outlook::Never
                && let Some(stuck) =
                    self.stuck(opened, input).await.filter(|stuck| stuck.outlook > worse_than)
            {
                return stuck;
            }
            tokio::time::sleep(cx.pace().patience(PATIENCE)).await;
            worse_than = Outlook::MayPass;
        }
    }

    /// Looks for the stuck link. A look that fails finds none: what is told then is that the bound has passed.
    async fn stuck(
        &self,
        opened: &Opened,
        (cluster, held, vault, ()): &<Self as Step>::Input,
    ) -> Option<Finding> {
        let cluster = self.azure.cluster(&self.group, &cluster.name).await.ok().flatten()?;
        let vault_body = self.azure.vault(&self.group, &vault.name).await.ok().flatten();
        let links = Links {
            cluster: &cluster,
            vault,
            vault_body: vault_body.as_ref(),
            vaults: &self.vaults,
            certificate: held,
            namespace: NAMESPACE,
            secret: SECRET,
        };
        rotation_links::find(opened, &links).await.ok().flatten()
    }
}

fn told(stuck: &Finding) -> StepError {
    let what = format!("bring the certificate into Secret {SECRET}");
    let error = StepError::new(ErrorKind::Failed, what).code(stuck.code).cause(stuck.cause.clone());
    let error = stuck.evidence.iter().cloned().fold(error, StepError::cause);
    error.hint(stuck.mend.clone()).residue(Residue::Something)
}

/// The latest reason why the certificate could not be mounted, in a person's words.
fn mount_failure(event: &DynamicObject) -> Option<(String, String)> {
    let reason = event.data["reason"].as_str()?;
    if !matches!(reason, "FailedMount" | "FailedToCreateSecret" | "MountRotationFailed") {
        return None;
    }
    let at = event.data["lastTimestamp"].as_str().unwrap_or_default().to_owned();
    let message = event.data["message"].as_str().unwrap_or_default();
    let words = if message.contains("ForbiddenByRbac") {
        "the add-on's identity may not read the vault yet".to_owned()
    } else {
        rotation_links::gist(message)
    };
    Some((at, words))
}
