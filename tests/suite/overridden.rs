//! Values that another party overrides: the user reads which party, and no later run writes them again.

use crate::environment::TestEnvironment;

/// Returns a text with single spaces, so that a wrapped sentence can be searched for.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_policy_that_rewrites_a_tag() {
    let env = TestEnvironment::instant();
    let up = unwrapped(&env.expect(0, &["up", "--sim-fault", "policy-modifies"]).stderr);
    let warning = "Warning: resource group rg-aks-istio-gateway-demo: tags.Environment is Production, not Demo, \
                   probably because of Azure Policy assignment environment-tag (effect modify)";
    assert!(up.contains(warning), "{up}");
    let writes = || env.count("PUT", "/resourcegroups/");
    let before = writes();
    let plan = unwrapped(&env.expect(0, &["plan", "--detailed-exitcode"]).stdout);
    assert!(plan.contains("tags.Environment is Production, not Demo"), "{plan}");
    env.expect(0, &["up"]);
    assert_eq!(writes(), before, "nothing is written again");
    env.expect(0, &["--yes", "down"]);
}
