//! What one step is: look, make, take away. The page of [`Step`] is the tutorial.

use crate::{
    context::Context,
    error::{Kind, StepError},
    wait::{Look, Wait},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{future::Future, time::Duration};

/// One thing that must exist: how to look for it, make it, and take it away.
///
/// # How to add a step
///
/// A step is a struct holding what it is configured with and whatever client it works through. It
/// takes the values of earlier steps as [`Input`](Step::Input) and gives an
/// [`Output`](Step::Output) to later ones. Below, a garden bed and a plant in it; the world they
/// live in is a list behind a lock.
///
/// ```
/// use landfall_engine::{Change, Check, Context, Kind, Look, Step, StepError, Undone, Wait};
/// use serde::{Deserialize, Serialize};
/// use std::{collections::BTreeMap, sync::{Arc, Mutex}, time::Duration};
///
/// /// The world: the plants of each bed.
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
///     // Looks, and changes nothing. Existing is not enough: it says what state the thing is in.
///     async fn check(&self, _: &Context, _: &()) -> Result<Check<BedName>, StepError> {
///         let there = self.garden.lock().unwrap().contains_key(&self.name);
///         Ok(if there { Check::Ready(BedName(self.name.clone())) } else { Check::Missing })
///     }
///
///     // Makes or mends, and is safe to repeat: the process may have died right after this line.
///     async fn apply(&self, _: &Context, _: &()) -> Result<BedName, StepError> {
///         self.garden.lock().unwrap().entry(self.name.clone()).or_default();
///         Ok(BedName(self.name.clone()))
///     }
///
///     // Called only when this step made the thing, now or in an earlier run.
///     async fn undo(&self, _: &Context, bed: BedName) -> Result<Undone, StepError> {
///         let gone = self.garden.lock().unwrap().remove(&bed.0);
///         Ok(if gone.is_some() { Undone::Deleted } else { Undone::AlreadyGone })
///     }
/// }
///
/// struct Plant { garden: Garden, kind: &'static str }
///
/// /// How to ask after something slow. Kept as a ticket, it outlives the process.
/// #[derive(Serialize, Deserialize)]
/// struct Sown { bed: String }
///
/// impl Step for Plant {
///     type Input = BedName;                       // the value of the step before
///     type Output = ();
///
///     fn title(&self) -> String { format!("a {}", self.kind) }
///     fn deadline(&self) -> Duration { Duration::from_secs(600) }
///     fn usual(&self) -> Duration { Duration::from_secs(90) }
///
///     async fn check(&self, _: &Context, bed: &BedName) -> Result<Check<()>, StepError> {
///         let garden = self.garden.lock().unwrap();
///         Ok(match garden.get(&bed.0) {
///             Some(plants) if plants.iter().any(|p| p == self.kind) => Check::Ready(()),
///             Some(_) => Check::Missing,
///             None => Check::Foreign { why: format!("bed {} is somebody else's", bed.0) },
///         })
///     }
///
///     async fn apply(&self, cx: &Context, bed: &BedName) -> Result<(), StepError> {
///         // A ticket of an earlier attempt means the slow work was taken already: attach to it.
///         if cx.ticket::<Sown>().is_none() {
///             let mut garden = self.garden.lock().unwrap();
///             let plants = garden.get_mut(&bed.0).ok_or_else(|| {
///                 StepError::new(Kind::Failed, format!("sow a {} in bed {}", self.kind, bed.0))
///                     .cause("the bed is gone")
///                     .hint("run it again: the bed is made first")
///             })?;
///             plants.push(self.kind.into());
///             drop(garden);
///             cx.keep(&Sown { bed: bed.0.clone() })?;     // on disk before the first wait
///         }
///         let wait = Wait::new("the plant to come up", self.usual(), self.deadline());
///         cx.wait_until(wait, async || {
///             let up = self.garden.lock().unwrap()[&bed.0].iter().any(|p| p == self.kind);
///             Ok(if up { Look::There(()) } else { Look::not_yet("Sprouting") })
///         })
///         .await
///     }
///
///     async fn undo(&self, _: &Context, _: ()) -> Result<Undone, StepError> {
///         Ok(Undone::GoesWithParent)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Wiring: a handle is the edge and the value in one. No cycle can be written.
/// use landfall_engine::{EnvironmentKey, Graph, How, Journal, Outcome, Pace, Run, Stop, down, up};
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
/// let run = Run { journal: journal.into(), pace: Pace::REAL, stop: Stop::new(), events };
/// let report = up(&graph, &run).await?;
/// assert_eq!((report.outcome, report.created), (Outcome::Ready, 2));
/// assert_eq!(up(&graph, &run).await?.found, 2);           // nothing is made twice
/// assert_eq!(down(&graph, &run).await?.undone.len(), 2);  // and all of it was ours
/// assert!(garden.lock().unwrap().is_empty());
/// # assert!(heard.try_recv().is_ok());
/// # Ok(())
/// # }
/// ```
///
/// # What must hold
///
/// * **`check` changes nothing.** It may run ahead of its turn, and several times.
/// * **Every method may be called again after a crash at any await point.** Names and ids are
///   deterministic, so that looking again finds what an earlier attempt made.
/// * **The ticket is kept before the first wait.** What is not kept is found by `check` as
///   [`Check::Underway`], and `apply` then waits on the thing itself.
/// * **Waiting goes through [`Context::wait_until`] or [`Context::attend`]**: they bound it, show
///   it, and end it when the run is asked to end.
/// * **Neither an output nor [`Step::named`] says anything secret.** They are written to the journal.
/// * **The id given to [`Graph::add`](crate::Graph::add) never changes**: it is in people's journals.
pub trait Step: Send + Sync + 'static {
    /// What earlier steps must have given: a handle's value, or a tuple of them.
    type Input: Send + Sync + 'static;
    /// What later steps may use. It is written to the journal: names and ids, no secrets.
    type Output: Clone + Serialize + DeserializeOwned + Send + Sync + 'static;

    /// Names the thing for a person: "resource group rg-demo in eastus".
    fn title(&self) -> String;

    /// Names what this step is about to make, for the journal to keep with the first claim: should
    /// the process die before there is an output, this is what the thing is found and held by.
    ///
    /// A small JSON object that whoever reads [`Past::named`](crate::Past::named) understands.
    /// Nothing secret: it is written to the journal.
    fn named(&self) -> Option<Value> {
        None
    }

    /// Bounds looking and making together, in cloud time.
    fn deadline(&self) -> Duration;

    /// How long making usually takes, in cloud time, for the estimate of what is left.
    fn usual(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// Looks, changing nothing.
    fn check(
        &self,
        cx: &Context,
        input: &Self::Input,
    ) -> impl Future<Output = Result<Check<Self::Output>, StepError>> + Send;

    /// Makes, mends or attaches, and returns when the thing is usable. Safe to repeat.
    fn apply(
        &self,
        cx: &Context,
        input: &Self::Input,
    ) -> impl Future<Output = Result<Self::Output, StepError>> + Send;

    /// Takes away what this step made. Called only for what is ours; safe to repeat.
    fn undo(
        &self,
        cx: &Context,
        output: Self::Output,
    ) -> impl Future<Output = Result<Undone, StepError>> + Send;

    /// Names the step whose thing this one's is a part of, for [`Undone::GoesWithParent`]: one of those it takes a
    /// value from.
    ///
    /// As provided, it is a part of all of them, and stays while any of them does. A step that takes values from
    /// things it is no part of must say which is the one.
    fn part_of(&self) -> Option<&'static str> {
        None
    }

    /// Tells whether the thing outlives what it stands on, as a DNS record outlives the address that it names. What was
    /// only found and outlives its parent stays in the journal when that is gone.
    fn outlives_parent(&self) -> bool {
        false
    }

    /// Names what is there of this step's thing, whoever created it, for a person who adopts it; `None` when nothing is
    /// there.
    ///
    /// As provided, it takes the output of a [`Check::Ready`], else what [`Step::recover`] names. A step whose thing
    /// has several parts should override this, so that a part is named too when others are missing or differ.
    fn existing(
        &self,
        cx: &Context,
        input: &Self::Input,
    ) -> impl Future<Output = Result<Option<Self::Output>, StepError>> + Send {
        async move {
            match self.check(cx, input).await? {
                Check::Ready(output) => Ok(Some(output)),
                Check::Foreign { why } => {
                    Err(StepError::new(Kind::Foreign, format!("adopt {}", self.title()))
                        .cause(why)
                        .hint("set the settings to what is there, or leave it out with --keep STEP"))
                }
                _ => self.recover(cx, input).await,
            }
        }
    }

    /// Learns the output of something whose making was cut short, so that it can be undone; `None`
    /// when nothing of ours is there.
    ///
    /// As provided, it looks until the thing is no longer under way and takes the output of a
    /// [`Check::Ready`]. What is there but unfit has no output to take, which is an error; a step
    /// that can name its output without a healthy thing should override this.
    fn recover(
        &self,
        cx: &Context,
        input: &Self::Input,
    ) -> impl Future<Output = Result<Option<Self::Output>, StepError>> + Send {
        async move {
            let wait =
                Wait::new("it to be created, so that it can be deleted", self.usual(), self.deadline());
            cx.wait_until(wait, async || {
                let unfit = |why: &str| {
                    StepError::new(Kind::Failed, format!("delete {}", self.title()))
                        .cause(format!("the existing resource cannot be identified: {why}"))
                        .hint("run landfall up first, then landfall down")
                };
                match self.check(cx, input).await? {
                    Check::Ready(output) => Ok(Look::There(Some(output))),
                    Check::Missing | Check::Foreign { .. } => Ok(Look::There(None)),
                    Check::Underway => Ok(Look::not_yet("still being created")),
                    Check::Broken { why } => Err(unfit(&why)),
                    Check::Refused { error } => Err(unfit(&error.message)),
                    Check::Differs { .. } => Err(unfit("it differs from the desired state")),
                }
            })
            .await
        }
    }
}

/// What a look found. Existing is not being healthy: a look says which of these it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Check<T> {
    /// It is there and as wanted; this is its output.
    Ready(T),
    /// Nothing is there.
    Missing,
    /// It is there and usable, and not as wanted; it can be changed in place.
    Differs {
        /// What is to change.
        changes: Vec<Change>,
    },
    /// The cloud is at it already: attach and wait.
    Underway,
    /// It is there and failed: mend it by putting it again, or make it anew when it is ours.
    Broken {
        /// What the cloud says of it.
        why: String,
    },
    /// The name is taken by something that is not ours: refuse.
    Foreign {
        /// How that shows.
        why: String,
    },
    /// The change would be refused, whatever becomes of the steps that it comes after: nothing is written.
    Refused {
        /// What would be refused, and what to do about it.
        error: StepError,
    },
}

/// One field that is not as wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The path of the field, such as `nodes_max`.
    pub field: String,
    /// What it is; null when it is absent.
    pub is: Value,
    /// What it should be; null when it should go.
    pub wanted: Value,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} → {}", self.field, self.is, self.wanted)
    }
}

/// What became of something that was ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Undone {
    /// It was there and is gone.
    Deleted,
    /// It was gone before we came.
    AlreadyGone,
    /// It goes when the thing it is part of goes. Recorded only once that has gone.
    GoesWithParent,
    /// Its taking away is begun and goes on without us; the next run sees to its end. Until then it stays ours, and
    /// what it stands on waits. Never recorded: what is remembered is the ticket.
    Underway,
    /// It stays, and stays ours.
    Kept {
        /// Why.
        why: String,
    },
}

impl Undone {
    /// Tells whether nothing is left of it.
    pub fn is_gone(&self) -> bool {
        !matches!(self, Undone::Kept { .. } | Undone::Underway)
    }
}
