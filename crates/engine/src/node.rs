//! Type-erased steps, so that steps of all types fit in one graph.
//!
//! Only this module erases outputs to JSON and decodes them.

use crate::{
    context::Context,
    error::{Kind, StepError},
    handle::{Inputs, Outputs, Produced},
    step::Step,
    step_types::{Check, Undone},
};
use serde::Serialize;
use serde_json::Value;
use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

/// A future that a task can own.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An output, both as the value later steps take and as the journal's JSON.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) produced: Produced,
    pub(crate) value: Value,
}

/// A step and its wiring.
pub(crate) trait Node: Send + Sync {
    fn id(&self) -> &'static str;
    fn title(&self) -> String;
    /// Returns the names under which it would be created.
    fn named(&self) -> Option<Value>;
    fn usual(&self) -> Duration;
    fn deadline(&self) -> Duration;
    fn part_of(&self) -> Option<&'static str>;
    /// Returns whether the resource outlives its parents.
    fn outlives_parent(&self, value: &Value) -> bool;
    /// Refuses before anything starts.
    fn may_make(&self) -> Result<(), StepError>;
    /// Decodes an output from the journal; `None` if it no longer parses, which leads to a new check and is
    /// not an error.
    fn decode(&self, value: &Value) -> Option<Made>;
    fn check<'a>(
        &'a self,
        cx: &'a Context,
        outputs: &'a Outputs,
    ) -> Boxed<'a, Result<Check<Made>, StepError>>;
    fn apply<'a>(&'a self, cx: &'a Context, outputs: &'a Outputs) -> Boxed<'a, Result<Made, StepError>>;
    fn recover<'a>(
        &'a self,
        cx: &'a Context,
        outputs: &'a Outputs,
    ) -> Boxed<'a, Result<Option<Made>, StepError>>;
    fn existing<'a>(
        &'a self,
        cx: &'a Context,
        outputs: &'a Outputs,
    ) -> Boxed<'a, Result<Option<Made>, StepError>>;
    fn undo<'a>(&'a self, cx: &'a Context, made: Made) -> Boxed<'a, Result<Undone, StepError>>;
}

/// A step with the inputs it was added with.
pub(crate) struct Wired<S, I> {
    pub(crate) id: &'static str,
    pub(crate) step: S,
    pub(crate) inputs: I,
}

impl<S: Step, I: Inputs<Values = S::Input>> Node for Wired<S, I> {
    fn id(&self) -> &'static str {
        self.id
    }

    fn title(&self) -> String {
        self.step.title()
    }

    fn named(&self) -> Option<Value> {
        self.step.named()
    }

    fn usual(&self) -> Duration {
        self.step.usual()
    }

    fn deadline(&self) -> Duration {
        self.step.deadline()
    }

    fn part_of(&self) -> Option<&'static str> {
        self.step.part_of()
    }

    fn outlives_parent(&self, value: &Value) -> bool {
        // An output that no longer parses stays known.
        serde_json::from_value(value.clone()).map_or(true, |output| self.step.outlives_parent(&output))
    }

    fn may_make(&self) -> Result<(), StepError> {
        Ok(())
    }

    fn decode(&self, value: &Value) -> Option<Made> {
        let output: S::Output = serde_json::from_value(value.clone()).ok()?;
        Some(Made { produced: Arc::new(output), value: value.clone() })
    }

    fn check<'a>(
        &'a self,
        cx: &'a Context,
        outputs: &'a Outputs,
    ) -> Boxed<'a, Result<Check<Made>, StepError>> {
        Box::pin(async move {
            let input = self.inputs.resolve(outputs);
            Ok(match self.step.check(cx, &input).await? {
                Check::Ready(output) => Check::Ready(made(self.id, output)?),
                Check::Missing => Check::Missing,
                Check::Differs { changes } => Check::Differs { changes },
                Check::Underway => Check::Underway,
                Check::Broken { why } => Check::Broken { why },
                Check::Foreign { why } => Check::Foreign { why },
                Check::Refused { error } => Check::Refused { error },
            })
        })
    }

    fn apply<'a>(&'a self, cx: &'a Context, outputs: &'a Outputs) -> Boxed<'a, Result<Made, StepError>> {
        Box::pin(async move {
            let input = self.inputs.resolve(outputs);
            made(self.id, self.step.apply(cx, &input).await?)
        })
    }

    fn recover<'a>(
        &'a self,
        cx: &'a Context,
        outputs: &'a Outputs,
    ) -> Boxed<'a, Result<Option<Made>, StepError>> {
        Box::pin(async move {
            let input = self.inputs.resolve(outputs);
            let output = self.step.recover(cx, &input).await?;
            output.map(|output| made(self.id, output)).transpose()
        })
    }

    fn existing<'a>(
        &'a self,
        cx: &'a Context,
        outputs: &'a Outputs,
    ) -> Boxed<'a, Result<Option<Made>, StepError>> {
        Box::pin(async move {
            let input = self.inputs.resolve(outputs);
            let output = self.step.existing(cx, &input).await?;
            output.map(|output| made(self.id, output)).transpose()
        })
    }

    fn undo<'a>(&'a self, cx: &'a Context, made: Made) -> Boxed<'a, Result<Undone, StepError>> {
        let output = made.produced.downcast_ref::<S::Output>().expect("decoded or made by this very node");
        let output = output.clone();
        Box::pin(self.step.undo(cx, output))
    }
}

fn made<T: Serialize + Send + Sync + 'static>(step: &str, output: T) -> Result<Made, StepError> {
    let value = serde_json::to_value(&output).map_err(|error| {
        StepError::new(Kind::Bug, format!("write the output of {step} as JSON")).caused_by(&error)
    })?;
    Ok(Made { produced: Arc::new(output), value })
}
