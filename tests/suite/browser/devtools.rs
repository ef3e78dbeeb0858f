//! A headless browser, controlled over its debugging protocol: JSON in WebSocket frames (RFC 6455) on the
//! loopback interface. <https://chromedevtools.github.io/devtools-protocol/>

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// The timeout of the browser's responses. A loaded machine is slow, and only a failed browser is silent for
/// so long.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// A browser with a profile of its own.
pub struct Browser {
    child: Child,
    address: String,
    _profile: TempDir,
}

impl Browser {
    /// Starts it; `None` without a browser on this machine.
    pub fn start() -> Option<Self> {
        let profile = TempDir::new().unwrap();
        let mut child = Command::new("chromium")
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--disable-dev-shm-usage",
            ])
            .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
            .args([
                "--disable-sync",
                "--hide-scrollbars",
                "--ignore-certificate-errors",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .env_remove("HTTPS_PROXY")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address =
            lines.find_map(|line| line.strip_prefix("DevTools listening on ws://").map(str::to_owned));
        let address = address.expect("a browser that starts says where it listens");
        // The output is read to the end, so that the browser never blocks on it.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, address, _profile: profile })
    }

    /// Opens a page.
    pub fn open(&self, url: &str) -> Page {
        let mut page = Page {
            socket: Socket::open(&self.address),
            session: None,
            last_id: 0,
            console_errors: Vec::new(),
        };
        let target = page.ask("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = page.ask("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        page.session = Some(attached["sessionId"].clone());
        page.ask("Runtime.enable", json!({}));
        page.ask("Page.enable", json!({}));
        page.ask("Page.navigate", json!({ "url": url }));
        page.until(&format!("location.href === '{url}' && document.readyState === 'complete'"));
        page
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A page in the browser.
pub struct Page {
    socket: Socket,
    session: Option<Value>,
    last_id: u64,
    console_errors: Vec<String>,
}

impl Page {
    /// Sends a command and returns its result.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let mut message = json!({ "id": self.last_id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = session.clone();
        }
        self.socket.send(&message.to_string());
        loop {
            let output: Value = serde_json::from_str(&self.socket.receive()).unwrap();
            if output["id"] == self.last_id {
                assert!(output["error"].is_null(), "{method}: {output}");
                return output["result"].clone();
            }
            if output["method"] == "Runtime.exceptionThrown" {
                self.console_errors.push(output["params"]["exceptionDetails"].to_string());
            }
        }
    }

    /// Returns the value of an expression; awaits a promise.
    pub fn value(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let output = self.ask("Runtime.evaluate", params);
        assert!(output["exceptionDetails"].is_null(), "{expression}: {output}");
        output["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub fn until(&mut self, expression: &str) {
        let looking = format!(
            "new Promise(done => {{ const look = () => ({expression}) ? done(true) : setTimeout(look, 20); look(); }})"
        );
        assert_eq!(self.value(&looking), true, "{expression}");
    }

    /// Clicks in the middle of an element, like a user.
    pub fn click(&mut self, selector: &str) {
        let middle = format!(
            "(() => {{ const one = document.querySelector('{selector}'); one.scrollIntoView({{ block: 'center' }}); \
             const at = one.getBoundingClientRect(); return [at.x + at.width / 2, at.y + at.height / 2]; }})()"
        );
        let middle = self.value(&middle);
        for kind in ["mousePressed", "mouseReleased"] {
            let event =
                json!({ "type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1 });
            self.ask("Input.dispatchMouseEvent", event);
        }
    }

    /// Sets the page's window size, in pixels, and its colour scheme.
    pub fn set_appearance(&mut self, width: u32, height: u32, dark: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.ask("Emulation.setDeviceMetricsOverride", size);
        let scheme = json!({ "name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" } });
        self.ask("Emulation.setEmulatedMedia", json!({ "media": "screen", "features": [scheme] }));
    }

    /// Shows the page as it is printed, at this width.
    pub fn print(&mut self, width: u32) {
        self.set_appearance(width, 1000, false);
        self.ask("Emulation.setEmulatedMedia", json!({ "media": "print", "features": [] }));
    }

    /// Returns a screenshot of the whole page, PNG.
    pub fn screenshot(&mut self) -> Vec<u8> {
        let taken = self.ask("Page.captureScreenshot", json!({ "captureBeyondViewport": true }));
        STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()
    }

    /// Returns the uncaught errors of its script.
    pub fn console_errors(&mut self) -> Vec<String> {
        self.value("0");
        std::mem::take(&mut self.console_errors)
    }
}

/// A client WebSocket, without extensions.
struct Socket(BufReader<TcpStream>);

impl Socket {
    /// Opens one at `host:port/path`.
    fn open(address: &str) -> Self {
        let (host, path) = address.split_once('/').unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(SILENCE_MAX)).unwrap();
        // The key needs no randomness between two trusted peers; any sixteen bytes are valid.
        let key = STANDARD.encode([7; 16]);
        write!(
            stream,
            "GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        .unwrap();
        let mut socket = Self(BufReader::new(stream));
        let mut line = String::new();
        socket.0.read_line(&mut line).unwrap();
        assert!(line.contains(" 101 "), "{line}");
        while line != "\r\n" {
            line.clear();
            socket.0.read_line(&mut line).unwrap();
        }
        socket
    }

    /// Sends a text in one frame. A client must mask, and a mask of zeros leaves the text unchanged (RFC 6455
    /// §5.3).
    fn send(&mut self, text: &str) {
        const TEXT: u8 = 0x81;
        let mut frame = vec![TEXT];
        match u16::try_from(text.len()) {
            Ok(length @ ..126) => frame.push(0x80 | length as u8),
            Ok(length) => {
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend((text.len() as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        self.0.get_mut().write_all(&frame).unwrap();
    }

    /// Returns the next text message, from any number of frames.
    fn receive(&mut self) -> String {
        const LAST: u8 = 0x80;
        const CONTROL: u8 = 0x08;
        let mut text = Vec::new();
        loop {
            let [head, length] = self.bytes();
            let length = match length & 0x7f {
                126 => u64::from(u16::from_be_bytes(self.bytes())),
                127 => u64::from_be_bytes(self.bytes()),
                short => u64::from(short),
            };
            let mut part = vec![0; usize::try_from(length).unwrap()];
            self.0.read_exact(&mut part).unwrap();
            if head & CONTROL != 0 {
                continue;
            }
            text.extend(part);
            if head & LAST != 0 {
                return String::from_utf8(text).unwrap();
            }
        }
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }
}
