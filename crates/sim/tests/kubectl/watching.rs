//! Long-running commands: waits, watches, rollouts, logs, deletions.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::fixture::Fixture;
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
async fn kubectl_waits_until_a_gateway_is_programmed() {
    let Some(fixture) = Fixture::at_speed(Speed::Times(20.0)).await else { return };
    fixture.kubectl_with("apply -f -", WEB).await.fine();
    let mut watch = fixture.begin("get gateway web -n demo -w");
    let mut seen = lines(&mut watch);
    assert_eq!(until(&mut seen, "NAME").await.split_whitespace().nth(3), Some("PROGRAMMED"));
    let rollout = fixture.kubectl("rollout status deploy/web -n demo --timeout=60s").await;
    assert!(rollout.fine().ends_with("deployment \"web\" successfully rolled out\n"), "{}", rollout.out);
    let waited = fixture.kubectl("wait --for=condition=Programmed gateway/web -n demo --timeout=60s").await;
    assert_eq!(waited.fine(), "gateway.gateway.networking.k8s.io/web condition met\n");
    assert!(until(&mut seen, " True ").await.contains("127.0.0.11"));
    let never = fixture.kubectl("wait --for=condition=Nonsense gateway/web -n demo --timeout=1s").await;
    assert!(never.refused().contains("timed out waiting for the condition"), "{}", never.err);
}

#[tokio::test]
async fn kubectl_waits_for_a_deletion_with_its_dependents() {
    let Some(fixture) = Fixture::at_speed(Speed::Times(20.0)).await else { return };
    fixture.kubectl_with("apply -f -", WEB).await.fine();
    fixture.kubectl("wait --for=condition=Programmed gateway/web -n demo --timeout=60s").await.fine();
    let deleted = fixture.kubectl("delete gateway web -n demo").await;
    assert!(
        deleted.fine().starts_with("gateway.gateway.networking.k8s.io \"web\" deleted"),
        "{}",
        deleted.out
    );
    let deletion =
        fixture.kubectl("wait --for=delete service/web-approuting-istio -n demo --timeout=60s").await;
    assert_eq!(deletion.code, 0, "its load balancer lets go of it: {}", deletion.err);
    assert_eq!(fixture.kubectl("get deploy -n demo -o name").await.fine(), "deployment.apps/web\n");
    fixture.kubectl("delete ns demo").await.fine();
    fixture.kubectl("get ns demo").await.refused();
    fixture.kubectl("wait --for=delete ns/demo --timeout=5s").await.fine();
}

#[tokio::test]
async fn logs_are_read_by_name_by_label_and_from_their_end() {
    let Some(fixture) = Fixture::open().await else { return };
    fixture.kubectl_with("apply -f -", WEB).await.fine();
    let istiod = fixture.kubectl("logs -n aks-istio-system -l app=istiod --tail=50").await;
    for part in [
        "gatewayclass approuting-istio: Accepted is True",
        "gateway demo/web: Programmed is True (Programmed): Resource programmed",
        "httproute demo/web at web: Accepted is True",
    ] {
        assert!(istiod.fine().contains(part), "{part}\n{}", istiod.out);
    }
    let tail = fixture.kubectl("logs -n aks-istio-system -l app=istiod --tail=1 --prefix").await;
    assert_eq!(tail.fine().lines().count(), 2);
    assert!(tail.out.starts_with("[pod/istiod-"), "{}", tail.out);
    let proxy = fixture.kubectl("logs -n demo deploy/web-approuting-istio --timestamps").await;
    assert!(proxy.fine().contains("listener http is served on port 80"), "{}", proxy.out);
    let app = fixture.kubectl("logs -n demo deploy/web -c web").await;
    assert!(
        app.fine().contains("container web runs mcr.microsoft.com/azuredocs/aks-helloworld:v1"),
        "{}",
        app.out
    );
    let wrong = fixture.kubectl("logs -n demo deploy/web -c nope").await;
    assert!(wrong.refused().contains("container nope is not valid for pod web-"), "{}", wrong.err);
    let previous = fixture.kubectl("logs -n demo deploy/web --previous").await;
    assert!(previous.refused().contains("previous terminated container \"web\""), "{}", previous.err);
}

#[tokio::test]
async fn a_followed_log_continues_and_ends_with_its_pod() {
    let Some(fixture) = Fixture::open().await else { return };
    let istiod = fixture.kubectl("get pods -n aks-istio-system -o name").await;
    let leader = istiod.fine().lines().next().unwrap().to_owned();
    let mut follow = fixture.begin(&format!("logs -f -n aks-istio-system {leader}"));
    let mut output = lines(&mut follow);
    until(&mut output, "elected leader").await;
    fixture.kubectl_with("apply -f -", WEB).await.fine();
    until(&mut output, "gateway demo/web: Programmed is True").await;
    fixture.kubectl(&format!("delete -n aks-istio-system {leader}")).await.fine();
    while output.next_line().await.unwrap().is_some() {}
    assert!(follow.wait().await.unwrap().success());
}

const JOB: &str = r#"
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  completions: 3
  parallelism: 3
  completionMode: Indexed
  backoffLimitPerIndex: 0
  podFailurePolicy:
    rules:
    - {action: FailIndex, onExitCodes: {containerName: main, operator: In, values: [3]}}
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: registry.test/worker:1
        args: ["-c", "echo index $JOB_COMPLETION_INDEX; test $JOB_COMPLETION_INDEX != 1 || exit 3"]
"#;

#[tokio::test]
async fn kubectl_shows_a_job_whose_pods_really_run() {
    let Some(fixture) = Fixture::with_image("registry.test/worker").await else { return };
    fixture.kubectl_with("apply --server-side -f -", JOB).await.fine();
    fixture.kubectl("wait --for=condition=Failed job/once --timeout=60s").await.fine();
    assert_eq!(fixture.kubectl("get jobs").await.rows()[1], "once | Failed | 2/3 | * | *");
    let described = fixture.kubectl("describe job once").await;
    for part in ["Completed Indexes:", "0,2", "Pods Statuses:", "2 Succeeded / 1 Failed", "FailedIndexes"] {
        assert!(described.fine().contains(part), "{part}: {}", described.out);
    }
    let log = fixture.kubectl("logs -l batch.kubernetes.io/job-completion-index=1").await;
    assert_eq!(log.fine(), "index 1\n");
    fixture.kubectl("delete job once").await.fine();
    let rest = fixture.kubectl("get pods -o name").await;
    assert_eq!(rest.fine(), "");
}
