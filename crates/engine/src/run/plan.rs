//! The plan: the walk of `up`, read-only.
//!
//! A step below a missing resource is planned as a creation without a check. A step below a drifted resource
//! is checked with the recorded value, so that one drift does not hide another.

use super::{
    report::{Span, critical_path},
    with_deadline,
};
use crate::{
    context::Context,
    error::StepError,
    graph::Graph,
    handle::Outputs,
    node::{Node, NodeOutput},
    run_context::PlanContext,
    schedule::Schedule,
    step_types::{Change, Check},
    stop::StopLevel,
};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::Instant,
};

/// The changes that `up` would make now.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Every step, dependencies first. A disabled step is listed only if its resource is owned.
    pub steps: Vec<Planned>,
    /// The usual duration in cloud time: the critical path through the pending steps.
    pub estimate: Duration,
    /// The duration of the checks, in real time.
    pub elapsed: Duration,
}

/// The plan of one step.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The step.
    pub step: &'static str,
    /// The title of its resource.
    pub title: String,
    /// The planned action.
    pub action: Action,
    /// The planned changes, field by field.
    pub changes: Vec<Change>,
    /// The reason, unless the fields show it: a failure, or an awaited condition.
    pub why: Option<String>,
    /// The refusal, if the step would be refused.
    pub error: Option<StepError>,
    /// Further notes of the step.
    pub notes: Vec<String>,
    /// The preceding steps that have changes themselves.
    pub after: Vec<&'static str>,
    /// True if landfall created it, now or in an earlier run.
    pub owned: bool,
}

/// The planned action of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The resource exists and is in sync.
    Ok,
    /// The resource is missing and would be created.
    Create,
    /// The resource has drifted and would be updated in place.
    Change,
    /// It appears by itself, or can be checked only after its dependencies are done.
    Wait,
    /// The step would be refused.
    Refuse,
    /// The step would not run, because this step is refused.
    Blocked {
        /// The step that would be refused.
        by: &'static str,
    },
    /// The step is switched off, and an earlier run created its resource: `down` deletes it.
    Disabled,
    /// The step is switched off, and the resource of an earlier run would be deleted.
    Delete,
}

impl Planned {
    fn new(
        node: &dyn Node,
        action: Action,
        why: Option<String>,
        after: Vec<&'static str>,
        owned: bool,
    ) -> Self {
        Self {
            step: node.id(),
            title: node.title(),
            action,
            changes: Vec::new(),
            why,
            error: None,
            notes: Vec::new(),
            after,
            owned,
        }
    }
}

impl Plan {
    /// Returns whether there is nothing to do and nothing that prevents it.
    pub fn is_empty(&self) -> bool {
        self.steps.iter().all(|step| matches!(step.action, Action::Ok | Action::Disabled))
    }
}

/// Checks everything; changes and writes nothing.
///
/// Checks run concurrently: with a complete record they take one round trip. Every wait ends after its first
/// poll. If the plan is stopped, the unchecked steps appear in the plan as [`Action::Wait`].
pub async fn plan(graph: &Graph, plan_context: &PlanContext) -> Plan {
    let mut walk = Walk::begin(graph, plan_context);
    loop {
        walk.start_ready();
        let next = tokio::select! {
            biased;
            () = plan_context.stop.requested(StopLevel::Graceful) => None,
            next = walk.running.join_next() => next,
        };
        match next {
            Some(Ok((index, result))) => walk.record_result(index, result),
            // A step's own panic is caught around the step, so this one is the engine's.
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            None => return walk.close(),
        }
    }
}

/// The result of a check.
struct CheckResult {
    verdict: Result<Check<NodeOutput>, StepError>,
    in_progress: Option<String>,
    notes: Vec<String>,
    /// The output of an existing, drifted resource, if it can be named.
    identified: Option<NodeOutput>,
}

/// The state that later steps depend on.
#[derive(Clone)]
enum Upstream {
    /// Its turn has not come.
    Pending,
    /// The resource exists, with this output.
    Present(NodeOutput),
    /// The resource exists and will be changed, or is in progress; with the known output.
    Changing(Option<NodeOutput>),
    /// The resource will be created.
    Missing,
    /// The step would be refused, or not run because of this step.
    Blocked { by: usize },
}

struct Walk<'a> {
    graph: &'a Graph,
    plan_context: &'a PlanContext,
    began: Instant,
    schedule: Schedule,
    recorded: Vec<Option<NodeOutput>>,
    speculative: Vec<Option<JoinHandle<CheckResult>>>,
    running: JoinSet<(usize, CheckResult)>,
    upstream: Vec<Upstream>,
    planned: Vec<Option<Planned>>,
}

impl<'a> Walk<'a> {
    fn begin(graph: &'a Graph, plan_context: &'a PlanContext) -> Self {
        let decoded = |node: &Arc<dyn Node>| {
            let step_state = plan_context.journal_state.step_state(node.id())?;
            node.decode(step_state.output.as_ref()?)
        };
        let recorded: Vec<Option<NodeOutput>> = graph.nodes.iter().map(decoded).collect();
        let produced = |(index, node_output): (usize, &Option<NodeOutput>)| {
            // A step that is switched off gives no value.
            node_output.as_ref().filter(|_| !graph.is_disabled(index)).map(|m| m.produced.clone())
        };
        let outputs = Outputs(recorded.iter().enumerate().map(produced).collect());
        let speculative = (0..graph.nodes.len()).map(|index| {
            let parents = &graph.parents[index];
            let optional = graph.optional_sources[index].iter().filter(|&&source| !graph.is_disabled(source));
            // A step without input values runs at once, or waits only for an ordering edge.
            let known = !parents.is_empty()
                && parents.iter().chain(optional).all(|&source| recorded[source].is_some());
            (known && !graph.is_disabled(index)).then(|| {
                tokio::spawn(check(graph.nodes[index].clone(), plan_context.clone(), outputs.clone()))
            })
        });
        Self {
            graph,
            plan_context,
            began: Instant::now(),
            schedule: Schedule::forward(graph.sources.clone()),
            speculative: speculative.collect(),
            recorded,
            running: JoinSet::new(),
            upstream: vec![Upstream::Pending; graph.nodes.len()],
            planned: vec![None; graph.nodes.len()],
        }
    }

    fn start_ready(&mut self) {
        loop {
            let ready = self.schedule.take_ready();
            if ready.is_empty() {
                return;
            }
            for index in ready {
                self.start(index);
            }
        }
    }

    /// Starts the check, or records the result of a step that needs none.
    fn start(&mut self, index: usize) {
        if self.graph.is_disabled(index) {
            self.skip(index);
            return self.schedule.finish(index);
        }
        let sources = &self.graph.sources[index];
        let blocked_by = sources.iter().find_map(|&source| match self.upstream[source] {
            Upstream::Blocked { by } => Some(by),
            _ => None,
        });
        if let Some(by) = blocked_by {
            let action = Action::Blocked { by: self.graph.nodes[by].id() };
            return self.record_plan(index, action, None, Upstream::Blocked { by });
        }
        let mut outputs = Outputs(vec![None; self.graph.nodes.len()]);
        let mut as_recorded = true;
        for &parent in &self.graph.parents[index] {
            let node_output = match &self.upstream[parent] {
                Upstream::Present(node_output) | Upstream::Changing(Some(node_output)) => node_output,
                Upstream::Missing => return self.record_plan(index, Action::Create, None, Upstream::Missing),
                _ => return self.record_plan(index, Action::Wait, None, Upstream::Changing(None)),
            };
            as_recorded &= value(self.recorded[parent].as_ref()) == Some(&node_output.value);
            outputs.0[parent] = Some(node_output.produced.clone());
        }
        for &source in self.graph.optional_sources[index].iter().filter(|&&one| !self.graph.is_disabled(one))
        {
            let node_output = match &self.upstream[source] {
                Upstream::Present(node_output) | Upstream::Changing(Some(node_output)) => Some(node_output),
                _ => None,
            };
            let known = node_output.map(|node_output| &node_output.value);
            as_recorded &= value(self.recorded[source].as_ref()) == known;
            outputs.0[source] = node_output.map(|node_output| node_output.produced.clone());
        }
        let (node, plan_context) = (self.graph.nodes[index].clone(), self.plan_context.clone());
        let speculative = self.speculative[index].take().filter(|_| as_recorded);
        self.running.spawn(async move {
            match speculative {
                Some(speculative) => match speculative.await {
                    Ok(result) => (index, result),
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                },
                None => (index, check(node, plan_context, outputs).await),
            }
        });
    }

    /// Lists a disabled step if an earlier run created its resource.
    fn skip(&mut self, index: usize) {
        let node = &self.graph.nodes[index];
        if self.plan_context.journal_state.step_state(node.id()).is_some_and(|step_state| step_state.owned) {
            let proof = self.graph.proof_of_retirement(index);
            let action = if proof.is_some() { Action::Delete } else { Action::Disabled };
            let after = proof.map(|proof| self.graph.nodes[proof].id()).into_iter().collect();
            self.planned[index] = Some(Planned::new(&**node, action, None, after, true));
        }
    }

    /// Records the result of a check.
    fn record_result(&mut self, index: usize, result: CheckResult) {
        let waits = self.graph.sources[index].iter().any(|&source| !self.is_done(source));
        let known = result.identified.or_else(|| self.recorded[index].clone());
        let (action, changes, why, error, upstream) = match (result.verdict, result.in_progress) {
            (Ok(Check::InSync(node_output)), _) => {
                (Action::Ok, Vec::new(), None, None, Upstream::Present(node_output))
            }
            (Ok(Check::Missing), _) => (Action::Create, Vec::new(), None, None, Upstream::Missing),
            (Ok(Check::Partial { changes }), _) => (Action::Create, changes, None, None, Upstream::Missing),
            (Ok(Check::Drifted { changes }), _) => {
                (Action::Change, changes, None, None, Upstream::Changing(known))
            }
            (Ok(Check::Failed { why }), _) => {
                (Action::Change, Vec::new(), Some(why), None, Upstream::Changing(known))
            }
            (Ok(Check::InProgress), why) => (Action::Wait, Vec::new(), why, None, Upstream::Changing(known)),
            (Err(_), Some(state)) => (Action::Wait, Vec::new(), Some(state), None, Upstream::Changing(known)),
            (Ok(Check::NotOwned { why }), _) => {
                (Action::Refuse, Vec::new(), Some(why), None, Upstream::Blocked { by: index })
            }
            (Ok(Check::Refused { error }), _) => {
                (Action::Refuse, Vec::new(), None, Some(error), Upstream::Blocked { by: index })
            }
            // Its dependencies are not done: the check may be refused for that reason alone.
            (Err(_), None) if waits => (Action::Wait, Vec::new(), None, None, Upstream::Changing(known)),
            (Err(error), None) => {
                (Action::Refuse, Vec::new(), None, Some(error), Upstream::Blocked { by: index })
            }
        };
        self.record_plan(index, action, why, upstream);
        if let Some(planned) = &mut self.planned[index] {
            (planned.changes, planned.error, planned.notes) = (changes, error, result.notes);
        }
    }

    fn is_done(&self, index: usize) -> bool {
        self.graph.is_disabled(index)
            || self.planned[index].as_ref().is_some_and(|planned| planned.action == Action::Ok)
    }

    fn record_plan(&mut self, index: usize, action: Action, why: Option<String>, upstream: Upstream) {
        let node = &self.graph.nodes[index];
        let open = |&&source: &&usize| !self.is_done(source);
        let after = match action {
            Action::Ok => Vec::new(),
            _ => {
                let open = self.graph.sources[index].iter().filter(open);
                open.map(|&source| self.graph.nodes[source].id()).collect()
            }
        };
        let owned =
            self.plan_context.journal_state.step_state(node.id()).is_some_and(|step_state| step_state.owned);
        self.planned[index] = Some(Planned::new(&**node, action, why, after, owned));
        self.upstream[index] = upstream;
        self.schedule.finish(index);
    }

    fn close(mut self) -> Plan {
        for check in self.speculative.iter().flatten() {
            check.abort();
        }
        for index in 0..self.graph.nodes.len() {
            if self.graph.is_disabled(index) {
                self.skip(index);
            } else if self.planned[index].is_none() {
                self.record_plan(index, Action::Wait, Some("not checked".into()), Upstream::Changing(None));
            }
        }
        let span = |(node, step): (&Arc<dyn Node>, &Option<Planned>)| match step.as_ref().map(|s| s.action) {
            Some(Action::Create | Action::Change | Action::Wait) => Span::After(node.typical_duration()),
            _ => Span::None,
        };
        let spans: Vec<Span> = self.graph.nodes.iter().zip(&self.planned).map(span).collect();
        let estimate = critical_path(&self.graph.sources, 0..spans.len(), &spans).duration;
        let steps = self.planned.into_iter().flatten().collect();
        Plan { steps, estimate, elapsed: self.began.elapsed() }
    }
}

fn value(node_output: Option<&NodeOutput>) -> Option<&Value> {
    node_output.map(|node_output| &node_output.value)
}

/// Checks one step, and names the existing resource if it has drifted.
async fn check(node: Arc<dyn Node>, plan_context: PlanContext, outputs: Outputs) -> CheckResult {
    let cx = Context::read_only(node.id(), &plan_context);
    let verdict = with_deadline(&*node, &cx, node.check(&cx, &outputs)).await;
    let (in_progress, notes) = cx.take_notes();
    let exists = matches!(verdict, Ok(Check::Drifted { .. } | Check::Failed { .. }));
    let recorded = plan_context
        .journal_state
        .step_state(node.id())
        .is_some_and(|step_state| step_state.output.is_some());
    let identified = match exists && !recorded {
        true => identify(&*node, &cx, &outputs).await,
        false => None,
    };
    CheckResult { verdict, in_progress, notes, identified }
}

/// Returns the output of an existing resource, owned or foreign: later steps are checked against it.
async fn identify(node: &dyn Node, cx: &Context, outputs: &Outputs) -> Option<NodeOutput> {
    match node.existing(cx, outputs).await {
        Ok(Some(existing)) => Some(existing),
        _ => node.recover(cx, outputs).await.ok().flatten(),
    }
}
