//! A headless Chromium, driven through its DevTools protocol.
//!
//! Real time, real keys and real rendering: what a person at the page would have. Whatever the page
//! complains of on its console is kept, a refusal by its own content security policy included.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use crate::support::process::Process;
use crate::support::websocket::plain;
use crate::support::{Dir, eventually};

pub(crate) struct Chromium {
    socket: WebSocket<TcpStream>,
    session: String,
    last: u64,
    complaints: Vec<String>,
    // The profile must outlive the process.
    _process: Process,
    _profile: Dir,
}

impl Chromium {
    /// Opens a page.
    pub(crate) fn open(url: &str) -> Self {
        let profile = Dir::new();
        let mut command = Command::new("chromium");
        command
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .args([
                "--no-first-run",
                "--disable-background-networking",
                "--disable-sync",
            ])
            .args(["--disable-component-update", "--no-proxy-server"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(["--remote-debugging-port=0", "about:blank"]);
        let process = Process::start(&mut command);
        let address = eventually("the browser listens", || {
            let said = process.stderr();
            let (_, rest) = said.split_once("DevTools listening on ")?;
            rest.split_once('\n')
                .map(|(address, _)| address.trim().to_owned())
        });
        let host = address.trim_start_matches("ws://");
        let to: SocketAddr = host.split('/').next().unwrap().parse().unwrap();
        let mut chromium = Self {
            socket: plain(to, &address),
            session: String::new(),
            last: 0,
            complaints: Vec::new(),
            _process: process,
            _profile: profile,
        };
        let target = chromium.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = chromium.call("Target.attachToTarget", &attach);
        let session = attached["sessionId"].as_str().unwrap();
        session.clone_into(&mut chromium.session);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            chromium.call(domain, &json!({}));
        }
        chromium.call("Page.navigate", &json!({"url": url}));
        chromium
    }

    /// Calls a method of the protocol.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.last += 1;
        let mut call = json!({"id": self.last, "method": method, "params": params});
        if !self.session.is_empty() {
            call["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(call.to_string())).unwrap();
        loop {
            let message = self.socket.read().unwrap();
            let Message::Text(text) = message else {
                continue;
            };
            let mut told: Value = serde_json::from_str(&text).unwrap();
            if told["id"] == self.last {
                assert!(told["error"].is_null(), "{method}: {told}");
                return told["result"].take();
            }
            self.hear(&told);
        }
    }

    fn hear(&mut self, event: &Value) {
        let params = &event["params"];
        let complaint = match event["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => true,
            "Log.entryAdded" => params["entry"]["level"] == "error",
            "Runtime.consoleAPICalled" => params["type"] == "error",
            _ => false,
        };
        if complaint {
            self.complaints.push(params.to_string());
        }
    }

    /// What an expression is on the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut result = self.call("Runtime.evaluate", &params);
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {result}"
        );
        result["result"]["value"].take()
    }

    /// A text on the page.
    pub(crate) fn text(&mut self, expression: &str) -> String {
        let value = self.value(expression);
        let text = value.as_str();
        text.unwrap_or_else(|| panic!("{expression} is {value}"))
            .to_owned()
    }

    /// Waits until an expression holds.
    #[track_caller]
    pub(crate) fn wait(&mut self, expression: &str) {
        eventually(expression, || {
            (self.value(expression) == true).then_some(())
        });
    }

    /// Presses and lets go of a key.
    pub(crate) fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            _ => panic!("the code of {key} is not known"),
        };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({"type": kind, "key": key, "code": key,
                "windowsVirtualKeyCode": code});
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// Types a text where the focus is.
    pub(crate) fn write(&mut self, text: &str) {
        self.call("Input.insertText", &json!({"text": text}));
    }

    /// Prefers `light` or `dark`.
    pub(crate) fn prefer(&mut self, scheme: &str) {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.call(
            "Emulation.setEmulatedMedia",
            &json!({"features": [feature]}),
        );
        self.wait(&format!(
            "matchMedia('(prefers-color-scheme: {scheme})').matches"
        ));
    }

    /// Makes the window as large as a screen of that size.
    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1,
            "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", &size);
        self.wait(&format!("innerWidth === {width}"));
    }

    /// What the console said that it should not have.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        // A call's answer comes after the events before it.
        self.value("0");
        std::mem::take(&mut self.complaints)
    }
}
