//! A simulated cluster for interactive use, which runs as long as the standard input is open:
//!
//! `PACE=20 cargo run -p landfall-sim --example interactive_cluster`

#[expect(dead_code, reason = "the tests use the rest")]
#[path = "../tests/kubectl/fixture.rs"]
mod fixture;

use fixture::Fixture;
use landfall_sim::Speed;

#[tokio::main]
async fn main() {
    let time_scale = std::env::var("PACE").ok().and_then(|time_scale| time_scale.parse().ok());
    let Some(fixture) = Fixture::at_speed(time_scale.map_or(Speed::Instant, Speed::Times)).await else {
        return;
    };
    println!("export KUBECONFIG={}", fixture.kubeconfig().display());
    let closed = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    // The input has ended, with or without an error.
    drop(closed.await);
}
