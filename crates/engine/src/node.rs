//! Type-erased steps, so that steps of all types fit in one graph.
//!
//! Only this module erases outputs to JSON and decodes them.

use crate::{
    context::Context,
    error::{Kind, StepError},
    handle::{Inputs, Outputs, Produced},
    journal::OVERRIDES,
    step::Step,
    step_types::{Check, UndoOutcome},
};
use serde::Serialize;
use serde_json::Value;
use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

/// A future that a task can own.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An output, both as the value later steps take and as the journal's JSON.
#[derive(Clone)]
pub(crate) struct NodeOutput {
    pub(crate) produced: Produced,
    pub(crate) value: Value,
}

/// A step and its wiring.
pub(crate) trait Node: Send + Sync {
    fn id(&self) -> &'static str;
    fn title(&self) -> String;
    /// Returns the names under which it would be created.
    fn planned_name(&self) -> Option<Value>;
    fn typical_duration(&self) -> Duration;
    fn deadline(&self) -> Duration;
    fn parent(&self) -> Option<&'static str>;
    /// Returns whether the resource outlives its parents.
    fn outlives_parent(&self, value: &Value) -> bool;
    /// Refuses before anything starts.
    fn may_apply(&self) -> Result<(), StepError>;
    /// Decodes an output from the journal; `None` if it no longer parses, which leads to a new check and is
    /// not an error.
    fn decode(&self, value: &Value) -> Option<NodeOutput>;
    fn check<'a>(
        &'a self,
        cx: &'a Context,
        outputs: &'a Outputs,
    ) -> Boxed<'a, Result<Check<NodeOutput>, StepError>>;
    fn apply<'a>(&'a self, cx: &'a Context, outputs: &'a Outputs)
    -> Boxed<'a, Result<NodeOutput, StepError>>;
    fn recover<'a>(
        &'a self,
        cx: &'a Context,
        outputs: &'a Outputs,
    ) -> Boxed<'a, Result<Option<NodeOutput>, StepError>>;
    fn existing<'a>(
        &'a self,
        cx: &'a Context,
        outputs: &'a Outputs,
    ) -> Boxed<'a, Result<Option<NodeOutput>, StepError>>;
    fn undo<'a>(
        &'a self,
        cx: &'a Context,
        node_output: NodeOutput,
    ) -> Boxed<'a, Result<UndoOutcome, StepError>>;
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

    fn planned_name(&self) -> Option<Value> {
        self.step.planned_name()
    }

    fn typical_duration(&self) -> Duration {
        self.step.typical_duration()
    }

    fn deadline(&self) -> Duration {
        self.step.deadline()
    }

    fn parent(&self) -> Option<&'static str> {
        self.step.parent()
    }

    fn outlives_parent(&self, value: &Value) -> bool {
        // An output that no longer parses stays known.
        serde_json::from_value(value.clone()).map_or(true, |output| self.step.outlives_parent(&output))
    }

    fn may_apply(&self) -> Result<(), StepError> {
        Ok(())
    }

    fn decode(&self, value: &Value) -> Option<NodeOutput> {
        let output: S::Output = serde_json::from_value(value.clone()).ok()?;
        Some(NodeOutput { produced: Arc::new(output), value: value.clone() })
    }

    fn check<'a>(
        &'a self,
        cx: &'a Context,
        outputs: &'a Outputs,
    ) -> Boxed<'a, Result<Check<NodeOutput>, StepError>> {
        Box::pin(async move {
            let input = self.inputs.resolve(outputs);
            Ok(match self.step.check(cx, &input).await? {
                Check::InSync(output) => Check::InSync(node_output(self.id, output, cx)?),
                Check::Missing => Check::Missing,
                Check::Partial { changes } => Check::Partial { changes },
                Check::Drifted { changes } => Check::Drifted { changes },
                Check::InProgress => Check::InProgress,
                Check::Failed { why } => Check::Failed { why },
                Check::NotOwned { why } => Check::NotOwned { why },
                Check::Refused { error } => Check::Refused { error },
            })
        })
    }

    fn apply<'a>(
        &'a self,
        cx: &'a Context,
        outputs: &'a Outputs,
    ) -> Boxed<'a, Result<NodeOutput, StepError>> {
        Box::pin(async move {
            let input = self.inputs.resolve(outputs);
            node_output(self.id, self.step.apply(cx, &input).await?, cx)
        })
    }

    fn recover<'a>(
        &'a self,
        cx: &'a Context,
        outputs: &'a Outputs,
    ) -> Boxed<'a, Result<Option<NodeOutput>, StepError>> {
        Box::pin(async move {
            let input = self.inputs.resolve(outputs);
            let output = self.step.recover(cx, &input).await?;
            output.map(|output| node_output(self.id, output, cx)).transpose()
        })
    }

    fn existing<'a>(
        &'a self,
        cx: &'a Context,
        outputs: &'a Outputs,
    ) -> Boxed<'a, Result<Option<NodeOutput>, StepError>> {
        Box::pin(async move {
            let input = self.inputs.resolve(outputs);
            let output = self.step.existing(cx, &input).await?;
            output.map(|output| node_output(self.id, output, cx)).transpose()
        })
    }

    fn undo<'a>(
        &'a self,
        cx: &'a Context,
        node_output: NodeOutput,
    ) -> Boxed<'a, Result<UndoOutcome, StepError>> {
        let output =
            node_output.produced.downcast_ref::<S::Output>().expect("decoded or made by this very node");
        let output = output.clone();
        Box::pin(self.step.undo(cx, output))
    }
}

/// Returns the output as JSON, with the overrides of the turn.
fn node_output<T: Serialize + Send + Sync + 'static>(
    step: &str,
    output: T,
    cx: &Context,
) -> Result<NodeOutput, StepError> {
    let bug = |error: serde_json::Error| {
        StepError::new(Kind::Bug, format!("write the output of {step} as JSON")).caused_by(&error)
    };
    let mut value = serde_json::to_value(&output).map_err(bug)?;
    let overrides = cx.overrides();
    if let Some(fields) = value.as_object_mut().filter(|_| !overrides.is_empty()) {
        fields.insert(OVERRIDES.to_owned(), serde_json::to_value(overrides).map_err(bug)?);
    }
    Ok(NodeOutput { produced: Arc::new(output), value })
}
