//! The steps and their edges in graph languages.

use super::text;
use landfall_engine::StepInfo;

/// Returns the graph in Mermaid's language.
pub fn mermaid(steps: &[StepInfo]) -> String {
    let mut text = String::from("flowchart TD\n");
    for step in steps {
        let name = text::name(step.id);
        text.push_str(&format!("    {}[\"{}\"]\n", step.id, name.replace('"', "&quot;")));
    }
    for (source, step) in edges(steps) {
        text.push_str(&format!("    {source} --> {step}\n"));
    }
    text
}

/// Returns the graph in Graphviz's language.
pub fn dot(steps: &[StepInfo]) -> String {
    let mut text = String::from("digraph landfall {\n    rankdir=TB;\n    node [shape=box];\n");
    for step in steps {
        let tooltip = step.title.replace('\\', "\\\\").replace('"', "\\\"");
        let name = text::name(step.id);
        text.push_str(&format!("    \"{}\" [label=\"{name}\", tooltip=\"{tooltip}\"];\n", step.id));
    }
    for (source, step) in edges(steps) {
        text.push_str(&format!("    \"{source}\" -> \"{step}\";\n"));
    }
    text.push_str("}\n");
    text
}

fn edges(steps: &[StepInfo]) -> impl Iterator<Item = (&'static str, &'static str)> {
    steps.iter().flat_map(|step| step.after.iter().map(|source| (*source, step.id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixture;

    #[test]
    fn the_graph_as_mermaid_and_dot() {
        insta::assert_snapshot!(mermaid(&fixture::steps()[..4]), @r#"
        flowchart TD
            preflight["preflight"]
            resource-group["resource group"]
            key-vault["key vault"]
            certificate["certificate"]
            preflight --> resource-group
            resource-group --> key-vault
            key-vault --> certificate
        "#);
        insta::assert_snapshot!(dot(&fixture::steps()[..4]), @r#"
        digraph landfall {
            rankdir=TB;
            node [shape=box];
            "preflight" [label="preflight", tooltip="14 checks"];
            "resource-group" [label="resource group", tooltip="resource group rg-aks-istio-gateway-demo"];
            "key-vault" [label="key vault", tooltip="key vault kv-aks-istio-6743 in eastus"];
            "certificate" [label="certificate", tooltip="certificate gateway-tls-cert"];
            "preflight" -> "resource-group";
            "resource-group" -> "key-vault";
            "key-vault" -> "certificate";
        }
        "#);
    }
}
