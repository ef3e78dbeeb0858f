//! Refuses in two seconds what would fail in twenty minutes: looks, and touches nothing.

use crate::{clouds::Clouds, doing::Doing, settings::Settings};
use landfall_cloud::arm::{Azure, Offered};
use landfall_engine::{Check, Context, Kind, Residue, Step, StepError, Undone};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Looks whether the way is free.
pub struct Preflight {
    azure: Azure,
    location: String,
    version: Option<String>,
}

/// What the look decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleared {
    /// The Kubernetes version a new cluster gets.
    pub version: String,
    /// The tenant of whoever is signed in.
    pub tenant: String,
}

impl Preflight {
    /// Returns the step for these settings.
    #[must_use]
    pub fn new(c: &Clouds, s: &Settings) -> Self {
        Self { azure: c.azure.clone(), location: s.location.clone(), version: s.cluster.version.clone() }
    }

    fn refuse(&self, wanted: &str, offered: &[Offered], why: &str) -> StepError {
        let list: Vec<String> = offered.iter().map(describe).collect();
        StepError::new(Kind::Refused, format!("use Kubernetes {wanted} in {}", self.location))
            .code("K8sVersionNotSupported")
            .cause(why)
            .cause(format!("{} offers {}", self.location, list.join(", ")))
            .hint("set cluster.version (K8S_VERSION) to one of these, or leave it out for the newest")
            .residue(Residue::Nothing)
    }

    /// The version asked for when the region offers it to every tier, else the newest that it does.
    fn choose(&self, offered: &[Offered]) -> Result<String, StepError> {
        let Some(wanted) = &self.version else {
            let newest = offered.iter().find(|version| version.is_community() && !version.is_preview);
            return newest.map(|version| version.version.clone()).ok_or_else(|| {
                self.refuse("of any version", offered, "no version is offered to clusters of this tier")
            });
        };
        let minor: String = wanted.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
        let Some(found) = offered.iter().find(|version| version.version == minor) else {
            return Err(self.refuse(wanted, offered, "the region does not offer it"));
        };
        if !found.is_community() {
            let why = "only clusters with long-term support (Premium tier) may still be made with it";
            return Err(self.refuse(wanted, offered, why));
        }
        if *wanted != minor && !found.patches.contains(wanted) {
            return Err(self.refuse(wanted, offered, "the region does not offer this patch of it"));
        }
        Ok(wanted.clone())
    }
}

fn describe(version: &Offered) -> String {
    let mark = if !version.is_community() {
        " (long-term support only)"
    } else if version.is_preview {
        " (preview)"
    } else if version.is_default {
        " (default)"
    } else {
        ""
    };
    format!("{}{mark}", version.version)
}

impl Step for Preflight {
    type Input = ();
    type Output = Cleared;

    fn title(&self) -> String {
        format!("sign-in and versions of {}", self.location)
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(120)
    }

    async fn check(&self, _: &Context, (): &()) -> Result<Check<Cleared>, StepError> {
        let caller = self.azure.arm().identity().await.doing("sign in")?;
        let offered = self.azure.kubernetes_versions(&self.location).await;
        let offered = offered.doing(format!("list the Kubernetes versions of {}", self.location))?;
        Ok(Check::Ready(Cleared { version: self.choose(&offered)?, tenant: caller.tenant }))
    }

    async fn apply(&self, cx: &Context, input: &()) -> Result<Cleared, StepError> {
        match self.check(cx, input).await? {
            Check::Ready(cleared) => Ok(cleared),
            _ => Err(StepError::new(Kind::Bug, "look before making")),
        }
    }

    async fn undo(&self, _: &Context, _: Cleared) -> Result<Undone, StepError> {
        Ok(Undone::AlreadyGone)
    }
}
