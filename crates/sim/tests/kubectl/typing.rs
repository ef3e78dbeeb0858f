//! A cluster for interactive use, which runs as long as the standard input is open:
//!
//! `PACE=20 cargo test -p landfall-sim --test kubectl -- --ignored --nocapture a_cluster_to_type_at`

use landfall_sim::Speed;

use crate::bench::Bench;

#[tokio::test]
#[ignore = "it waits for a person"]
async fn a_cluster_to_type_at() {
    let pace = std::env::var("PACE").ok().and_then(|pace| pace.parse().ok());
    let Some(bench) = Bench::at_speed(pace.map_or(Speed::Instant, Speed::Times)).await else { return };
    println!("export KUBECONFIG={}", bench.kubeconfig().display());
    let closed = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    // The input has ended, with or without an error.
    drop(closed.await);
}
