//! A control: answers 401 to everything, in the words of the filter.

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Root));
}}

struct Root;

impl Context for Root {}

impl RootContext for Root {
    fn create_http_context(&self, _context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Closed))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Closed;

impl Context for Closed {}

impl HttpContext for Closed {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.send_http_response(
            401,
            vec![
                ("content-type", "application/json; charset=utf-8"),
                ("cache-control", "no-store"),
                ("www-authenticate", "Bearer realm=\"closed\""),
            ],
            Some(br#"{"message":"Unauthorized"}"#),
        );
        Action::Pause
    }

    // With a pause in the headers Envoy still shows bodies: nothing of them may pass.
    fn on_http_request_body(&mut self, _size: usize, _end: bool) -> Action {
        Action::Pause
    }
}
