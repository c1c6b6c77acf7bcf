//! Does what the path of a request says, so that a test can hold a host against the facts.
//!
//! The configuration `refuse` is refused, and `trap` traps; any other is taken.

use std::cell::Cell;
use std::fmt::Write as _;
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, MapType, Status};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root));
}}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn random_get(at: *mut u8, size: usize) -> u32;
}

thread_local! {
    /// The request that waits at `/hold`.
    static HELD: Cell<u32> = const { Cell::new(0) };
}

struct Root;

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        match self.get_plugin_configuration().as_deref() {
            Some(b"trap") => panic!("the configuration says so"),
            Some(b"refuse") => false,
            _ => true,
        }
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Probe {
            context,
            path: String::new(),
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Probe {
    context: u32,
    path: String,
}

impl Probe {
    fn say(&self, text: &str) -> Action {
        self.send_http_response(200, Vec::new(), Some(text.as_bytes()));
        Action::Pause
    }

    fn call(&self) -> Action {
        let target = self.get_http_request_header("x-target").unwrap_or_default();
        let headers = vec![
            (":method", "GET"),
            (":path", "/called"),
            (":authority", "probe.test"),
        ];
        let called =
            self.dispatch_http_call(&target, headers, None, Vec::new(), Duration::from_secs(5));
        match called {
            Ok(_) => Action::Pause,
            Err(status) => self.say(&format!("refused {status:?}")),
        }
    }
}

impl HttpContext for Probe {
    fn on_http_request_headers(&mut self, count: usize, _end: bool) -> Action {
        self.path = self.get_http_request_header(":path").unwrap_or_default();
        match self.path.as_str() {
            "/call" | "/call-resume" | "/call-deny" | "/call-trap" => self.call(),
            "/remove" => {
                self.set_http_request_header("x-secret", None);
                Action::Continue
            }
            "/replace" => {
                self.set_http_request_header("x-secret", Some("mine"));
                Action::Continue
            }
            "/cas" => self.say(&compare_and_swap()),
            "/shared" => {
                let (value, _) = self.get_shared_data("absent");
                self.say(if value.is_some() {
                    "something"
                } else {
                    "nothing"
                })
            }
            "/crc" => {
                // Two words with one CRC32.
                let written = self.set_shared_data("plumless", Some(b"mine"), None);
                let (read, _) = self.get_shared_data("buckeroo");
                let read = read.map(|read| String::from_utf8_lossy(&read).into_owned());
                self.say(&format!("{written:?} {read:?}"))
            }
            "/random" => self.say(&random()),
            "/hold" => {
                HELD.with(|held| held.set(self.context));
                Action::Pause
            }
            "/wake" => {
                let entered = hostcalls::set_effective_context(HELD.with(Cell::get));
                self.resume_http_request();
                let left = hostcalls::set_effective_context(self.context);
                self.say(&format!("{entered:?} {left:?}"))
            }
            "/count" => {
                let listed = hostcalls::get_map(MapType::HttpRequestHeaders).unwrap_or_default();
                self.say(&format!("told {count} listed {}", listed.len()))
            }
            "/cookies" => {
                let cookies = vec![("set-cookie", "a=1"), ("set-cookie", "b=2")];
                self.send_http_response(200, cookies, Some(b"cookies"));
                Action::Pause
            }
            "/pause-for-body" => Action::Pause,
            "/level" => {
                let level = hostcalls::get_log_level();
                self.say(&format!("{level:?}"))
            }
            "/foreign" => {
                let answer = hostcalls::call_foreign_function("no_such_function", None);
                self.say(&format!("{answer:?}"))
            }
            "/trap" => panic!("the path says so"),
            // `/pass`, `/continue-for-body`, `/offset` and whatever else.
            _ => Action::Continue,
        }
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        match self.path.as_str() {
            "/pause-for-body" | "/continue-for-body" if !end => Action::Pause,
            "/pause-for-body" | "/continue-for-body" => self.say(&format!("body of {size}")),
            "/offset" if end => {
                let read = self.get_http_request_body(2, 3).unwrap_or_default();
                self.say(&String::from_utf8_lossy(&read))
            }
            "/offset" => Action::Pause,
            _ => Action::Continue,
        }
    }
}

impl Context for Probe {
    fn on_http_call_response(&mut self, _token: u32, count: usize, _size: usize, _: usize) {
        match self.path.as_str() {
            "/call-resume" => self.resume_http_request(),
            "/call-deny" => {
                let text = format!("denied after {count} headers");
                self.send_http_response(403, Vec::new(), Some(text.as_bytes()));
            }
            "/call-trap" => panic!("the path says so"),
            _ => {}
        }
    }
}

fn compare_and_swap() -> String {
    let set = |key: &str, cas: Option<u32>| match hostcalls::set_shared_data(key, Some(b"v"), cas) {
        Ok(()) => "written",
        Err(Status::CasMismatch) => "mismatch",
        Err(_) => "error",
    };
    let missing_without = set("one", None);
    let present_without = set("one", None);
    let missing_with = set("two", Some(77));
    let mark = hostcalls::get_shared_data("one")
        .ok()
        .and_then(|(_, mark)| mark);
    let present_with = set("one", mark);
    format!(
        "missing without: {missing_without}, present without: {present_without}, \
         missing with: {missing_with}, present with: {present_with}"
    )
}

fn random() -> String {
    let mut bytes = [0; 128];
    // SAFETY: a live pointer with its size.
    let error = unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) };
    assert_eq!(error, 0, "no random numbers");
    bytes.iter().fold(String::new(), |mut text, byte| {
        let written = write!(text, "{byte:02x}");
        debug_assert!(written.is_ok());
        text
    })
}
