//! A run that is observed while it is running: its events, its signals, its end.

use crate::environment::{CommandOutput, TestEnvironment};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Lines, Read},
    process::{Child, ChildStderr, ChildStdout, Command},
    thread::JoinHandle,
};

/// A run with `--format json`.
pub struct RunningProcess {
    child: Child,
    events: Lines<BufReader<ChildStdout>>,
    /// The output read so far.
    output: String,
    /// The standard error, read on a thread so that the run never blocks on it.
    stderr: JoinHandle<String>,
}

impl RunningProcess {
    /// Starts it.
    pub fn start(env: &TestEnvironment, arguments: &[&str]) -> Self {
        let mut child = env.spawn(&[arguments, &["--format", "json"]].concat());
        let events = BufReader::new(child.stdout.take().unwrap()).lines();
        let stderr = drain(child.stderr.take().unwrap());
        Self { child, events, output: String::new(), stderr }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads events until one that matches.
    pub fn until(&mut self, is: impl Fn(&Value) -> bool) -> Value {
        for line in self.events.by_ref().map(Result::unwrap) {
            self.output.push_str(&line);
            self.output.push('\n');
            let event: Value = serde_json::from_str(&line).unwrap();
            if is(&event) {
                return event;
            }
        }
        panic!("the run ended before that:\n{}", self.output);
    }

    /// Reads that many events, or all until the run ends; returns how many there were.
    pub fn skip(&mut self, events: usize) -> usize {
        let mut read = 0;
        for line in self.events.by_ref().take(events).map_while(Result::ok) {
            self.output.push_str(&line);
            self.output.push('\n');
            read += 1;
        }
        read
    }

    /// Reads events until this one of this step.
    pub fn until_step(&mut self, event: &str, step: &str) -> Value {
        self.until(|output| output["event"] == event && output["step"] == step)
    }

    /// Sends a signal by its name: `INT`.
    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Kills it like `kill -9`.
    pub fn kill(mut self) -> CommandOutput {
        self.child.kill().unwrap();
        self.end()
    }

    /// Waits for its end.
    pub fn end(mut self) -> CommandOutput {
        for line in self.events.by_ref().map_while(Result::ok) {
            self.output.push_str(&line);
            self.output.push('\n');
        }
        let status = self.child.wait().unwrap();
        CommandOutput { stdout: self.output, stderr: self.stderr.join().unwrap(), status }
    }
}

fn drain(mut stderr: ChildStderr) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut output = String::new();
        stderr.read_to_string(&mut output).unwrap();
        output
    })
}

/// Sends a signal to a process by its name.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}
