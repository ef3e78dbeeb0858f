//! The step: check, apply, undo. The page of [`Step`] is the tutorial.

use crate::{
    context::Context,
    error::{Kind, StepError},
    step_types::{Check, UndoOutcome},
    wait::{Poll, Wait},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{future::Future, time::Duration};

/// One resource that must exist: how to check, create and delete it.
///
/// # How to add a step
///
/// A step is a struct with its configuration and its client. It takes the values of earlier steps as
/// [`Input`](Step::Input) and returns an [`Output`](Step::Output) for later ones. The example creates a
/// garden bed and a plant in it; their simulated cloud is a list behind a lock.
///
/// ```
/// use landfall_engine::{Change, Check, Context, Kind, Poll, Step, StepError, UndoOutcome, Wait};
/// use serde::{Deserialize, Serialize};
/// use std::{collections::BTreeMap, sync::{Arc, Mutex}, time::Duration};
///
/// /// The simulated cloud: the plants of each bed.
/// type Garden = Arc<Mutex<BTreeMap<String, Vec<String>>>>;
///
/// struct Bed { garden: Garden, name: String }
///
/// /// Outputs go to the journal: names and ids, never secrets. A newtype cannot be mixed up.
/// #[derive(Clone, Serialize, Deserialize)]
/// struct BedName(String);
///
/// impl Step for Bed {
///     type Input = ();
///     type Output = BedName;
///
///     fn title(&self) -> String { format!("bed {}", self.name) }
///     fn deadline(&self) -> Duration { Duration::from_secs(60) }
///
///     // Read-only. Existence is not enough: it returns the state of the resource.
///     async fn check(&self, _: &Context, _: &()) -> Result<Check<BedName>, StepError> {
///         let there = self.garden.lock().unwrap().contains_key(&self.name);
///         Ok(if there { Check::InSync(BedName(self.name.clone())) } else { Check::Missing })
///     }
///
///     // Creates or updates, idempotently: the process may have died right after this line.
///     async fn apply(&self, _: &Context, _: &()) -> Result<BedName, StepError> {
///         self.garden.lock().unwrap().entry(self.name.clone()).or_default();
///         Ok(BedName(self.name.clone()))
///     }
///
///     // Called only if this step created the resource, now or in an earlier run.
///     async fn undo(&self, _: &Context, bed: BedName) -> Result<UndoOutcome, StepError> {
///         let gone = self.garden.lock().unwrap().remove(&bed.0);
///         Ok(if gone.is_some() { UndoOutcome::Deleted } else { UndoOutcome::AlreadyDeleted })
///     }
/// }
///
/// struct Plant { garden: Garden, kind: &'static str }
///
/// /// The data to poll slow work. Saved as a ticket, it outlives the process.
/// #[derive(Serialize, Deserialize)]
/// struct Sown { bed: String }
///
/// impl Step for Plant {
///     type Input = BedName;                       // the value of the step before
///     type Output = ();
///
///     fn title(&self) -> String { format!("a {}", self.kind) }
///     fn deadline(&self) -> Duration { Duration::from_secs(600) }
///     fn typical_duration(&self) -> Duration { Duration::from_secs(90) }
///
///     async fn check(&self, _: &Context, bed: &BedName) -> Result<Check<()>, StepError> {
///         let garden = self.garden.lock().unwrap();
///         Ok(match garden.get(&bed.0) {
///             Some(plants) if plants.iter().any(|p| p == self.kind) => Check::InSync(()),
///             Some(_) => Check::Missing,
///             None => Check::NotOwned { why: format!("bed {} belongs to another gardener", bed.0) },
///         })
///     }
///
///     async fn apply(&self, cx: &Context, bed: &BedName) -> Result<(), StepError> {
///         // A ticket of an earlier attempt means that the slow work was already accepted: attach to it.
///         if cx.ticket::<Sown>().is_none() {
///             let mut garden = self.garden.lock().unwrap();
///             let plants = garden.get_mut(&bed.0).ok_or_else(|| {
///                 StepError::new(Kind::Failed, format!("sow a {} in bed {}", self.kind, bed.0))
///                     .cause("the bed is gone")
///                     .hint("run it again: the bed is made first")
///             })?;
///             plants.push(self.kind.into());
///             drop(garden);
///             cx.save_ticket(&Sown { bed: bed.0.clone() })?;     // on disk before the first wait
///         }
///         let wait = Wait::new("the plant to come up", self.typical_duration(), self.deadline());
///         cx.wait_until(wait, async || {
///             let up = self.garden.lock().unwrap()[&bed.0].iter().any(|p| p == self.kind);
///             Ok(if up { Poll::Ready(()) } else { Poll::not_yet("Sprouting") })
///         })
///         .await
///     }
///
///     async fn undo(&self, _: &Context, _: ()) -> Result<UndoOutcome, StepError> {
///         Ok(UndoOutcome::DeletedWithParent)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Wiring: a handle is both the edge and the value. Cycles are impossible.
/// use landfall_engine::{EnvironmentKey, Graph, How, Journal, Outcome, TimeScale, Run, Stop, down, up};
/// let garden = Garden::default();
/// let mut graph = Graph::new();
/// let bed = graph.add("bed", Bed { garden: garden.clone(), name: "south".into() }, ());
/// graph.add("tomato", Plant { garden: garden.clone(), kind: "tomato" }, bed);
///
/// // Running.
/// let folder = tempfile::tempdir()?;
/// let key = EnvironmentKey { cloud: "garden".into(), subscription: "mine".into(), environment: "summer".into() };
/// let (events, mut heard) = tokio::sync::mpsc::unbounded_channel();
/// let journal = Journal::open(folder.path(), "up", &key, "0.1.0")?;
/// let run = Run { journal: journal.into(), time_scale: TimeScale::REAL, stop: Stop::new(), events };
/// let report = up(&graph, &run).await?;
/// assert_eq!((report.outcome, report.created), (Outcome::Ready, 2));
/// assert_eq!(up(&graph, &run).await?.found, 2);           // nothing is created twice
/// assert_eq!(down(&graph, &run).await?.undone.len(), 2);  // and all of it was owned
/// assert!(garden.lock().unwrap().is_empty());
/// # assert!(heard.try_recv().is_ok());
/// # Ok(())
/// # }
/// ```
///
/// # What must hold
///
/// * **`check` changes nothing.** It may run speculatively, and several times.
/// * **Every method may be called again after a crash at any await point.** Names and ids are deterministic,
///   so that a later check finds what an earlier attempt created.
/// * **The ticket is saved before the first wait.** Without a ticket, `check` returns [`Check::InProgress`],
///   and `apply` then waits for the resource itself.
/// * **Every wait uses [`Context::wait_until`] or [`Context::wait_for`]**: they bound it, display it, and end
///   it when the run is stopped.
/// * **Neither an output nor [`Step::planned_name`] contains a secret.** They are written to the journal.
/// * **The id given to [`Graph::add`](crate::Graph::add) never changes**: it is in people's journals.
pub trait Step: Send + Sync + 'static {
    /// The required values of earlier steps: a handle's value, or a tuple of them.
    type Input: Send + Sync + 'static;
    /// The value for later steps. It is written to the journal: names and ids, no secrets.
    type Output: Clone + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Names the thing for a person: "resource group rg-demo in eastus".
    fn title(&self) -> String;

    /// Returns the names of the resource to create, for the journal's first claim. If the process dies before
    /// there is an output, these names identify the resource.
    ///
    /// The value is a small JSON object for the readers of [`StepState::planned_name`](crate::StepState::planned_name). It must not
    /// contain secrets: it is written to the journal.
    fn planned_name(&self) -> Option<Value> {
        None
    }

    /// Returns the maximum duration of check and apply together, in cloud time.
    fn deadline(&self) -> Duration;

    /// Returns the typical duration of the creation, in cloud time, for the estimate.
    fn typical_duration(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// Checks the state, read-only.
    fn check(
        &self,
        cx: &Context,
        input: &Self::Input,
    ) -> impl Future<Output = Result<Check<Self::Output>, StepError>> + Send;

    /// Creates, updates or attaches, and returns when the resource is usable. Idempotent.
    fn apply(
        &self,
        cx: &Context,
        input: &Self::Input,
    ) -> impl Future<Output = Result<Self::Output, StepError>> + Send;

    /// Deletes what this step created. Called only for owned resources; idempotent.
    fn undo(
        &self,
        cx: &Context,
        output: Self::Output,
    ) -> impl Future<Output = Result<UndoOutcome, StepError>> + Send;

    /// Returns the step whose resource contains this one's, for [`UndoOutcome::DeletedWithParent`]: one of the steps
    /// that this one takes a value from.
    ///
    /// By default, all of these contain it, and it stays while any of them does. A step whose resource is not
    /// part of all of them must override this.
    fn parent(&self) -> Option<&'static str> {
        None
    }

    /// Returns whether the resource outlives its dependencies, as a DNS record outlives its address. If it
    /// was only found, its record stays in the journal after their deletion.
    fn outlives_parent(&self, _output: &Self::Output) -> bool {
        false
    }

    /// Returns the existing resource of this step, owned or foreign, for a person who adopts it; `None` if
    /// nothing exists.
    ///
    /// By default, this is the output of a [`Check::InSync`], else that of [`Step::recover`]. A step whose
    /// resource has several parts should override this, so that an existing part is found even if others are
    /// missing or differ.
    fn existing(
        &self,
        cx: &Context,
        input: &Self::Input,
    ) -> impl Future<Output = Result<Option<Self::Output>, StepError>> + Send {
        async move {
            match self.check(cx, input).await? {
                Check::InSync(output) => Ok(Some(output)),
                Check::NotOwned { why } => {
                    Err(StepError::new(Kind::Foreign, format!("adopt {}", self.title())).cause(why).hint(
                        "change the settings to match the existing resource, or exclude it with --keep STEP",
                    ))
                }
                _ => self.recover(cx, input).await,
            }
        }
    }

    /// Returns the output of a resource whose creation was interrupted, so that it can be undone; `None` if
    /// nothing owned exists.
    ///
    /// By default, this polls until the resource is no longer in progress and returns the output of a
    /// [`Check::InSync`]. An existing but unhealthy resource has no output, which is an error. A step that can
    /// name its output without a healthy resource should override this.
    fn recover(
        &self,
        cx: &Context,
        input: &Self::Input,
    ) -> impl Future<Output = Result<Option<Self::Output>, StepError>> + Send {
        async move {
            let wait = Wait::new(
                "it to be created, so that it can be deleted",
                self.typical_duration(),
                self.deadline(),
            );
            cx.wait_until(wait, async || {
                let unfit = |why: &str| {
                    StepError::new(Kind::Failed, format!("delete {}", self.title()))
                        .cause(format!(
                            "landfall cannot find out whether it created the existing resource: {why}"
                        ))
                        .hint("run landfall up first, then landfall down")
                };
                match self.check(cx, input).await? {
                    Check::InSync(output) => Ok(Poll::Ready(Some(output))),
                    Check::Missing | Check::Partial { .. } | Check::NotOwned { .. } => Ok(Poll::Ready(None)),
                    Check::InProgress => Ok(Poll::not_yet("still being created")),
                    Check::Failed { why } => Err(unfit(&why)),
                    Check::Refused { error } => Err(unfit(&error.message)),
                    Check::Drifted { .. } => Err(unfit("it differs from the desired state")),
                }
            })
            .await
        }
    }
}
