//! The registry of ExternalDNS: the TXT record beside an A record, which names its owner.
//!
//! The registry's name for the zone itself lies outside of the zone. So ExternalDNS never changes a record of the zone
//! itself again, and landfall keeps those. Source: kubernetes-sigs/external-dns v0.21, TXT registry.

use landfall_cloud::arm::Record;

/// The label that replaces a wildcard, as the operator configures it.
const WILDCARD: &str = "approutingwildcard";

/// Returns the name of the TXT record of an A record, relative to the zone; `None` for the zone itself.
pub(super) fn name(record: &str) -> Option<String> {
    (record != "@").then(|| match record.strip_prefix('*') {
        Some(rest) => format!("a-{WILDCARD}{rest}"),
        None => format!("a-{record}"),
    })
}

/// Returns the text with which ExternalDNS recognizes a record as its own.
pub(super) fn text(owner: &str, route: &str) -> String {
    format!("\"heritage=external-dns,external-dns/owner={owner},external-dns/resource=httproute/{route}\"")
}

/// Returns the owner in a text of the registry.
pub(super) fn owner_in(text: &str) -> Option<&str> {
    let text = text.trim_matches('"').strip_prefix("heritage=external-dns,")?;
    text.split(',').find_map(|part| part.strip_prefix("external-dns/owner="))
}

/// Returns the owner of an A record, by the record sets of its zone.
pub(super) fn owner(sets: &[Record], record: &str) -> Option<String> {
    let name = name(record)?;
    let texts = sets.iter().filter(|set| set.kind == "TXT" && set.is_named(&name));
    texts.flat_map(|set| &set.values).find_map(|text| owner_in(text)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_its_registry_beside_it_except_that_of_the_zone() {
        let names = ["app", "*", "*.shop", "@"].map(name);
        assert_eq!(
            names.each_ref().map(Option::as_deref),
            [Some("a-app"), Some("a-approutingwildcard"), Some("a-approutingwildcard.shop"), None]
        );
        assert_eq!(owner_in(&text("cluster-1", "default/web")), Some("cluster-1"));
        assert_eq!(owner_in("v=spf1 -all"), None);
    }
}
