//! Forwards everything, and lacks all exports behind the request's headers: on Kong the worker dies.

modules::basic_exports!();

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(_context: u32, _count: u32, _end: u32) -> u32 {
    0
}
