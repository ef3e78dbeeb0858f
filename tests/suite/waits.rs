//! A long wait has heartbeats and a timeout.

use crate::environment::TestEnvironment;
use std::io::{BufRead, BufReader};

#[test]
fn a_pipe_gets_heartbeats_with_elapsed_and_typical_duration() {
    let env = TestEnvironment::at_speed("10");
    let mut run = env.spawn(&["up"]);
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines().map(Result::unwrap);
    let heartbeat =
        lines.find(|line| line.contains(" alive ")).expect("the run goes on for longer than a silence");
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(heartbeat.contains("of 19 done; waiting for "), "{heartbeat}");
    let (_, wait) = heartbeat.split_once("cluster-ready (").expect("the cluster takes longest");
    let (wait, _) = wait.split_once(')').unwrap();
    let (state, figures) = wait.rsplit_once(", ").unwrap();
    assert!(!state.is_empty() && figures.ends_with(" s of about 280 s"), "{heartbeat}");
}

#[test]
fn a_timed_out_wait_reports_the_last_state_and_the_remedy() {
    // At this speed polling has its minimum timeout: ten seconds.
    let env = TestEnvironment::at_speed("100000");
    let output = env.expect(1, &["up", "--fault", "unavailable@GET Microsoft.Network/locations*100000"]);
    // The line breaks do not matter here.
    let error =
        output.stderr.split("error: ").nth(1).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    for fragment in
        ["cannot read the state now", "left behind: ", "hint: run the same command again to resume the wait"]
    {
        assert!(error.contains(fragment), "{fragment}: {error}");
    }
}
