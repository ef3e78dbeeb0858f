//! The plan: the walk of `up`, read-only.
//!
//! A step below a missing resource is planned as a creation without a check. A step below a drifted resource
//! is checked with the recorded value, so that one drift does not hide another.

use super::{
    bounded,
    report::{Span, critical_path},
};
use crate::{
    context::Context,
    error::StepError,
    graph::Graph,
    handle::Outputs,
    node::{Made, Node},
    run_context::Looking,
    schedule::Schedule,
    step_types::{Change, Check},
    stop::Level,
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
    pub ours: bool,
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
            ours: owned,
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
pub async fn plan(graph: &Graph, looking: &Looking) -> Plan {
    let mut walk = Walk::begin(graph, looking);
    loop {
        walk.start_what_may();
        let next = tokio::select! {
            biased;
            () = looking.stop.asked(Level::Gently) => None,
            next = walk.running.join_next() => next,
        };
        match next {
            Some(Ok((index, told))) => walk.settle(index, told),
            // A step's own panic is caught around the step, so this one is the engine's.
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            None => return walk.close(),
        }
    }
}

/// The result of a check.
struct Told {
    verdict: Result<Check<Made>, StepError>,
    on_its_way: Option<String>,
    notes: Vec<String>,
    /// The output of an existing, drifted resource, if it can be named.
    named: Option<Made>,
}

/// The state that later steps depend on.
#[derive(Clone)]
enum Ground {
    /// Its turn has not come.
    Ahead,
    /// The resource exists, with this output.
    There(Made),
    /// The resource exists and will be changed, or is in progress; with the known output.
    Moving(Option<Made>),
    /// The resource will be created.
    Missing,
    /// The step would be refused, or not run because of this step.
    Barred { by: usize },
}

struct Walk<'a> {
    graph: &'a Graph,
    looking: &'a Looking,
    began: Instant,
    schedule: Schedule,
    remembered: Vec<Option<Made>>,
    ahead: Vec<Option<JoinHandle<Told>>>,
    running: JoinSet<(usize, Told)>,
    ground: Vec<Ground>,
    planned: Vec<Option<Planned>>,
}

impl<'a> Walk<'a> {
    fn begin(graph: &'a Graph, looking: &'a Looking) -> Self {
        let decoded = |node: &Arc<dyn Node>| {
            let past = looking.memory.past(node.id())?;
            node.decode(past.output.as_ref()?)
        };
        let remembered: Vec<Option<Made>> = graph.nodes.iter().map(decoded).collect();
        let outputs =
            Outputs(remembered.iter().map(|made| made.as_ref().map(|m| m.produced.clone())).collect());
        let ahead = (0..graph.nodes.len()).map(|index| {
            let parents = &graph.parents[index];
            // A step without input values runs at once, or waits only for an ordering edge.
            let known = !parents.is_empty() && parents.iter().all(|&parent| remembered[parent].is_some());
            (known && !graph.is_disabled(index))
                .then(|| tokio::spawn(look(graph.nodes[index].clone(), looking.clone(), outputs.clone())))
        });
        Self {
            graph,
            looking,
            began: Instant::now(),
            schedule: Schedule::forward(graph.sources.clone()),
            ahead: ahead.collect(),
            remembered,
            running: JoinSet::new(),
            ground: vec![Ground::Ahead; graph.nodes.len()],
            planned: vec![None; graph.nodes.len()],
        }
    }

    fn start_what_may(&mut self) {
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
        let barred = sources.iter().find_map(|&source| match self.ground[source] {
            Ground::Barred { by } => Some(by),
            _ => None,
        });
        if let Some(by) = barred {
            let action = Action::Blocked { by: self.graph.nodes[by].id() };
            return self.decide(index, action, None, Ground::Barred { by });
        }
        let mut outputs = Outputs(vec![None; self.graph.nodes.len()]);
        let mut as_remembered = true;
        for &parent in &self.graph.parents[index] {
            let made = match &self.ground[parent] {
                Ground::There(made) | Ground::Moving(Some(made)) => made,
                Ground::Missing => return self.decide(index, Action::Create, None, Ground::Missing),
                _ => return self.decide(index, Action::Wait, None, Ground::Moving(None)),
            };
            as_remembered &= value(self.remembered[parent].as_ref()) == Some(&made.value);
            outputs.0[parent] = Some(made.produced.clone());
        }
        let (node, looking) = (self.graph.nodes[index].clone(), self.looking.clone());
        let ahead = self.ahead[index].take().filter(|_| as_remembered);
        self.running.spawn(async move {
            match ahead {
                Some(ahead) => match ahead.await {
                    Ok(told) => (index, told),
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                },
                None => (index, look(node, looking, outputs).await),
            }
        });
    }

    /// Lists a disabled step if an earlier run created its resource.
    fn skip(&mut self, index: usize) {
        let node = &self.graph.nodes[index];
        if self.looking.memory.past(node.id()).is_some_and(|past| past.ours) {
            self.planned[index] = Some(Planned::new(&**node, Action::Disabled, None, Vec::new(), true));
        }
    }

    /// Records the result of a check.
    fn settle(&mut self, index: usize, told: Told) {
        let waits = self.graph.sources[index].iter().any(|&source| !self.is_done(source));
        let known = told.named.or_else(|| self.remembered[index].clone());
        let (action, changes, why, error, ground) = match (told.verdict, told.on_its_way) {
            (Ok(Check::Ready(made)), _) => (Action::Ok, Vec::new(), None, None, Ground::There(made)),
            (Ok(Check::Missing), _) => (Action::Create, Vec::new(), None, None, Ground::Missing),
            (Ok(Check::Differs { changes }), _) => {
                (Action::Change, changes, None, None, Ground::Moving(known))
            }
            (Ok(Check::Broken { why }), _) => {
                (Action::Change, Vec::new(), Some(why), None, Ground::Moving(known))
            }
            (Ok(Check::Underway), why) => (Action::Wait, Vec::new(), why, None, Ground::Moving(known)),
            (Err(_), Some(state)) => (Action::Wait, Vec::new(), Some(state), None, Ground::Moving(known)),
            (Ok(Check::Foreign { why }), _) => {
                (Action::Refuse, Vec::new(), Some(why), None, Ground::Barred { by: index })
            }
            (Ok(Check::Refused { error }), _) => {
                (Action::Refuse, Vec::new(), None, Some(error), Ground::Barred { by: index })
            }
            // Its dependencies are not done: the check may be refused for that reason alone.
            (Err(_), None) if waits => (Action::Wait, Vec::new(), None, None, Ground::Moving(known)),
            (Err(error), None) => {
                (Action::Refuse, Vec::new(), None, Some(error), Ground::Barred { by: index })
            }
        };
        self.decide(index, action, why, ground);
        if let Some(planned) = &mut self.planned[index] {
            (planned.changes, planned.error, planned.notes) = (changes, error, told.notes);
        }
    }

    fn is_done(&self, index: usize) -> bool {
        self.graph.is_disabled(index)
            || self.planned[index].as_ref().is_some_and(|planned| planned.action == Action::Ok)
    }

    fn decide(&mut self, index: usize, action: Action, why: Option<String>, ground: Ground) {
        let node = &self.graph.nodes[index];
        let open = |&&source: &&usize| !self.is_done(source);
        let after = match action {
            Action::Ok => Vec::new(),
            _ => {
                let open = self.graph.sources[index].iter().filter(open);
                open.map(|&source| self.graph.nodes[source].id()).collect()
            }
        };
        let owned = self.looking.memory.past(node.id()).is_some_and(|past| past.ours);
        self.planned[index] = Some(Planned::new(&**node, action, why, after, owned));
        self.ground[index] = ground;
        self.schedule.finish(index);
    }

    fn close(mut self) -> Plan {
        for look in self.ahead.iter().flatten() {
            look.abort();
        }
        for index in 0..self.graph.nodes.len() {
            if self.graph.is_disabled(index) {
                self.skip(index);
            } else if self.planned[index].is_none() {
                self.decide(index, Action::Wait, Some("not checked".into()), Ground::Moving(None));
            }
        }
        let span = |(node, step): (&Arc<dyn Node>, &Option<Planned>)| match step.as_ref().map(|s| s.action) {
            Some(Action::Create | Action::Change | Action::Wait) => Span::After(node.usual()),
            _ => Span::None,
        };
        let spans: Vec<Span> = self.graph.nodes.iter().zip(&self.planned).map(span).collect();
        let estimate = critical_path(&self.graph.sources, 0..spans.len(), &spans);
        let steps = self.planned.into_iter().flatten().collect();
        Plan { steps, estimate, elapsed: self.began.elapsed() }
    }
}

fn value(made: Option<&Made>) -> Option<&Value> {
    made.map(|made| &made.value)
}

/// Checks one step, and names the existing resource if it has drifted.
async fn look(node: Arc<dyn Node>, looking: Looking, outputs: Outputs) -> Told {
    let cx = Context::looking(node.id(), &looking);
    let verdict = bounded(&*node, &cx, node.check(&cx, &outputs)).await;
    let (on_its_way, notes) = cx.take_told();
    let stands = matches!(verdict, Ok(Check::Differs { .. } | Check::Broken { .. }));
    let remembered = looking.memory.past(node.id()).is_some_and(|past| past.output.is_some());
    let named = match stands && !remembered {
        true => node.recover(&cx, &outputs).await.ok().flatten(),
        false => None,
    };
    Told { verdict, on_its_way, notes, named }
}
