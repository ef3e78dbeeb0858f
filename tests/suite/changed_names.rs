//! Settings that changed after the creation of the environment: none of its resources is forgotten.

use crate::environment::TestEnvironment;

#[test]
fn down_deletes_the_recorded_resources_whatever_the_settings_are() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up", "--resource-group", "rg-foo", "--cluster", "mycl"]);
    env.expect(0, &["down", "--yes"]);
    assert_eq!(env.count("DELETE", "/resourcegroups/rg-foo"), 5, "{:#?}", env.request_log());
    assert_eq!(env.count("DELETE", "/managedClusters/mycl"), 1);
}

#[test]
fn up_under_other_names_is_refused_and_changes_nothing() {
    let env = TestEnvironment::instant();
    env.expect(0, &["up", "--resource-group", "rg-foo"]);
    let before = env.request_log().len();
    let output = env.expect(2, &["up"]);
    for word in ["resource_group", "rg-foo", "--environment"] {
        assert!(output.stderr.contains(word), "{word}: {}", output.stderr);
    }
    assert_eq!(env.request_log().len(), before);
}
