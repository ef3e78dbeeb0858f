//! Settings that changed after the creation of the environment: none of its resources is forgotten.

use crate::environment::TestEnvironment;

#[test]
fn down_takes_away_what_was_made_whatever_the_settings_say_by_now() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up", "--resource-group", "rg-foo", "--cluster", "mycl"]);
    here.expect(0, &["down", "--yes"]);
    assert_eq!(here.count("DELETE", "/resourcegroups/rg-foo"), 4, "{:#?}", here.ledger());
    assert_eq!(here.count("DELETE", "/managedClusters/mycl"), 1);
}

#[test]
fn up_under_other_names_is_refused_and_touches_nothing() {
    let here = TestEnvironment::instant();
    here.expect(0, &["up", "--resource-group", "rg-foo"]);
    let before = here.ledger().len();
    let said = here.expect(2, &["up"]);
    for word in ["resource_group", "rg-foo", "--environment"] {
        assert!(said.stderr.contains(word), "{word}: {}", said.stderr);
    }
    assert_eq!(here.ledger().len(), before);
}
