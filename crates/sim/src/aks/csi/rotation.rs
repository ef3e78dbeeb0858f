//! Rotation: polls the vault for new versions of mounted objects. A failure keeps the old content.

use serde_json::Value;

use super::{CLASSES, Mounted, mount, provider, sync};
use crate::aks::agenda::{Named, Task};
use crate::aks::object::{is_ending, namespace, uid};
use crate::aks::turn::{Happening, Turn};
use crate::aks::workload;

const SOURCE: &str = "csi-secrets-store-rotation";
/// The minimum real time between two polls, in milliseconds. At infinite speed the simulator would otherwise
/// poll without end.
const APART_MS: i64 = 1_000;

/// Polls for everything that a pod has mounted, and schedules the next poll.
pub(in crate::aks) fn rotate(turn: &mut Turn<'_>, tag: &Named) {
    let Some(pod) = turn.find("pods", tag) else { return };
    let Some(interval) = turn.facts.csi.as_ref().and_then(|csi| csi.rotation_seconds) else { return };
    if is_ending(&pod) || workload::is_over(&pod) {
        return;
    }
    let mounts = turn.memory.mounts.get(uid(&pod)).cloned().unwrap_or_default();
    for (class, mounted) in &mounts.classes {
        look_at(turn, &pod, class, mounted);
    }
    let due = turn.again_after(interval).max(turn.at.plus_ms(APART_MS));
    turn.memory.agenda.enter(due, Task::Rotate { pod: tag.clone() });
}

fn look_at(turn: &mut Turn<'_>, pod: &Value, class: &str, mounted: &Mounted) {
    let place = namespace(pod);
    let fetched = match turn.get(CLASSES, place, class) {
        Some(spc) => provider::fetch(turn, &spc, &mounted.files),
        None => Err(format!("SecretProviderClass.secrets-store.csi.x-k8s.io \"{class}\" not found")),
    };
    let files = match fetched {
        Ok(files) if files == mounted.files => return,
        Ok(files) => files,
        Err(why) => {
            let message = format!("provider mount err: {why}");
            return turn.event(pod, &Happening::warning(SOURCE, "MountRotationFailed", message));
        }
    };
    let rotated = Mounted { volume: mounted.volume.clone(), files };
    mount::note(turn, pod, class, &rotated);
    if let Some(mounts) = turn.memory.mounts.get_mut(uid(pod)) {
        mounts.classes.insert(class.to_owned(), rotated.clone());
    }
    let message = format!("successfully rotated mounted contents for spc {place}/{class}");
    turn.event(pod, &Happening::normal(SOURCE, "MountRotationComplete", message));
    match sync::rewrite(turn, pod, class, &rotated) {
        Ok(changed) => {
            for secret in changed {
                let message = format!("successfully rotated K8s secret {secret}");
                turn.event(pod, &Happening::normal(SOURCE, "SecretRotationComplete", message));
            }
        }
        Err(why) => turn.event(pod, &Happening::warning(SOURCE, "SecretRotationFailed", why)),
    }
}
