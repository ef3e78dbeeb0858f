//! Read-only discovery of every step's resource, owned or foreign.

use super::with_deadline;
use crate::{
    context::Context, error::StepError, graph::Graph, handle::Outputs, run_context::PlanContext,
    stop::StopLevel,
};
use serde_json::Value;

/// The result of a discovery.
#[derive(Debug, Clone, Default)]
pub struct Discovery {
    /// The steps whose resource was found without a record, dependencies first, with their outputs.
    pub found: Vec<(&'static str, Value)>,
    /// The steps whose resource could not be examined.
    pub errors: Vec<(&'static str, StepError)>,
}

/// Finds the resources of the steps without a record, for a person who adopts them.
///
/// Uses a recorded output without a check. Skips a step whose parents do not exist. If the run is stopped,
/// omits the steps that it has not examined.
pub async fn discover(graph: &Graph, plan_context: &PlanContext) -> Discovery {
    let mut discovery = Discovery::default();
    let mut outputs = Outputs(vec![None; graph.nodes.len()]);
    for (index, node) in graph.nodes.iter().enumerate() {
        if plan_context.stop.level() >= StopLevel::Graceful {
            break;
        }
        let step_state = plan_context.journal_state.step_state(node.id());
        let recorded = step_state.and_then(|step_state| node.decode(step_state.output.as_ref()?));
        if let Some(node_output) = recorded {
            outputs.0[index] = Some(node_output.produced);
            continue;
        }
        if graph.is_disabled(index) || graph.parents[index].iter().any(|&parent| outputs.0[parent].is_none())
        {
            continue;
        }
        let cx = Context::read_only(node.id(), plan_context);
        match with_deadline(&**node, &cx, node.existing(&cx, &outputs)).await {
            Ok(None) => {}
            Ok(Some(node_output)) => {
                outputs.0[index] = Some(node_output.produced);
                // The teardown finds what an interrupted creation left.
                if !step_state.is_some_and(|step_state| step_state.owned) {
                    discovery.found.push((node.id(), node_output.value));
                }
            }
            Err(error) => discovery.errors.push((node.id(), error)),
        }
    }
    discovery
}
