//! A tab of the browser: navigation, evaluation of JavaScript, input, and downloads.

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::harness::{WAIT_MAX, wait_until};

/// The only tab of a browser, which is started and stopped with it.
pub(crate) struct Tab {
    browser: Chromium,
    session: String,
}

/// Opens a tab. Returns the session that controls it.
fn attach_to_new_tab(browser: &mut Chromium) -> String {
    let mut call = |method: &str, params: Value| browser.try_call(None, method, params).expect("a result");
    let target = call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].take();
    let session = call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
    session["sessionId"].as_str().expect("a session").to_owned()
}

impl Tab {
    /// Starts a browser. Returns `None` if it is not installed.
    pub(crate) fn start() -> Option<Tab> {
        Tab::start_with(&[])
    }

    /// Starts a browser with further options.
    pub(crate) fn start_with(options: &[&str]) -> Option<Tab> {
        let mut browser = Chromium::start(options)?;
        let session = attach_to_new_tab(&mut browser);
        let mut tab = Tab { browser, session };
        tab.prepare();
        Some(tab)
    }

    fn prepare(&mut self) {
        for domain in ["Page", "Runtime", "Network", "Log"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
        self.call("Page.setLifecycleEventsEnabled", json!({ "enabled": true }));
        self.show_as(1000, 800, "light");
    }

    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        let result = self.browser.try_call(Some(&self.session), method, params);
        result.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Sets the size of the window and `prefers-color-scheme`.
    pub(crate) fn show_as(&mut self, width: u32, height: u32, colours: &str) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let feature = json!([{ "name": "prefers-color-scheme", "value": colours }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": feature }));
    }

    /// Shows pages as a phone of 390 by 844 pixels does, which is used with a finger.
    pub(crate) fn show_on_phone(&mut self, colours: &str) {
        self.show_as(390, 844, colours);
        let metrics = json!({ "width": 390, "height": 844, "deviceScaleFactor": 3, "mobile": true });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        self.call("Emulation.setTouchEmulationEnabled", json!({ "enabled": true }));
    }

    /// Opens a URL and waits until the page is loaded.
    pub(crate) fn open(&mut self, address: &str) {
        let seen = self.browser.events.len();
        let result = self.call("Page.navigate", json!({ "url": address }));
        assert!(result["errorText"].is_null(), "{address}: {}", result["errorText"]);
        // Only the event of this navigation: that of the page before, such as the empty one of a new tab, may come late.
        let is_its_end = |event: &Value| event["name"] == "load" && event["loaderId"] == result["loaderId"];
        self.browser.wait_for_event(seen, "Page.lifecycleEvent", is_its_end);
    }

    /// Evaluates a JavaScript expression, and awaits it if it is a promise.
    ///
    /// # Errors
    /// The expression threw, or the tab left the page meanwhile.
    fn try_evaluate(&mut self, expression: &str) -> Result<Value, String> {
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut result = self.browser.try_call(Some(&self.session), "Runtime.evaluate", params)?;
        match result["exceptionDetails"].is_null() {
            true => Ok(result["result"]["value"].take()),
            false => Err(result["exceptionDetails"].to_string()),
        }
    }

    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        self.try_evaluate(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// The value of an expression that is a string.
    pub(crate) fn text(&mut self, expression: &str) -> String {
        let value = self.evaluate(expression);
        value.as_str().unwrap_or_else(|| panic!("{expression} is {value}")).to_owned()
    }

    /// Waits until an expression is true, also while the tab loads another page.
    pub(crate) fn wait_until(&mut self, expression: &str) {
        let started = Instant::now();
        let mut last = self.try_evaluate(expression);
        while last != Ok(json!(true)) {
            assert!(started.elapsed() < WAIT_MAX, "timed out waiting for {expression}: {last:?}");
            std::thread::sleep(std::time::Duration::from_millis(10));
            last = self.try_evaluate(expression);
        }
    }

    /// Waits until the page with that path and query is loaded.
    pub(crate) fn wait_for_path(&mut self, path: &str) {
        let path = json!(path);
        self.wait_until(&format!(
            "location.pathname + location.search === {path} && document.readyState === 'complete'"
        ));
    }

    /// Lets `start` cause a request for a URL like `pattern`, and answers when the browser asks for name and secret: with these,
    /// or as a user who closes the dialog.
    pub(crate) fn answer_challenge(
        &mut self,
        pattern: &str,
        credentials: Option<(&str, &str)>,
        start: impl FnOnce(&mut Tab),
    ) {
        let seen = self.browser.events.len();
        self.call("Fetch.enable", json!({ "handleAuthRequests": true, "patterns": [{ "urlPattern": pattern }] }));
        start(self);
        let paused = self.browser.wait_for_event(seen, "Fetch.requestPaused", |_| true);
        self.call("Fetch.continueRequest", json!({ "requestId": paused["requestId"] }));
        let asked = self.browser.wait_for_event(seen, "Fetch.authRequired", |_| true);
        let answer = match credentials {
            Some((name, secret)) => json!({ "response": "ProvideCredentials", "username": name, "password": secret }),
            None => json!({ "response": "CancelAuth" }),
        };
        self.call(
            "Fetch.continueWithAuth",
            json!({ "requestId": asked["requestId"], "authChallengeResponse": answer }),
        );
        self.call("Fetch.disable", json!({}));
    }

    /// The centre of the first element that matches the selector, after scrolling to it.
    fn centre_of(&mut self, selector: &str) -> Value {
        let selector = json!(selector);
        self.evaluate(&format!(
            "(() => {{ const element = document.querySelector({selector}); element.scrollIntoView({{ block: 'center' }}); \
             const box = element.getClientRects()[0]; return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        ))
    }

    /// Clicks the first element that matches the selector, with the mouse.
    pub(crate) fn click(&mut self, selector: &str) {
        let point = self.centre_of(selector);
        for kind in ["mousePressed", "mouseReleased"] {
            let params = json!({ "type": kind, "x": point[0], "y": point[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", params);
        }
    }

    /// Taps the first element that matches the selector, with a finger.
    pub(crate) fn tap(&mut self, selector: &str) {
        let point = self.centre_of(selector);
        for (kind, points) in [("touchStart", json!([{ "x": point[0], "y": point[1] }])), ("touchEnd", json!([]))] {
            self.call("Input.dispatchTouchEvent", json!({ "type": kind, "touchPoints": points }));
        }
    }

    /// Presses a key: a named one such as `Enter`, or a character.
    pub(crate) fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Backspace" => (8, ""),
            "Escape" => (27, ""),
            "ArrowUp" => (38, ""),
            "ArrowDown" => (40, ""),
            "Home" => (36, ""),
            "End" => (35, ""),
            "Delete" => (46, ""),
            "F2" => (113, ""),
            character => (0, character),
        };
        let down = if text.is_empty() { "rawKeyDown" } else { "keyDown" };
        self.call(
            "Input.dispatchKeyEvent",
            json!({ "type": down, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text }),
        );
        self.call("Input.dispatchKeyEvent", json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code }));
    }

    pub(crate) fn type_text(&mut self, text: &str) {
        text.chars().for_each(|each| self.press(each.encode_utf8(&mut [0; 4])));
    }

    /// Chooses files, or a folder, in the file input that matches the selector.
    pub(crate) fn choose(&mut self, selector: &str, paths: &[&Path]) {
        let selector = json!(selector);
        let expression = format!("document.querySelector({selector})");
        let input = self.call("Runtime.evaluate", json!({ "expression": expression }));
        let id = &input["result"]["objectId"];
        self.call("DOM.setFileInputFiles", json!({ "files": paths, "objectId": id }));
    }

    /// Drags files or folders over the page, and drops them.
    pub(crate) fn drop_files(&mut self, paths: &[&Path]) {
        let data = json!({ "items": [], "files": paths, "dragOperationsMask": 1 });
        for kind in ["dragEnter", "dragOver", "drop"] {
            self.call("Input.dispatchDragEvent", json!({ "type": kind, "x": 300, "y": 300, "data": data }));
        }
    }

    /// Limits how many bytes a second the browser sends.
    pub(crate) fn limit_upload_rate(&mut self, bytes_per_s: i64) {
        let conditions =
            json!({ "offline": false, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_s });
        self.call("Network.emulateNetworkConditions", conditions);
    }

    /// Closes the tab without asking the page, and opens another one.
    pub(crate) fn close_and_open_another(&mut self) {
        let mut call = |method: &str, params: Value| self.browser.try_call(None, method, params).expect("a result");
        let targets = call("Target.getTargets", json!({}));
        let targets = targets["targetInfos"].as_array().expect("a list").clone();
        let page = targets.iter().find(|target| target["type"] == "page").expect("a tab");
        call("Target.closeTarget", json!({ "targetId": page["targetId"] }));
        wait_until("the end of the tab", || {
            let targets = call("Target.getTargets", json!({}));
            let mut left = targets["targetInfos"].as_array().expect("a list").iter();
            left.all(|target| target["targetId"] != page["targetId"])
        });
        self.session = attach_to_new_tab(&mut self.browser);
        self.prepare();
    }

    /// The names in the visible rows, without the parent folder.
    pub(crate) fn names(&mut self) -> Vec<String> {
        let names = self.evaluate(
            "Array.from(document.querySelectorAll('#list tbody tr:not([id])')).filter((row) => row.checkVisibility())\
             .map((row) => row.querySelector('bdi').textContent)",
        );
        serde_json::from_value(names).expect("a list of names")
    }

    /// Calls `start`, which must start a download. Returns its content, and the name that the browser gives the file.
    pub(crate) fn download(&mut self, start: impl FnOnce(&mut Tab)) -> (Vec<u8>, String) {
        let folder = self.browser.downloads().to_owned();
        let params = json!({ "behavior": "allowAndName", "downloadPath": folder, "eventsEnabled": true });
        self.browser.try_call(None, "Browser.setDownloadBehavior", params).expect("downloads");
        let seen = self.browser.events.len();
        start(self);
        let begun = self.browser.wait_for_event(seen, "Browser.downloadWillBegin", |_| true);
        let ended = |event: &Value| event["guid"] == begun["guid"] && event["state"] != "inProgress";
        let end = self.browser.wait_for_event(seen, "Browser.downloadProgress", ended);
        assert_eq!(end["state"], "completed");
        let guid = begun["guid"].as_str().expect("an identifier");
        let content = fs::read(folder.join(guid)).expect("the downloaded file");
        (content, begun["suggestedFilename"].as_str().expect("a name").to_owned())
    }

    /// The errors and warnings of the console, among them violations of policies, and uncaught exceptions.
    pub(crate) fn problems(&mut self) -> Vec<String> {
        // Events that the browser reported before the result of this call are received before it.
        self.evaluate("0");
        let is_problem = |event: &&Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => matches!(event["params"]["type"].as_str(), Some("error" | "warning")),
            Some("Log.entryAdded") => matches!(event["params"]["entry"]["level"].as_str(), Some("error" | "warning")),
            _ => false,
        };
        self.browser.events.iter().filter(is_problem).map(|event| event["params"].to_string()).collect()
    }

    /// Asserts that the console has no errors or warnings but those of requests that the server has refused or lost.
    pub(crate) fn assert_no_script_errors(&mut self) {
        let problems = self.problems();
        let others: Vec<_> = problems.iter().filter(|problem| !problem.contains("\"source\":\"network\"")).collect();
        assert!(others.is_empty(), "{others:?}");
    }

    /// The offsets of all requests of this tab that have appended to an upload, or tried to.
    pub(crate) fn upload_offsets(&mut self) -> Vec<u64> {
        self.evaluate("0");
        // The browser may report requests of a tab after it was closed.
        let events = self.browser.events.iter().filter(|event| event["sessionId"] == self.session);
        let requests = events.filter(|event| event["method"] == "Network.requestWillBeSent");
        let patches = requests.map(|event| &event["params"]["request"]).filter(|request| request["method"] == "PATCH");
        let offset = |request: &Value| request["headers"]["Upload-Offset"].as_str().and_then(|text| text.parse().ok());
        patches.map(|request| offset(request).expect("an offset")).collect()
    }

    /// When each request with this method was sent, in seconds.
    pub(crate) fn request_times(&mut self, method: &str) -> Vec<f64> {
        self.evaluate("0");
        let events = self.browser.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        let requests = events.map(|event| &event["params"]).filter(|params| params["request"]["method"] == method);
        requests.map(|params| params["timestamp"].as_f64().expect("a time")).collect()
    }

    /// The URLs of all requests.
    pub(crate) fn requests(&mut self) -> Vec<String> {
        self.evaluate("0");
        let requests = self.browser.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        requests.filter_map(|event| event["params"]["request"]["url"].as_str().map(str::to_owned)).collect()
    }

    /// Asserts that the console has no errors or warnings, and that all requests went to the server.
    pub(crate) fn assert_quiet(&mut self, origin: &str) {
        assert_eq!(self.problems(), Vec::<String>::new());
        let requests = self.requests();
        let is_own = |url: &&String| url.strip_prefix(origin).is_some_and(|rest| rest.starts_with('/'));
        let elsewhere: Vec<&String> = requests.iter().filter(|url| !is_own(url) && !url.starts_with("data:")).collect();
        assert!(!requests.is_empty() && elsewhere.is_empty(), "requests to elsewhere: {elsewhere:?}");
    }

    /// Writes a screenshot of the window, as PNG.
    pub(crate) fn take_screenshot(&mut self, file: &Path) {
        use base64::prelude::{BASE64_STANDARD, Engine as _};
        let screenshot = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let screenshot = BASE64_STANDARD.decode(screenshot["data"].as_str().expect("a screenshot")).expect("base64");
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder for screenshots");
        fs::write(file, screenshot).expect("a file for the screenshot");
    }
}
