//! Read-only discovery of every step's resource, whoever created it.

use super::bounded;
use crate::{
    context::Context, error::StepError, graph::Graph, handle::Outputs, run_context::Looking, stop::Level,
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
pub async fn discover(graph: &Graph, looking: &Looking) -> Discovery {
    let mut discovery = Discovery::default();
    let mut outputs = Outputs(vec![None; graph.nodes.len()]);
    for (index, node) in graph.nodes.iter().enumerate() {
        if looking.stop.level() >= Level::Gently {
            break;
        }
        let past = looking.memory.past(node.id());
        let remembered = past.and_then(|past| node.decode(past.output.as_ref()?));
        if let Some(made) = remembered {
            outputs.0[index] = Some(made.produced);
            continue;
        }
        if graph.is_disabled(index) || graph.parents[index].iter().any(|&parent| outputs.0[parent].is_none())
        {
            continue;
        }
        let cx = Context::looking(node.id(), looking);
        match bounded(&**node, &cx, node.existing(&cx, &outputs)).await {
            Ok(None) => {}
            Ok(Some(made)) => {
                outputs.0[index] = Some(made.produced);
                // The teardown finds what an interrupted creation left.
                if !past.is_some_and(|past| past.ours) {
                    discovery.found.push((node.id(), made.value));
                }
            }
            Err(error) => discovery.errors.push((node.id(), error)),
        }
    }
    discovery
}
