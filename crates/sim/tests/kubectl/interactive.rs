//! A cluster for interactive use, which runs as long as the standard input is open:
//!
//! `PACE=20 cargo test -p landfall-sim --test kubectl -- --ignored --nocapture interactive_cluster`

use landfall_sim::Speed;

use crate::fixture::Fixture;

#[tokio::test]
#[ignore = "it waits for a person"]
async fn interactive_cluster() {
    let time_scale = std::env::var("PACE").ok().and_then(|time_scale| time_scale.parse().ok());
    let Some(fixture) = Fixture::at_speed(time_scale.map_or(Speed::Instant, Speed::Times)).await else {
        return;
    };
    println!("export KUBECONFIG={}", fixture.kubeconfig().display());
    let closed = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    // The input has ended, with or without an error.
    drop(closed.await);
}
