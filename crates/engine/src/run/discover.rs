//! Discovering: what is there of every step's thing, whoever created it. It reads only.

use super::{Looking, bounded};
use crate::{
    context::Context,
    error::StepError,
    graph::{Graph, Outputs},
    stop::Level,
};
use serde_json::Value;

/// What a discovery came to.
#[derive(Debug, Clone, Default)]
pub struct Discovery {
    /// The steps whose thing was found and was not remembered, sources before those who need them, with their outputs.
    pub found: Vec<(&'static str, Value)>,
    /// The steps whose thing could not be examined.
    pub errors: Vec<(&'static str, StepError)>,
}

/// Discovers what is there of the steps that nothing is remembered of, for a person who adopts it.
///
/// A remembered output is taken as it is. A step whose parents are not there is not asked. When the run is asked to
/// end, what has not been examined is left out.
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
        if graph.parents[index].iter().any(|&parent| outputs.0[parent].is_none()) {
            continue;
        }
        let cx = Context::looking(node.id(), looking);
        match bounded(&**node, &cx, node.existing(&cx, &outputs)).await {
            Ok(None) => {}
            Ok(Some(made)) => {
                outputs.0[index] = Some(made.produced);
                // What an attempt of ours was cut short at is found when it is taken away.
                if !past.is_some_and(|past| past.ours) {
                    discovery.found.push((node.id(), made.value));
                }
            }
            Err(error) => discovery.errors.push((node.id(), error)),
        }
    }
    discovery
}
