//! A simulated cloud served in the foreground: every other command uses it, and continues after its end.

use crate::{environment::TestEnvironment, running::Running, running::signal, screens};
use landfall_sim::{Options, Sim};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
};

/// Starts a server and waits until it serves; returns its status document.
pub fn serve(here: &TestEnvironment, arguments: &[&str]) -> (Running, Value) {
    let mut server = Running::start(here, &[&["sim"], arguments].concat());
    let said = server.until(|event| event["event"] == "serving");
    (server, said)
}

/// Ends a server like a user.
pub fn end(server: Running) {
    server.signal("INT");
    let said = server.end();
    assert_eq!(said.status.code(), Some(0), "{}", said.stderr);
    assert_eq!(said.events().last().unwrap()["event"], "ended", "{}", said.stdout);
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
fn every_command_uses_the_world_that_is_served_and_the_gateways_answer_meanwhile() {
    let here = TestEnvironment::instant();
    let (mut server, serving) = serve(&here, &[]);
    let page = serving["page"].as_str().unwrap();

    let up = here.expect(0, &["up"]).stderr;
    assert!(up.contains(page), "{up}");
    assert!(!up.contains("while `landfall sim` runs in another terminal"), "{up}");
    let door = server.until(|event| event["event"] == "door" && event["port"] == 80);
    let answer = ask(door["socket"].as_str().unwrap(), "httpbin.demo.example.com");
    assert!(answer.starts_with("HTTP/1.1 301"), "{answer}");
    here.expect(0, &["plan", "--detailed-exitcode"]);
    here.expect(0, &["status"]);
    here.expect(0, &["down", "--yes"]);
    server.until(|event| event["event"] == "door" && event["state"] == "shut");
    end(server);

    assert!(
        !here.state().join("sim/serving.json").exists()
            && !here.state().join("sim/principal.secret").exists()
    );
    let alone = here.expect(0, &["up"]).stderr;
    assert!(
        !alone.contains(page) && alone.contains("while `landfall sim` runs in another terminal"),
        "{alone}"
    );
    assert_eq!(
        here.count("PUT", "/managedClusters/aks-istio-gateway-demo"),
        2,
        "one world, made and made again"
    );
}

#[test]
fn a_second_server_and_wishes_that_cannot_be_are_told_who_serves() {
    let here = TestEnvironment::instant();
    let (server, serving) = serve(&here, &[]);
    let process = format!("process {}", server.id());
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");

    let second = flat(&here.expect(4, &["sim"]).stderr);
    for word in ["`landfall sim`", &process, serving["page"].as_str().unwrap(), "hint:"] {
        assert!(second.contains(word), "{word}: {second}");
    }
    let wished = flat(&here.expect(2, &["up", "--speed", "3", "--seed", "123456"]).stderr);
    for word in ["--speed", "not 3", "--seed", "not 123456", &process, "landfall sim --speed 3", "2 mistakes"]
    {
        assert!(wished.contains(word), "{word}: {wished}");
    }
    assert_eq!(here.ledger().len(), 0, "nothing was changed");

    // Another process can arm faults, which replace the previous ones: the second run waits for one.
    for _ in 0..2 {
        here.expect(0, &["plan", "--sim-fault", "throttled@GET resourcegroups#1000"]);
    }
    here.expect(0, &["plan", "--sim-fault", "throttled@GET resourcegroups"]);
    let bitten = |line: &Value| line["fault"] == "throttled";
    assert_eq!(here.ledger().iter().filter(|line| bitten(line)).count(), 1);
    end(server);
}

#[test]
fn a_killed_server_is_in_nobodys_way_and_what_it_had_begun_goes_on() {
    let here = TestEnvironment::at_speed("60");
    let (server, serving) = serve(&here, &[]);
    let mut run = Running::start(&here, &["up"]);
    run.until_step("started", "cluster-ready");
    server.kill();
    run.kill();
    assert!(here.state().join("sim/serving.json").exists(), "nobody was left to take it away");
    here.expect(1, &["sim", "env"]);

    here.expect(0, &["up"]);
    assert!(!here.state().join("sim/serving.json").exists());
    let (server, again) = serve(&here, &[]);
    assert_eq!(again["port"], serving["port"]);
    assert_eq!(here.expect(0, &["up", "--format", "json"]).summary()["found"], 17);
    assert_eq!(here.count("PUT", "/managedClusters/aks-istio-gateway-demo"), 1);
    end(server);
}

#[test]
fn a_run_goes_on_when_another_server_takes_the_place_of_the_one_that_died() {
    let here = TestEnvironment::at_speed("20");
    let (server, _) = serve(&here, &[]);
    let mut run = Running::start(&here, &["up"]);
    run.until_step("started", "cluster-ready");
    server.kill();
    let (server, _) = serve(&here, &[]);
    let said = run.end();
    assert_eq!(said.status.code(), Some(0), "{}", said.stderr);
    assert_eq!(here.count("PUT", "/managedClusters/aks-istio-gateway-demo"), 1);
    end(server);
}

/// Returns a free port that neither clouds select by themselves nor the system gives to outgoing connections.
fn free_port() -> TcpListener {
    let first = 10_000 + u16::try_from(std::process::id() % 9_000).unwrap();
    (first..20_000).find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()).unwrap()
}

#[test]
fn a_chosen_port_is_kept_and_one_that_is_taken_is_refused() {
    let here = TestEnvironment::instant();
    let taken = free_port();
    let port = taken.local_addr().unwrap().port();
    let said = here.expect(2, &["sim", "--port", &port.to_string()]).stderr;
    assert!(said.contains(&port.to_string()) && said.contains("--port"), "{said}");
    drop(taken);
    let (server, serving) = serve(&here, &["--port", &port.to_string()]);
    assert_eq!(serving["port"], port);
    end(server);
    let (server, serving) = serve(&here, &[]);
    assert_eq!(serving["port"], port);
    server.signal("TERM");
    assert_eq!(server.end().status.code(), Some(0));
}

/// Locks the cloud of a test like a run of another process.
async fn held(here: &TestEnvironment) -> Sim {
    Sim::open(&here.state().join("sim"), Options { by: "landfall plan".into(), ..Options::default() })
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_holds_the_world_is_waited_for_and_named() {
    let here = TestEnvironment::instant();
    let holder = held(&here).await;
    let mut child = here.spawn(&["plan"]);
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

    let holder = held(&here).await;
    let refused = tokio::task::spawn_blocking(move || here.expect(4, &["plan"]).stderr).await.unwrap();
    let refused = refused.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(refused.contains(&who) && refused.contains("hint:"), "{refused}");
    holder.close().await;
}

#[test]
fn a_shell_is_led_to_the_world_without_a_secret_in_its_text() {
    let here = TestEnvironment::instant();
    let nobody = here.expect(1, &["sim", "env"]);
    assert!(nobody.stdout.is_empty() && nobody.stderr.contains("none is running"), "{}", nobody.stderr);
    let (server, _) = serve(&here, &[]);
    let shell = here.expect(0, &["sim", "env"]).stdout;
    let secret = here.state().join("sim/principal.secret");
    assert!(!shell.contains(&fs::read_to_string(&secret).unwrap()));
    for file in [secret, here.state().join("sim/serving.json")] {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    let mut script = here.write("env.sh", &shell).into_os_string().into_string().unwrap();
    script.insert_str(0, ". ");
    let output =
        std::process::Command::new("sh").args(["-euc", &format!("{script}; echo \"$KUBECONFIG\"")]).output();
    let kubeconfig = String::from_utf8(output.unwrap().stdout).unwrap();
    assert_eq!(kubeconfig.trim_end(), here.state().join("kubeconfig").to_str().unwrap());
    masked(&here).bind(|| insta::assert_snapshot!("sim_env", shell));
    end(server);
}

/// Returns filters for the values that differ between runs in a server's output.
fn masked(here: &TestEnvironment) -> insta::Settings {
    let mut settings = screens::settings();
    for (pattern, replacement) in [
        (here.path().to_str().unwrap(), "<home>"),
        (r"(127\.0\.0\.1|localhost):\d+", "$1:<port>"),
        (r"process \d+, since [0-9TZ:-]+", "process <id>, since <time>"),
    ] {
        settings.add_filter(pattern, replacement);
    }
    settings
}

#[test]
fn what_a_person_sees() {
    let here = TestEnvironment::instant();
    let mut child = here.spawn(&["sim"]);
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
    masked(&here).bind(|| insta::assert_snapshot!("sim", text));
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn only_a_simulated_cloud_is_served() {
    let here = TestEnvironment::instant();
    let said = here.expect(2, &["sim", "--cloud", "azure"]).stderr;
    assert!(said.contains("cloud is azure") && said.contains("hint:"), "{said}");
    assert!(!here.state().exists());
}
