//! Answers any number from the callbacks of a request, as its path says, and logs each callback.
//!
//! `/headers/H/body/B`: H from the headers callback, B from the body callback until the end of the
//! body, and 0 then. A header `x-target` names whom to call first; the answer lets the request go on.

use std::cell::RefCell;
use std::collections::HashMap;

modules::basic_exports!();

thread_local! {
    /// What the body callback answers, by context.
    static BODY: RefCell<HashMap<u32, u32>> = RefCell::default();
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context: u32, _count: u32, end: u32) -> u32 {
    let path = modules::request_header(":path");
    let parts: Vec<&str> = path.split('/').collect();
    let number = |at: usize| {
        parts
            .get(at)
            .and_then(|part| part.parse().ok())
            .unwrap_or(0)
    };
    BODY.with(|body| body.borrow_mut().insert(context, number(4)));
    modules::log(&format!("headers end={end}"));
    let target = modules::request_header("x-target");
    if !target.is_empty() && !modules::call(&target) {
        modules::log("the call was refused");
    }
    number(2)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_body(context: u32, size: u32, end: u32) -> u32 {
    modules::log(&format!("body size={size} end={end}"));
    if end != 0 {
        return 0;
    }
    BODY.with(|body| body.borrow().get(&context).copied().unwrap_or(0))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_trailers(_context: u32, count: u32) -> u32 {
    modules::log(&format!("trailers count={count}"));
    0
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(_root: u32, _token: u32, count: u32, _: u32, _: u32) {
    modules::log(&format!("answer count={count}"));
    let waiting: Vec<u32> = BODY.with(|body| body.borrow().keys().copied().collect());
    for context in waiting {
        modules::resume(context);
    }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(_context: u32, _count: u32, _end: u32) -> u32 {
    0
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_body(_context: u32, _size: u32, _end: u32) -> u32 {
    0
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(_root: u32) {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_done(_context: u32) -> u32 {
    1
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(_context: u32) {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    BODY.with(|body| body.borrow_mut().remove(&context));
}
