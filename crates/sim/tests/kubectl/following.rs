//! Long-running commands: waits, watches, rollouts, logs, deletions.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::bench::Bench;
use crate::manifest::WEB;
use landfall_sim::Speed;

fn lines(child: &mut Child) -> Lines<BufReader<ChildStdout>> {
    BufReader::new(child.stdout.take().unwrap()).lines()
}

async fn until(lines: &mut Lines<BufReader<ChildStdout>>, part: &str) -> String {
    loop {
        let line = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("it ended without {part}"));
        if line.contains(part) {
            return line;
        }
    }
}

#[tokio::test]
async fn a_gateway_is_waited_for_while_it_comes_up() {
    let Some(bench) = Bench::at_speed(Speed::Times(20.0)).await else { return };
    bench.kubectl_with("apply -f -", WEB).await.fine();
    let mut watch = bench.begin("get gateway web -n demo -w");
    let mut seen = lines(&mut watch);
    assert_eq!(until(&mut seen, "NAME").await.split_whitespace().nth(3), Some("PROGRAMMED"));
    let rollout = bench.kubectl("rollout status deploy/web -n demo --timeout=60s").await;
    assert!(rollout.fine().ends_with("deployment \"web\" successfully rolled out\n"), "{}", rollout.out);
    let waited = bench.kubectl("wait --for=condition=Programmed gateway/web -n demo --timeout=60s").await;
    assert_eq!(waited.fine(), "gateway.gateway.networking.k8s.io/web condition met\n");
    assert!(until(&mut seen, " True ").await.contains("127.0.0.11"));
    let never = bench.kubectl("wait --for=condition=Nonsense gateway/web -n demo --timeout=1s").await;
    assert!(never.refused().contains("timed out waiting for the condition"), "{}", never.err);
}

#[tokio::test]
async fn a_deletion_is_waited_for_and_takes_everything_along() {
    let Some(bench) = Bench::at_speed(Speed::Times(20.0)).await else { return };
    bench.kubectl_with("apply -f -", WEB).await.fine();
    bench.kubectl("wait --for=condition=Programmed gateway/web -n demo --timeout=60s").await.fine();
    let deleted = bench.kubectl("delete gateway web -n demo").await;
    assert!(
        deleted.fine().starts_with("gateway.gateway.networking.k8s.io \"web\" deleted"),
        "{}",
        deleted.out
    );
    let gone = bench.kubectl("wait --for=delete service/web-approuting-istio -n demo --timeout=60s").await;
    assert_eq!(gone.code, 0, "its load balancer lets go of it: {}", gone.err);
    assert_eq!(bench.kubectl("get deploy -n demo -o name").await.fine(), "deployment.apps/web\n");
    bench.kubectl("delete ns demo").await.fine();
    bench.kubectl("get ns demo").await.refused();
    bench.kubectl("wait --for=delete ns/demo --timeout=5s").await.fine();
}

#[tokio::test]
async fn logs_are_read_by_name_by_label_and_from_their_end() {
    let Some(bench) = Bench::open().await else { return };
    bench.kubectl_with("apply -f -", WEB).await.fine();
    let istiod = bench.kubectl("logs -n aks-istio-system -l app=istiod --tail=50").await;
    for part in [
        "gatewayclass approuting-istio: Accepted is True",
        "gateway demo/web: Programmed is True (Programmed): Resource programmed",
        "httproute demo/web at web: Accepted is True",
    ] {
        assert!(istiod.fine().contains(part), "{part}\n{}", istiod.out);
    }
    let tail = bench.kubectl("logs -n aks-istio-system -l app=istiod --tail=1 --prefix").await;
    assert_eq!(tail.fine().lines().count(), 2);
    assert!(tail.out.starts_with("[pod/istiod-"), "{}", tail.out);
    let proxy = bench.kubectl("logs -n demo deploy/web-approuting-istio --timestamps").await;
    assert!(proxy.fine().contains("listener http is served on port 80"), "{}", proxy.out);
    let app = bench.kubectl("logs -n demo deploy/web -c web").await;
    assert!(
        app.fine().contains("container web runs mcr.microsoft.com/azuredocs/aks-helloworld:v1"),
        "{}",
        app.out
    );
    let wrong = bench.kubectl("logs -n demo deploy/web -c nope").await;
    assert!(wrong.refused().contains("container nope is not valid for pod web-"), "{}", wrong.err);
    let previous = bench.kubectl("logs -n demo deploy/web --previous").await;
    assert!(previous.refused().contains("previous terminated container \"web\""), "{}", previous.err);
}

#[tokio::test]
async fn a_followed_log_goes_on_and_ends_with_its_pod() {
    let Some(bench) = Bench::open().await else { return };
    let istiod = bench.kubectl("get pods -n aks-istio-system -o name").await;
    let leader = istiod.fine().lines().next().unwrap().to_owned();
    let mut follow = bench.begin(&format!("logs -f -n aks-istio-system {leader}"));
    let mut said = lines(&mut follow);
    until(&mut said, "elected leader").await;
    bench.kubectl_with("apply -f -", WEB).await.fine();
    until(&mut said, "gateway demo/web: Programmed is True").await;
    bench.kubectl(&format!("delete -n aks-istio-system {leader}")).await.fine();
    while said.next_line().await.unwrap().is_some() {}
    assert!(follow.wait().await.unwrap().success());
}
