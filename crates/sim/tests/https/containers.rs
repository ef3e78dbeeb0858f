//! Pods whose containers really run, as processes of this machine.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use landfall_sim::{Options, Speed};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Client, options, token};

const GROUP: &str = "/resourceGroups/rg";
const CLUSTER: &str = "/providers/Microsoft.ContainerService/managedClusters/aks-demo";
const VERSION: &str = "api-version=2026-06-01";
const IMAGE: &str =
    "registry.test/team/worker:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const JOB: &str = "/apis/batch/v1/namespaces/default/jobs/once";
const PODS: &str = "/api/v1/namespaces/default/pods";
/// The longest wait for a process.
const WAIT_MAX: Duration = Duration::from_secs(60);

fn with_shell() -> Options {
    let shell = ("registry.test/team/worker".to_owned(), PathBuf::from("/bin/sh"));
    Options { images: [shell].into(), ..options(Speed::Instant) }
}

/// A cluster in a cloud in which an image is the shell of this machine.
struct Cluster {
    client: Client,
    /// The address of its API server, and the token of its user.
    server: String,
    user: String,
}

impl Cluster {
    async fn create() -> Self {
        let client = Client::open(with_shell()).await;
        client.group().await;
        let body = json!({
            "location": "eastus", "identity": {"type": "SystemAssigned"},
            "properties": {
                "dnsPrefix": "demo",
                "agentPoolProfiles": [{
                    "name": "nodepool1", "mode": "System", "type": "VirtualMachineScaleSets", "osType": "Linux",
                    "vmSize": "Standard_D4s_v5", "count": 2,
                }],
                "oidcIssuerProfile": {"enabled": true},
                "securityProfile": {"workloadIdentity": {"enabled": true}},
            },
        });
        let created = client.put(&client.path(&format!("{GROUP}{CLUSTER}?{VERSION}")), &body).await;
        assert_eq!(created.status, 201, "{}", created.body);
        Self::of(client).await
    }

    async fn of(client: Client) -> Self {
        let path = client.path(&format!("{GROUP}{CLUSTER}/listClusterUserCredential?{VERSION}"));
        let answer = client.send(Method::POST, &path, Some(&json!({}))).await;
        let config =
            answer.body["kubeconfigs"][0]["value"].as_str().unwrap_or_else(|| panic!("{}", answer.body));
        let config = String::from_utf8(STANDARD.decode(config).unwrap()).unwrap();
        let field = |name: &str| {
            let line = config.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap();
            line.trim().trim_matches('"').to_owned()
        };
        let below = field("server:").split_once("/kubernetes/").unwrap().1.to_owned();
        let server = format!("{}/kubernetes/{below}", client.sim.connection().arm);
        Self { client, server, user: field("token:") }
    }

    /// Closes the cloud, and opens it again.
    async fn restarted(self) -> Self {
        let folder = self.client.close().await;
        Self::of(Client::reopen(folder, with_shell()).await).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let mut request =
            self.client.http.request(method, format!("{}{path}", self.server)).bearer_auth(&self.user);
        if let Some(body) = body {
            request = request.json(body);
        }
        Answer::read(request.send().await.unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    async fn create_object(&self, path: &str, body: &Value) {
        let created = self.send(Method::POST, path, Some(body)).await;
        assert_eq!(created.status, 201, "{}", created.body);
    }

    /// Waits until an object is as it must be.
    async fn wait_for(&self, path: &str, is: impl Fn(&Answer) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let answer = self.get(path).await;
            if is(&answer) {
                return answer.body;
            }
            assert!(started.elapsed() < WAIT_MAX, "{path}: {}", answer.body);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn log(&self, pod: &str) -> String {
        let url = format!("{}{PODS}/{pod}/log", self.server);
        self.client.http.get(url).bearer_auth(&self.user).send().await.unwrap().text().await.unwrap()
    }

    /// Returns the name and the status of the pod with that name prefix.
    async fn pod(&self, prefix: &str) -> (String, Value) {
        let pods = self.get(PODS).await.body;
        let name = |pod: &Value| pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let all = pods["items"].as_array().unwrap().iter();
        let found = all
            .filter(|pod| name(pod).starts_with(prefix))
            .max_by_key(|pod| pod["metadata"]["creationTimestamp"].to_string());
        let found = found.unwrap_or_else(|| panic!("{prefix}: {pods}"));
        (name(found), found["status"].clone())
    }
}

fn job(completions: u32, script: &str, spec: &Value) -> Value {
    let mut job = json!({
        "metadata": {"name": "once"},
        "spec": {
            "completions": completions, "parallelism": completions, "completionMode": "Indexed", "backoffLimitPerIndex": 0,
            "template": {
                "metadata": {"labels": {"azure.workload.identity/use": "true"}},
                "spec": {
                    "restartPolicy": "Never", "serviceAccountName": "fleet",
                    "volumes": [{"name": "fleet", "configMap": {"name": "fleet"}}],
                    "containers": [{
                        "name": "main", "image": IMAGE, "args": ["-c", script],
                        "volumeMounts": [{"name": "fleet", "mountPath": "/fleet"}],
                    }],
                },
            },
        },
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        job["spec"][field] = value.clone();
    }
    job
}

/// Creates the ConfigMap and the service account of the Job.
async fn prepare(cluster: &Cluster, client_id: &str) {
    let data = json!({"metadata": {"name": "fleet"}, "data": {"0": "zero", "1": "one", "2": "two"}});
    cluster.create_object("/api/v1/namespaces/default/configmaps", &data).await;
    let annotations = json!({"azure.workload.identity/client-id": client_id});
    let account = json!({"metadata": {"name": "fleet", "annotations": annotations}});
    cluster.create_object("/api/v1/namespaces/default/serviceaccounts", &account).await;
}

/// Returns whether a process runs. One that has ended stays in the table until its parent asks for its exit code (proc(5)).
fn process_is_there(id: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with(['Z', 'X']))
}

#[tokio::test]
async fn a_job_of_three_indexes_runs_a_program_with_its_files_and_the_identity_of_its_account() {
    let cluster = Cluster::create().await;
    let client = &cluster.client;
    let identity = format!("{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/fleet");
    let created = client
        .put(&client.path(&format!("{identity}?api-version=2024-11-30")), &json!({"location": "eastus"}))
        .await;
    let client_id = created.body["properties"]["clientId"].as_str().unwrap().to_owned();
    let found = client.get(&client.path(&format!("{GROUP}{CLUSTER}?{VERSION}"))).await;
    let issuer = &found.body["properties"]["oidcIssuerProfile"]["issuerURL"];
    let credential = json!({"properties": {
        "issuer": issuer, "subject": "system:serviceaccount:default:fleet", "audiences": ["api://AzureADTokenExchange"],
    }});
    let path = client.path(&format!("{identity}/federatedIdentityCredentials/fleet?api-version=2024-11-30"));
    assert_eq!(client.put(&path, &credential).await.status, 201);
    prepare(&cluster, &client_id).await;

    let script = r#"
        echo "entry $(cat /fleet/$JOB_COMPLETION_INDEX) of $HOSTNAME"
        echo "for $AZURE_CLIENT_ID at $AZURE_AUTHORITY_HOST" >&2
        test "$(head -1 "$SSL_CERT_FILE")" = "-----BEGIN CERTIFICATE-----" && echo "trusts the cloud"
        test "$JOB_COMPLETION_INDEX" = 0 && echo "token $(cat "$AZURE_FEDERATED_TOKEN_FILE")"
        test "$JOB_COMPLETION_INDEX" != 2 || exit 3
    "#;
    let jobs = JOB.trim_end_matches("/once");
    cluster.create_object(jobs, &job(3, script, &json!({}))).await;
    let ended = |answer: &Answer| {
        let conditions = answer.body["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|line| line["type"] == "Failed" || line["type"] == "Complete")
    };
    let job = cluster.wait_for(JOB, ended).await;
    assert_eq!(
        (&job["status"]["completedIndexes"], &job["status"]["failedIndexes"]),
        (&json!("0,1"), &json!("2")),
        "{job}"
    );

    let (name, status) = cluster.pod("once-2-").await;
    let state = &status["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(
        (&status["phase"], &state["exitCode"], &state["reason"]),
        (&json!("Failed"), &json!(3), &json!("Error"))
    );
    let log = cluster.log(&name).await;
    assert!(log.contains("entry two of once-2\n"), "{log}");
    let (name, _) = cluster.pod("once-0-").await;
    let log = cluster.log(&name).await;
    let connection = client.sim.connection();
    assert!(log.contains("entry zero of once-0\n") && log.contains("trusts the cloud\n"), "{log}");
    assert!(log.contains(&format!("for {client_id} at {}/\n", connection.login)), "{log}");
    let assertion = log.lines().find_map(|line| line.strip_prefix("token ")).unwrap();
    let scope = format!("{}/.default", connection.arm_audience);
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", client_id.as_str()),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
        ("scope", scope.as_str()),
    ];
    let answer = token(&client.http, connection, &form).await;
    assert!(answer.body["access_token"].is_string(), "{}", answer.body);
    assert!(std::fs::read_dir(cluster.client.folder.path().join("pods")).unwrap().count() == 3);
    let deleted = cluster.send(Method::DELETE, JOB, Some(&json!({"propagationPolicy": "Background"}))).await;
    assert_eq!(deleted.status, 200);
    let pods = cluster.client.folder.path().join("pods");
    cluster.wait_for(PODS, |_| std::fs::read_dir(&pods).unwrap().count() == 0).await;
}

#[tokio::test]
async fn a_deleted_pod_gets_sigterm_and_after_its_grace_period_sigkill() {
    let cluster = Cluster::create().await;
    let folder = tempfile::tempdir().unwrap();
    let (ids, out) = (folder.path().join("ids"), folder.path().join("out"));
    // The second one ignores SIGTERM, as does the process that it starts. A doubled dollar sign is one, as in Kubernetes.
    for (name, script) in [
        ("polite", "trap 'echo bye > $OUT; exit 7' TERM; echo $$$$ > $IDS; while :; do sleep 0.05; done"),
        ("stubborn", "trap '' TERM; sleep 1000 & echo \"$$$$ $!\" > $IDS; while :; do sleep 0.05; done"),
    ] {
        let _ = std::fs::remove_file(&ids);
        let variables = json!([{"name": "IDS", "value": ids}, {"name": "OUT", "value": out}]);
        let container = json!({"name": "main", "image": IMAGE, "args": ["-c", script], "env": variables});
        let spec =
            json!({"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]});
        cluster.create_object(PODS, &json!({"metadata": {"name": name}, "spec": spec})).await;
        let path = format!("{PODS}/{name}");
        cluster
            .wait_for(&path, |_| std::fs::read_to_string(&ids).is_ok_and(|text| text.ends_with('\n')))
            .await;
        let all = std::fs::read_to_string(&ids).unwrap();
        assert!(all.split_whitespace().all(process_is_there));
        let started = Instant::now();
        let deleted = cluster.send(Method::DELETE, &path, None).await;
        assert_eq!(deleted.body["metadata"]["deletionGracePeriodSeconds"], 1, "{}", deleted.body);
        cluster.wait_for(&path, |answer| answer.status == 404).await;
        assert!(!all.split_whitespace().any(process_is_there), "{name}");
        assert_eq!(name == "stubborn", started.elapsed() >= Duration::from_secs(1), "{name}");
    }
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "bye\n");
}

#[tokio::test]
async fn the_end_of_the_server_disrupts_its_pods_and_the_next_one_starts_new_ones() {
    let cluster = Cluster::create().await;
    prepare(&cluster, "").await;
    let script = "trap 'exit 9' TERM; echo $$$$; while :; do sleep 0.05; done";
    let policy = json!({"podFailurePolicy": {"rules": [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
    ]}});
    cluster.create_object(JOB.trim_end_matches("/once"), &job(1, script, &policy)).await;
    let runs = |answer: &Answer| answer.body["status"]["ready"] == 1;
    cluster.wait_for(JOB, runs).await;
    let (first, _) = cluster.pod("once-0-").await;
    let process = cluster.wait_for_log(&first).await;
    assert!(process_is_there(&process), "{process}");
    let cluster = cluster.restarted().await;
    assert!(!process_is_there(&process), "no process outlives the server");
    let lost = cluster.get(&format!("{PODS}/{first}")).await.body["status"].clone();
    let condition = lost["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|line| line["type"] == "DisruptionTarget")
        .cloned();
    assert_eq!(condition.unwrap_or_default()["reason"], "TerminationByKubelet", "{lost}");
    assert_eq!(
        (&lost["phase"], &lost["containerStatuses"][0]["state"]["terminated"]["exitCode"]),
        (&json!("Failed"), &json!(9))
    );
    let job = cluster.wait_for(JOB, runs).await;
    assert_eq!(
        (&job["status"]["failed"], &job["status"]["failedIndexes"]),
        (&Value::Null, &json!("")),
        "{job}"
    );
    let (second, _) = cluster.pod("once-0-").await;
    assert_ne!(first, second);

    cluster.arm("node-drained").await;
    let started = cluster.wait_for_other(&second, runs).await;
    let drained = cluster.get(&format!("{PODS}/{second}")).await;
    assert_eq!(drained.status, 404, "an evicted pod goes once it is counted: {}", drained.body);
    let job = cluster.get(JOB).await.body;
    assert_eq!(
        (&job["status"]["failed"], &job["status"]["failedIndexes"]),
        (&Value::Null, &json!("")),
        "{job}"
    );
    let second = started;
    cluster.arm("pod-out-of-memory").await;
    let job = cluster.wait_for(JOB, |answer| answer.body["status"]["failedIndexes"] == "0").await;
    assert_eq!(job["status"]["failed"], 1, "{job}");
    let (_, status) = cluster.pod(&second).await;
    let state = &status["containerStatuses"][0]["state"]["terminated"];
    assert_eq!((&state["exitCode"], &state["reason"]), (&json!(137), &json!("OOMKilled")), "{status}");
}

#[tokio::test]
async fn what_a_container_lacks_is_reported_and_a_program_that_is_missing_cannot_start() {
    let cluster = Cluster::create().await;
    let variable = json!({"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "mode"}}});
    let container =
        json!({"name": "main", "image": IMAGE, "args": ["-c", "echo mode $MODE"], "env": [variable]});
    let spec = json!({"restartPolicy": "Never", "containers": [container]});
    cluster.create_object(PODS, &json!({"metadata": {"name": "waits"}, "spec": spec})).await;
    let path = format!("{PODS}/waits");
    let state = |answer: &Answer| answer.body["status"]["containerStatuses"][0]["state"].clone();
    let refused = |answer: &Answer| state(answer)["waiting"]["reason"] == "CreateContainerConfigError";
    let pod = cluster.wait_for(&path, refused).await;
    let why = &pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"];
    assert_eq!(why, "configmap \"late\" not found");
    let late = json!({"metadata": {"name": "late"}, "data": {"mode": "fast"}});
    cluster.create_object("/api/v1/namespaces/default/configmaps", &late).await;
    cluster.wait_for(&path, |answer| answer.body["status"]["phase"] == "Succeeded").await;
    assert_eq!(cluster.log("waits").await, "mode fast\n");

    let folder = cluster.client.close().await;
    let missing = ("registry.test/team/worker".to_owned(), PathBuf::from("/nowhere/worker"));
    let options = Options { images: [missing].into(), ..options(Speed::Instant) };
    let cluster = Cluster::of(Client::reopen(folder, options).await).await;
    assert_eq!(cluster.log("waits").await, "mode fast\n", "a log outlives the server");
    let container = json!({"name": "main", "image": IMAGE});
    let spec = json!({"restartPolicy": "Never", "containers": [container]});
    cluster.create_object(PODS, &json!({"metadata": {"name": "fails"}, "spec": spec})).await;
    let pod =
        cluster.wait_for(&format!("{PODS}/fails"), |answer| answer.body["status"]["phase"] == "Failed").await;
    let state = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!((&state["exitCode"], &state["reason"]), (&json!(128), &json!("StartError")), "{pod}");
}

impl Cluster {
    async fn arm(&self, fault: &str) {
        let armed = json!({"faults": [fault]});
        assert_eq!(self.client.send(Method::POST, "/_sim/faults", Some(&armed)).await.status, 200);
    }

    /// Waits until the Job is as it must be, with another pod; returns its name.
    async fn wait_for_other(&self, pod: &str, is: impl Fn(&Answer) -> bool) -> String {
        let started = Instant::now();
        loop {
            let is_so = is(&self.get(JOB).await);
            let (name, status) = self.pod("once-0-").await;
            if is_so && name != pod && status["phase"] == "Running" {
                return name;
            }
            assert!(started.elapsed() < WAIT_MAX, "{name}: {status}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for the first line of a pod's log.
    async fn wait_for_log(&self, pod: &str) -> String {
        let started = Instant::now();
        loop {
            let log = self.log(pod).await;
            if let Some((line, _)) = log.split_once('\n') {
                return line.to_owned();
            }
            assert!(started.elapsed() < WAIT_MAX);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
