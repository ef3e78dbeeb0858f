//! Check that the node size is available to the subscription in the region.

use super::{PreflightCheckId, finding::Finding};
use crate::settings::Settings;
use landfall_cloud::arm::MachineSize;

/// The maximum number of suggested sizes.
const NAMED: usize = 4;

/// Returns the desired size, compared without case.
pub(super) fn of<'a>(s: &Settings, sizes: &'a [MachineSize]) -> Option<&'a MachineSize> {
    sizes.iter().find(|size| size.name.eq_ignore_ascii_case(&s.cluster.node_size))
}

/// Evaluates the size with the list of available ones. An empty list proves nothing.
pub(super) fn evaluate(s: &Settings, sizes: &[MachineSize]) -> Option<Finding> {
    let (wanted, location) = (&s.cluster.node_size, &s.location);
    let action = format!("create nodes of {wanted} in {location}");
    let found = of(s, sizes);
    let finding = match found {
        _ if sizes.is_empty() => return None,
        None => Finding::input(PreflightCheckId::NodeSize, action)
            .cause(format!("{location} has no size {wanted}")),
        Some(MachineSize { restriction: Some(why), .. }) => {
            Finding::refused(PreflightCheckId::NodeSize, action)
                .cause(format!("this subscription may not use {wanted} in {location}: {why}"))
        }
        Some(_) => return None,
    };
    let others = others(found.and_then(|size| size.cores), sizes);
    let such = if others.is_empty() { String::new() } else { format!(", such as {}", others.join(", ")) };
    let fix = format!("set cluster.node_size (NODE_SIZE) to an available size{such}");
    Some(finding.code("VMSizeNotSupported").fix(fix).for_a_new_cluster())
}

/// Returns available sizes with the same number of cores, if that is known. The system pods need four.
fn others(cores: Option<u64>, sizes: &[MachineSize]) -> Vec<&str> {
    let cores = cores.unwrap_or(4);
    let fits = |size: &&MachineSize| size.restriction.is_none() && size.cores == Some(cores);
    let mut names: Vec<&str> = sizes.iter().filter(fits).map(|size| size.name.as_str()).collect();
    // A newer generation has the higher number, and general-purpose sizes begin with D.
    names.sort_by_key(|name| (!name.starts_with("Standard_D"), std::cmp::Reverse(generation(name)), *name));
    names.truncate(NAMED);
    names
}

/// Returns the generation, for example 5 from `Standard_D4s_v5`.
fn generation(name: &str) -> u32 {
    name.rsplit_once("_v").and_then(|(_, number)| number.parse().ok()).unwrap_or(1)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use landfall_engine::Kind;

    /// Returns a size for the tests.
    pub(in super::super) fn size(name: &str, cores: u64, restriction: Option<&str>) -> MachineSize {
        MachineSize {
            name: name.to_owned(),
            family: "standardDSv5Family".to_owned(),
            cores: Some(cores),
            restriction: restriction.map(str::to_owned),
        }
    }

    #[test]
    fn a_size_that_does_not_exist_is_input_and_a_withheld_one_is_refused() {
        let s = crate::settings::tests::settings();
        let others = [size("Standard_D4s_v4", 4, None), size("Standard_D4as_v5", 4, None)];
        let none = evaluate(&s, &others).unwrap();
        assert_eq!(none.kind, Kind::Input);
        assert!(none.fix.ends_with("such as Standard_D4as_v5, Standard_D4s_v4"), "{}", none.fix);
        let restriction = [size("STANDARD_D4S_V5", 4, Some("NotAvailableForSubscription"))];
        let refused = evaluate(&s, &restriction).unwrap();
        assert_eq!(refused.kind, Kind::Refused);
        assert!(refused.causes[0].ends_with("NotAvailableForSubscription"));
        assert_eq!(evaluate(&s, &[size("standard_d4s_v5", 4, None)]), None);
        assert_eq!(evaluate(&s, &[]), None);
    }
}
