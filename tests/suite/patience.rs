//! A long wait has heartbeats and a timeout.

use crate::environment::TestEnvironment;
use std::io::{BufRead, BufReader};

#[test]
fn a_pipe_hears_from_time_to_time_what_is_waited_for_how_long_so_far_and_what_is_usual() {
    let here = TestEnvironment::at_speed("10");
    let mut run = here.spawn(&["up"]);
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines().map(Result::unwrap);
    let alive =
        lines.find(|line| line.contains(" alive ")).expect("the run goes on for longer than a silence");
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(alive.contains("of 17 done; waiting for "), "{alive}");
    let (_, wait) = alive.split_once("cluster-ready (").expect("the cluster takes longest");
    let (wait, _) = wait.split_once(')').unwrap();
    let (state, figures) = wait.rsplit_once(", ").unwrap();
    assert!(!state.is_empty() && figures.ends_with(" s of about 280 s"), "{alive}");
}

#[test]
fn past_its_bound_a_wait_says_what_was_seen_last_and_how_to_go_on() {
    // At this speed polling has its minimum timeout: ten seconds.
    let here = TestEnvironment::at_speed("100000");
    let said = here.expect(1, &["up", "--fault", "unavailable@GET Microsoft.Network/locations*100000"]);
    // The line breaks do not matter here.
    let error = said.stderr.split("error: ").nth(1).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    for words in
        ["cannot read the state now", "left behind: ", "hint: run the same command again to resume the wait"]
    {
        assert!(error.contains(words), "{words}: {error}");
    }
}
