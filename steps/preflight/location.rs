//! Check that the region is available in the subscription.

use super::{PreflightCheckId, finding::Finding};
use crate::resource_group::same_region;

/// The maximum number of suggested regions.
const NAMED: usize = 8;

/// Evaluates the region with the list of available ones.
pub(super) fn evaluate(wanted: &str, listed: &[String]) -> Option<Finding> {
    if listed.is_empty() || listed.iter().any(|name| same_region(name, wanted)) {
        return None;
    }
    let mut near: Vec<&str> = listed.iter().map(String::as_str).collect();
    near.sort_by_key(|name| (distance(wanted, name), *name));
    let more = if listed.len() > NAMED { ", …" } else { "" };
    near.truncate(NAMED);
    Some(
        Finding::input(PreflightCheckId::Location, format!("use region {wanted}"))
            .code("LocationNotAvailableForResourceType")
            .cause(format!("this subscription has no region {wanted}; it has {}{more}", near.join(", ")))
            .fix(format!("set location to one of its regions; {} has a similar name", near[0])),
    )
}

/// Returns the edit distance: the letters to insert, delete or change.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.bytes().enumerate() {
        let mut corner = row[0];
        row[0] = at + 1;
        for (to, wanted) in other.bytes().enumerate() {
            let replaced = corner + usize::from(letter != wanted);
            corner = row[to + 1];
            row[to + 1] = replaced.min(row[to] + 1).min(corner + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_region_gets_a_similar_name_suggested() {
        let listed = ["eastus", "westeurope", "northeurope"].map(str::to_owned);
        assert_eq!(evaluate("East US", &listed), None);
        assert_eq!(evaluate("anywhere", &[]), None, "a list that says nothing refuses nothing");
        let finding = evaluate("westeurop", &listed).unwrap();
        assert!(finding.fix.contains("westeurope has a similar name"), "{}", finding.fix);
        assert_eq!(finding.kind, landfall_engine::Kind::Input);
    }
}
