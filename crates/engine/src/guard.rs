//! The policy hook that may refuse before a step is called.

use crate::{
    context::Context,
    error::StepError,
    handle::Outputs,
    node::{Boxed, Made, Node},
    step_types::Act,
    step_types::{Check, Undone},
};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// The hook that is called first.
pub(crate) type Ask = dyn Fn(&'static str, Act) -> Result<(), StepError> + Send + Sync;

/// A step with the hook before it.
pub(crate) struct Guarded {
    pub(crate) node: Arc<dyn Node>,
    pub(crate) ask: Arc<Ask>,
}

impl Guarded {
    fn ask(&self, act: Act) -> Result<(), StepError> {
        (self.ask)(self.node.id(), act)
    }
}

impl Node for Guarded {
    fn id(&self) -> &'static str {
        self.node.id()
    }

    fn title(&self) -> String {
        self.node.title()
    }

    fn named(&self) -> Option<Value> {
        self.node.named()
    }

    fn usual(&self) -> Duration {
        self.node.usual()
    }

    fn deadline(&self) -> Duration {
        self.node.deadline()
    }

    fn part_of(&self) -> Option<&'static str> {
        self.node.part_of()
    }

    fn outlives_parent(&self, value: &Value) -> bool {
        self.node.outlives_parent(value)
    }

    fn may_make(&self) -> Result<(), StepError> {
        self.ask(Act::Make)?;
        self.node.may_make()
    }

    fn decode(&self, value: &Value) -> Option<Made> {
        self.node.decode(value)
    }

    fn check<'a>(
        &'a self,
        cx: &'a Context,
        outputs: &'a Outputs,
    ) -> Boxed<'a, Result<Check<Made>, StepError>> {
        Box::pin(async move {
            self.ask(Act::Look)?;
            self.node.check(cx, outputs).await
        })
    }

    fn apply<'a>(&'a self, cx: &'a Context, outputs: &'a Outputs) -> Boxed<'a, Result<Made, StepError>> {
        self.node.apply(cx, outputs)
    }

    fn recover<'a>(
        &'a self,
        cx: &'a Context,
        outputs: &'a Outputs,
    ) -> Boxed<'a, Result<Option<Made>, StepError>> {
        Box::pin(async move {
            self.ask(Act::Look)?;
            self.node.recover(cx, outputs).await
        })
    }

    fn existing<'a>(
        &'a self,
        cx: &'a Context,
        outputs: &'a Outputs,
    ) -> Boxed<'a, Result<Option<Made>, StepError>> {
        Box::pin(async move {
            self.ask(Act::Look)?;
            self.node.existing(cx, outputs).await
        })
    }

    fn undo<'a>(&'a self, cx: &'a Context, made: Made) -> Boxed<'a, Result<Undone, StepError>> {
        Box::pin(async move {
            self.ask(Act::Undo)?;
            self.node.undo(cx, made).await
        })
    }
}
