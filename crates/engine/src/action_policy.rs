//! The policy hook that may refuse before a step is called.

use crate::{
    context::Context,
    error::StepError,
    handle::Outputs,
    node::{Boxed, Node, NodeOutput},
    step_types::StepAction,
    step_types::{Check, UndoOutcome},
};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// The hook that is called first.
pub(crate) type ActionPolicy = dyn Fn(&'static str, StepAction) -> Result<(), StepError> + Send + Sync;

/// A step with the hook before it.
pub(crate) struct GuardedNode {
    pub(crate) node: Arc<dyn Node>,
    pub(crate) policy: Arc<ActionPolicy>,
}

impl GuardedNode {
    fn check_policy(&self, action: StepAction) -> Result<(), StepError> {
        (self.policy)(self.node.id(), action)
    }
}

impl Node for GuardedNode {
    fn id(&self) -> &'static str {
        self.node.id()
    }

    fn title(&self) -> String {
        self.node.title()
    }

    fn planned_name(&self) -> Option<Value> {
        self.node.planned_name()
    }

    fn typical_duration(&self) -> Duration {
        self.node.typical_duration()
    }

    fn deadline(&self) -> Duration {
        self.node.deadline()
    }

    fn parent(&self) -> Option<&'static str> {
        self.node.parent()
    }

    fn outlives_parent(&self, value: &Value) -> bool {
        self.node.outlives_parent(value)
    }

    fn may_apply(&self) -> Result<(), StepError> {
        self.check_policy(StepAction::Apply)?;
        self.node.may_apply()
    }

    fn decode(&self, value: &Value) -> Option<NodeOutput> {
        self.node.decode(value)
    }

    fn check<'a>(
        &'a self,
        cx: &'a Context,
        outputs: &'a Outputs,
    ) -> Boxed<'a, Result<Check<NodeOutput>, StepError>> {
        Box::pin(async move {
            self.check_policy(StepAction::Check)?;
            self.node.check(cx, outputs).await
        })
    }

    fn apply<'a>(
        &'a self,
        cx: &'a Context,
        outputs: &'a Outputs,
    ) -> Boxed<'a, Result<NodeOutput, StepError>> {
        self.node.apply(cx, outputs)
    }

    fn recover<'a>(
        &'a self,
        cx: &'a Context,
        outputs: &'a Outputs,
    ) -> Boxed<'a, Result<Option<NodeOutput>, StepError>> {
        Box::pin(async move {
            self.check_policy(StepAction::Check)?;
            self.node.recover(cx, outputs).await
        })
    }

    fn existing<'a>(
        &'a self,
        cx: &'a Context,
        outputs: &'a Outputs,
    ) -> Boxed<'a, Result<Option<NodeOutput>, StepError>> {
        Box::pin(async move {
            self.check_policy(StepAction::Check)?;
            self.node.existing(cx, outputs).await
        })
    }

    fn undo<'a>(
        &'a self,
        cx: &'a Context,
        node_output: NodeOutput,
    ) -> Boxed<'a, Result<UndoOutcome, StepError>> {
        Box::pin(async move {
            self.check_policy(StepAction::Undo)?;
            self.node.undo(cx, node_output).await
        })
    }
}
