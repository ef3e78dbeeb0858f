//! Check of the core quota, for the autoscaler's maximum and an upgrade's surge nodes.

use super::{PreflightCheckId, finding::Finding};
use crate::settings::Settings;
use landfall_cloud::arm::{MachineSize, Usage};

/// The usage row of all cores together.
pub(super) const ALL: &str = "cores";

/// Returns the number of surge nodes of an upgrade: a tenth of the pool, rounded up.
/// <https://learn.microsoft.com/azure/aks/upgrade-aks-node-pools-rolling#customize-node-surge-upgrade>
const fn surge(nodes: u64) -> u64 {
    nodes.div_ceil(10)
}

/// Returns the cores that the cluster may need; `None` if those of the size are unknown.
pub(super) fn cores_needed(s: &Settings, size: &MachineSize) -> Option<u64> {
    let max_nodes = u64::from(s.cluster.nodes_max);
    size.cores.filter(|cores| *cores > 0).map(|cores| cores * (max_nodes + surge(max_nodes)))
}

/// Evaluates both limits: that of the family and that of all families together.
pub(super) fn evaluate(s: &Settings, size: &MachineSize, usages: &[Usage]) -> Vec<Finding> {
    let Some(cores) = size.cores.filter(|cores| *cores > 0) else { return Vec::new() };
    let rows = [(PreflightCheckId::Quota, size.family.as_str()), (PreflightCheckId::RegionalQuota, ALL)];
    let findings = rows.into_iter().filter_map(|(check_id, row)| {
        let usage = usages.iter().find(|usage| usage.name.eq_ignore_ascii_case(row))?;
        evaluate_row(check_id, s, cores, usage)
    });
    findings.collect()
}

fn evaluate_row(check_id: PreflightCheckId, s: &Settings, cores: u64, usage: &Usage) -> Option<Finding> {
    let max_nodes = u64::from(s.cluster.nodes_max);
    let needed = cores * (max_nodes + surge(max_nodes));
    if needed <= usage.remaining() {
        return None;
    }
    let (label, location) = (&usage.label, &s.location);
    let used = if usage.used > 0 { format!(" with {} in use", usage.used) } else { String::new() };
    let plus = match surge(max_nodes) {
        1 => "one".to_owned(),
        more => more.to_string(),
    };
    Some(
        Finding::refused(check_id, format!("allocate the cores for {max_nodes} nodes in {location}"))
            .code("QuotaExceeded")
            .cause(format!(
                "{label} in {location} allows {}{used}, but {needed} are needed (nodes_max {max_nodes} plus \
                 {plus} for upgrades)",
                usage.limit
            ))
            .fix(fix(s, cores, usage.remaining()))
            .for_a_new_cluster(),
    )
}

/// Returns the remedy: the number of nodes that fit, if any.
fn fix(s: &Settings, cores: u64, left: u64) -> String {
    const ALTERNATIVES: &str = "choose another cluster.node_size or region, or request a quota increase: \
                        https://aka.ms/quota";
    let nodes = left / cores;
    let fits = (1..=nodes).rev().find(|max_nodes| max_nodes + surge(*max_nodes) <= nodes);
    match fits {
        None => ALTERNATIVES.to_owned(),
        Some(fits) if fits < u64::from(s.cluster.nodes) => {
            format!("set cluster.nodes and cluster.nodes_max to {fits}, {ALTERNATIVES}")
        }
        Some(fits) => format!("set cluster.nodes_max to {fits}, {ALTERNATIVES}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::node_size::tests::size;
    use super::*;

    fn usage(name: &str, label: &str, used: u64, limit: u64) -> Usage {
        Usage { name: name.to_owned(), label: label.to_owned(), used, limit }
    }

    fn family(used: u64, limit: u64) -> Vec<Finding> {
        let s = crate::settings::tests::settings();
        let usages = [usage("standardDSv5Family", "Standard DSv5 Family vCPUs", used, limit)];
        evaluate(&s, &size("Standard_D4s_v5", 4, None), &usages)
    }

    #[test]
    fn the_most_nodes_and_one_for_upgrades_must_fit() {
        assert_eq!(family(0, 16), []);
        let findings = family(0, 10);
        assert_eq!(
            findings[0].causes,
            [
                "Standard DSv5 Family vCPUs in eastus allows 10, but 16 are needed (nodes_max 3 plus one for upgrades)"
            ]
        );
        assert!(findings[0].fix.starts_with("set cluster.nodes and cluster.nodes_max to 1, choose another"));
        assert!(family(4, 16)[0].causes[0].contains("allows 16 with 4 in use"));
        assert!(family(4, 16)[0].fix.starts_with("set cluster.nodes_max to 2"));
        assert!(family(10, 10)[0].fix.starts_with("choose another"), "no node fits");
    }

    #[test]
    fn all_cores_together_are_a_limit_of_their_own() {
        let s = crate::settings::tests::settings();
        let usages = [
            usage("cores", "Total Regional vCPUs", 90, 100),
            usage("standardDSv5Family", "Standard DSv5 Family vCPUs", 0, 100),
        ];
        let findings = evaluate(&s, &size("Standard_D4s_v5", 4, None), &usages);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].check_id, PreflightCheckId::RegionalQuota);
    }

    #[test]
    fn an_upgrade_adds_a_tenth() {
        assert_eq!([1, 10, 11, 100].map(surge), [1, 1, 2, 10]);
    }
}
