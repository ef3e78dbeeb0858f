//! A simulated cloud served in the foreground: every other command uses it, and continues after its end.

use crate::{
    environment::TestEnvironment, running_process::RunningProcess, running_process::signal, screens,
};
use landfall_sim::{Options, Sim};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
};

/// Starts a server and waits until it serves; returns its status document.
pub fn serve(env: &TestEnvironment, arguments: &[&str]) -> (RunningProcess, Value) {
    let mut server = RunningProcess::start(env, &[&["sim"], arguments].concat());
    let serving = server.until(|event| event["event"] == "serving");
    (server, serving)
}

/// Ends a server like a user.
pub fn end(server: RunningProcess) {
    server.signal("INT");
    let output = server.end();
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
    assert_eq!(output.events().last().unwrap()["event"], "ended", "{}", output.stdout);
}

/// Sends a plain HTTP request to a gateway's socket.
fn ask(socket: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(socket).unwrap();
    write!(stream, "GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn every_command_uses_the_served_cloud_and_its_gateways_respond() {
    let env = TestEnvironment::instant();
    let (mut server, serving) = serve(&env, &[]);
    let page = serving["page"].as_str().unwrap();

    let up = env.expect(0, &["up"]).stderr;
    assert!(up.contains(page), "{up}");
    assert!(!up.contains("while `landfall sim` runs in another terminal"), "{up}");
    let door = server.until(|event| event["event"] == "door" && event["port"] == 80);
    let answer = ask(door["socket"].as_str().unwrap(), "httpbin.demo.example.com");
    assert!(answer.starts_with("HTTP/1.1 301"), "{answer}");
    env.expect(0, &["plan", "--detailed-exitcode"]);
    env.expect(0, &["status"]);
    env.expect(0, &["down", "--yes"]);
    server.until(|event| event["event"] == "door" && event["state"] == "shut");
    end(server);

    assert!(
        !env.state().join("sim/serving.json").exists() && !env.state().join("sim/principal.secret").exists()
    );
    let alone = env.expect(0, &["up"]).stderr;
    assert!(
        !alone.contains(page) && alone.contains("while `landfall sim` runs in another terminal"),
        "{alone}"
    );
    assert_eq!(
        env.count("PUT", "/managedClusters/aks-istio-gateway-demo"),
        2,
        "one world, made and made again"
    );
}

#[test]
fn a_second_server_and_conflicting_settings_are_refused_with_the_holder() {
    let env = TestEnvironment::instant();
    let (server, serving) = serve(&env, &[]);
    let process = format!("process {}", server.id());
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");

    let second = flat(&env.expect(4, &["sim"]).stderr);
    for word in ["`landfall sim`", &process, serving["page"].as_str().unwrap(), "hint:"] {
        assert!(second.contains(word), "{word}: {second}");
    }
    let conflicting = flat(&env.expect(2, &["up", "--speed", "3", "--seed", "123456"]).stderr);
    for word in ["--speed", "not 3", "--seed", "not 123456", &process, "landfall sim --speed 3", "2 mistakes"]
    {
        assert!(conflicting.contains(word), "{word}: {conflicting}");
    }
    assert_eq!(env.request_log().len(), 0, "nothing was changed");

    // Another process can arm faults, which replace the previous ones: the second run waits for one.
    for _ in 0..2 {
        env.expect(0, &["plan", "--sim-fault", "throttled@GET resourcegroups#1000"]);
    }
    env.expect(0, &["plan", "--sim-fault", "throttled@GET resourcegroups"]);
    let is_throttled = |line: &Value| line["fault"] == "throttled";
    assert_eq!(env.request_log().iter().filter(|line| is_throttled(line)).count(), 1);
    end(server);
}

#[test]
fn a_killed_server_blocks_no_run_and_its_operations_continue() {
    let env = TestEnvironment::at_speed("60");
    let (server, serving) = serve(&env, &[]);
    let mut run = RunningProcess::start(&env, &["up"]);
    run.until_step("started", "cluster-ready");
    server.kill();
    run.kill();
    assert!(env.state().join("sim/serving.json").exists(), "nobody was left to take it away");
    env.expect(1, &["sim", "env"]);

    env.expect(0, &["up"]);
    assert!(!env.state().join("sim/serving.json").exists());
    let (server, again) = serve(&env, &[]);
    assert_eq!(again["port"], serving["port"]);
    assert_eq!(env.expect(0, &["up", "--format", "json"]).summary()["found"], 19);
    assert_eq!(env.count("PUT", "/managedClusters/aks-istio-gateway-demo"), 1);
    end(server);
}

#[test]
fn a_run_continues_when_a_new_server_replaces_a_killed_one() {
    let env = TestEnvironment::at_speed("20");
    let (server, _) = serve(&env, &[]);
    let mut run = RunningProcess::start(&env, &["up"]);
    run.until_step("started", "cluster-ready");
    server.kill();
    let (server, _) = serve(&env, &[]);
    let output = run.end();
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
    assert_eq!(env.count("PUT", "/managedClusters/aks-istio-gateway-demo"), 1);
    end(server);
}

/// Returns a free port that neither clouds select by themselves nor the system gives to outgoing connections.
fn free_port() -> TcpListener {
    let first = 15_000 + u16::try_from(std::process::id() % 4_000).unwrap();
    (first..20_000).find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()).unwrap()
}

#[test]
fn a_configured_port_is_kept_and_a_used_one_is_refused() {
    let env = TestEnvironment::instant();
    let taken = free_port();
    let port = taken.local_addr().unwrap().port();
    let output = env.expect(2, &["sim", "--port", &port.to_string()]).stderr;
    assert!(output.contains(&port.to_string()) && output.contains("--port"), "{output}");
    drop(taken);
    let (server, serving) = serve(&env, &["--port", &port.to_string()]);
    assert_eq!(serving["port"], port);
    end(server);
    let (server, serving) = serve(&env, &[]);
    assert_eq!(serving["port"], port);
    server.signal("TERM");
    assert_eq!(server.end().status.code(), Some(0));
}

/// Locks the cloud of a test like a run of another process.
async fn lock_sim(env: &TestEnvironment) -> Sim {
    Sim::open(&env.state().join("sim"), Options { by: "landfall plan".into(), ..Options::default() })
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_holds_the_simulated_cloud_is_waited_for_and_reported() {
    let env = TestEnvironment::instant();
    let holder = lock_sim(&env).await;
    let mut child = env.spawn(&["plan"]);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let waiting = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        line
    });
    let waiting = waiting.await.unwrap();
    let who = format!("`landfall plan` (process {}", std::process::id());
    assert!(waiting.contains(&who), "{waiting}");
    holder.close().await;
    assert!(tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap().success());

    let holder = lock_sim(&env).await;
    let refused = tokio::task::spawn_blocking(move || env.expect(4, &["plan"]).stderr).await.unwrap();
    let refused = refused.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(refused.contains(&who) && refused.contains("hint:"), "{refused}");
    holder.close().await;
}

#[test]
fn shell_exports_contain_no_secret() {
    let env = TestEnvironment::instant();
    let without_server = env.expect(1, &["sim", "env"]);
    assert!(
        without_server.stdout.is_empty() && without_server.stderr.contains("none is running"),
        "{}",
        without_server.stderr
    );
    let (server, _) = serve(&env, &[]);
    let shell = env.expect(0, &["sim", "env"]).stdout;
    let secrets = ["principal.secret", "user.secret"].map(|name| env.state().join("sim").join(name));
    for secret in &secrets {
        assert!(!shell.contains(&fs::read_to_string(secret).unwrap()));
    }
    for file in secrets.into_iter().chain([env.state().join("sim/serving.json")]) {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    let mut script = env.write("env.sh", &shell).into_os_string().into_string().unwrap();
    script.insert_str(0, ". ");
    let output =
        std::process::Command::new("sh").args(["-euc", &format!("{script}; echo \"$KUBECONFIG\"")]).output();
    let kubeconfig = String::from_utf8(output.unwrap().stdout).unwrap();
    assert_eq!(kubeconfig.trim_end(), env.state().join("kubeconfig").to_str().unwrap());
    masked(&env).bind(|| insta::assert_snapshot!("sim_env", shell));
    end(server);
}

/// Returns filters for the values that differ between runs in a server's output.
fn masked(env: &TestEnvironment) -> insta::Settings {
    let mut settings = screens::settings();
    for (pattern, replacement) in [
        (env.path().to_str().unwrap(), "<home>"),
        (r"(127\.0\.0\.1|localhost):\d+", "$1:<port>"),
        (r"process \d+, since [0-9TZ:-]+", "process <id>, since <time>"),
    ] {
        settings.add_filter(pattern, replacement);
    }
    settings
}

#[test]
fn output_of_sim() {
    let env = TestEnvironment::instant();
    let mut child = env.spawn(&["sim"]);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut seen = Vec::new();
    for line in lines.by_ref() {
        let last = line.starts_with("Press Ctrl-C");
        seen.push(line);
        if last {
            break;
        }
    }
    signal(&child, "INT");
    seen.extend(lines);
    assert!(child.wait().unwrap().success());
    let text = seen.join("\n");
    masked(&env).bind(|| insta::assert_snapshot!("sim", text));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn only_a_simulated_cloud_is_served() {
    let env = TestEnvironment::instant();
    let output = env.expect(2, &["sim", "--cloud", "azure"]).stderr;
    assert!(output.contains("cloud is azure") && output.contains("hint:"), "{output}");
    assert!(!env.state().exists());
}
