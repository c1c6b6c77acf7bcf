//! The Proxy-Wasm ABI 0.2.1, as far as we use it: the only file with `unsafe`.
//!
//! Total: each host function becomes a value for every status it may answer, bytes stay bytes, and
//! nothing here panics. The SDK was not taken because its `Action` lacks status 4, and because it
//! panics on inputs that a stranger can send (docs/architecture.md, "The glue speaks the ABI itself").

#![allow(
    unsafe_code,
    reason = "the boundary to the host; each block states its proof"
)]

use std::ptr::{null, null_mut};

/// A status that a host function answered (proxy-wasm spec, `proxy_status_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u32);

impl Status {
    /// The call did what it says.
    pub const OK: Status = Status(0);
    /// No such thing here: how Envoy answers for an unknown property or foreign function.
    pub const NOT_FOUND: Status = Status(1);
    /// The compare-and-swap mark was another.
    pub const CAS_MISMATCH: Status = Status(8);

    fn ok(self) -> Result<(), Status> {
        if self == Status::OK {
            Ok(())
        } else {
            Err(self)
        }
    }
}

/// `proxy_map_type_t`: which header map.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Map {
    /// The client's request headers.
    Request = 0,
    /// The client's request trailers.
    RequestTrailers = 1,
    /// The headers of the response to the client.
    Response = 2,
    /// The headers of a callout's answer.
    CallAnswer = 6,
}

/// `proxy_buffer_type_t`: which buffer.
#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Buffer {
    /// The client's request body, as far as it has come.
    RequestBody = 0,
    /// The body of a callout's answer.
    CallAnswer = 4,
    /// The plugin's configuration.
    PluginConfiguration = 7,
}

mod import {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub fn proxy_log(level: u32, text: *const u8, size: usize) -> u32;
        pub fn proxy_get_log_level(level: *mut u32) -> u32;
        pub fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
        pub fn proxy_get_property(
            path: *const u8,
            path_size: usize,
            value: *mut *mut u8,
            value_size: *mut usize,
        ) -> u32;
        pub fn proxy_set_property(
            path: *const u8,
            path_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub fn proxy_get_header_map_pairs(map: u32, value: *mut *mut u8, size: *mut usize) -> u32;
        pub fn proxy_get_header_map_value(
            map: u32,
            name: *const u8,
            name_size: usize,
            value: *mut *mut u8,
            value_size: *mut usize,
        ) -> u32;
        pub fn proxy_add_header_map_value(
            map: u32,
            name: *const u8,
            name_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub fn proxy_replace_header_map_value(
            map: u32,
            name: *const u8,
            name_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32;
        pub fn proxy_get_buffer_bytes(
            buffer: u32,
            start: usize,
            max_size: usize,
            value: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub fn proxy_set_buffer_bytes(
            buffer: u32,
            start: usize,
            size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub fn proxy_http_call(
            target: *const u8,
            target_size: usize,
            headers: *const u8,
            headers_size: usize,
            body: *const u8,
            body_size: usize,
            trailers: *const u8,
            trailers_size: usize,
            timeout: u32,
            token: *mut u32,
        ) -> u32;
        pub fn proxy_send_local_response(
            status: u32,
            details: *const u8,
            details_size: usize,
            body: *const u8,
            body_size: usize,
            headers: *const u8,
            headers_size: usize,
            grpc_status: i32,
        ) -> u32;
        pub fn proxy_continue_stream(stream: u32) -> u32;
        pub fn proxy_set_effective_context(context: u32) -> u32;
        pub fn proxy_get_shared_data(
            key: *const u8,
            key_size: usize,
            value: *mut *mut u8,
            value_size: *mut usize,
            cas: *mut u32,
        ) -> u32;
        pub fn proxy_set_shared_data(
            key: *const u8,
            key_size: usize,
            value: *const u8,
            value_size: usize,
            cas: u32,
        ) -> u32;
        pub fn proxy_define_metric(kind: u32, name: *const u8, size: usize, id: *mut u32) -> u32;
        pub fn proxy_increment_metric(id: u32, by: i64) -> u32;
        pub fn proxy_call_foreign_function(
            name: *const u8,
            name_size: usize,
            arguments: *const u8,
            arguments_size: usize,
            results: *mut *mut u8,
            results_size: *mut usize,
        ) -> u32;
    }
}

/// Memory that the host filled for us, or nothing.
///
/// The host calls [`proxy_on_memory_allocate`] with the size it then reports; the bytes are ours
/// from then on.
struct Delivered {
    at: *mut u8,
    size: usize,
}

impl Delivered {
    const fn none() -> Delivered {
        Delivered {
            at: null_mut(),
            size: 0,
        }
    }

    fn take(self) -> Vec<u8> {
        if self.at.is_null() || self.size == 0 {
            return Vec::new();
        }
        // SAFETY: `at` came from `proxy_on_memory_allocate(size)`, which made a `Vec<u8>` with
        // exactly this capacity and forgot it; the host initialised all `size` bytes and hands the
        // memory over once, in this one out-parameter.
        unsafe { Vec::from_raw_parts(self.at, self.size, self.size) }
    }
}

/// Writes a line to the host's log. Levels: 1 debug, 2 info, 3 warn, 4 error.
pub fn log(level: u32, text: &str) {
    // SAFETY: pointer and size of a live `str`; the host only reads.
    unsafe { import::proxy_log(level, text.as_ptr(), text.len()) };
}

/// The lowest level the host writes. Traps on Kong: ask only where the dialect is Envoy's.
pub fn log_level() -> Option<u32> {
    let mut level = 0;
    // SAFETY: `level` lives through the call.
    let status = Status(unsafe { import::proxy_get_log_level(&raw mut level) });
    status.ok().ok().map(|()| level)
}

/// Asks for a tick every `period` milliseconds for the root context in force.
pub fn set_tick_period(period: u32) {
    // SAFETY: no pointer passes.
    unsafe { import::proxy_set_tick_period_milliseconds(period) };
}

/// A property; `path` holds its segments joined by NUL (or Kong's dotted name in one piece).
pub fn property(path: &[u8]) -> Result<Vec<u8>, Status> {
    let mut value = Delivered::none();
    // SAFETY: live pointers with their sizes; the out-parameters live through the call.
    let status = unsafe {
        import::proxy_get_property(
            path.as_ptr(),
            path.len(),
            &raw mut value.at,
            &raw mut value.size,
        )
    };
    Status(status).ok().map(|()| value.take())
}

/// Sets a property.
pub fn set_property(path: &[u8], value: &[u8]) -> Result<(), Status> {
    // SAFETY: live pointers with their sizes; the host only reads.
    let status = unsafe {
        import::proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len())
    };
    Status(status).ok()
}

/// A whole header map in its serialized form.
pub fn headers(map: Map) -> Result<Vec<u8>, Status> {
    let mut value = Delivered::none();
    // SAFETY: the out-parameters live through the call.
    let status = unsafe {
        import::proxy_get_header_map_pairs(map as u32, &raw mut value.at, &raw mut value.size)
    };
    Status(status).ok().map(|()| value.take())
}

/// The first value of a header. Kong shows pseudo-headers of an answer here, and maybe here only.
pub fn header(map: Map, name: &[u8]) -> Result<Vec<u8>, Status> {
    let mut value = Delivered::none();
    // SAFETY: a live pointer with its size; the out-parameters live through the call.
    let status = unsafe {
        import::proxy_get_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            &raw mut value.at,
            &raw mut value.size,
        )
    };
    Status(status).ok().map(|()| value.take())
}

/// Adds a header.
pub fn add_header(map: Map, name: &[u8], value: &[u8]) -> Result<(), Status> {
    // SAFETY: live pointers with their sizes; the host only reads.
    let status = unsafe {
        import::proxy_add_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    };
    Status(status).ok()
}

/// Replaces a header (on Kong: its first copy), adding it where there was none.
pub fn replace_header(map: Map, name: &[u8], value: &[u8]) -> Result<(), Status> {
    // SAFETY: live pointers with their sizes; the host only reads.
    let status = unsafe {
        import::proxy_replace_header_map_value(
            map as u32,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    };
    Status(status).ok()
}

/// Removes all copies of a header or trailer. On Kong this does not reach the upstream.
pub fn remove_header(map: Map, name: &[u8]) -> Result<(), Status> {
    // SAFETY: a live pointer with its size; the host only reads.
    let status =
        unsafe { import::proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) };
    Status(status).ok()
}

/// At most `max` bytes of a buffer, from its beginning (Kong ignores any other start).
pub fn buffer(which: Buffer, max: usize) -> Result<Vec<u8>, Status> {
    let mut value = Delivered::none();
    // SAFETY: the out-parameters live through the call.
    let status = unsafe {
        import::proxy_get_buffer_bytes(which as u32, 0, max, &raw mut value.at, &raw mut value.size)
    };
    Status(status).ok().map(|()| value.take())
}

/// Puts another body in the place of the request's, as far as that was buffered.
pub fn replace_request_body(body: &[u8]) -> Result<(), Status> {
    // SAFETY: pointer and length are one slice's, which lives through the call; a host reads none of an
    // empty one.
    let status = unsafe {
        import::proxy_set_buffer_bytes(
            Buffer::RequestBody as u32,
            0,
            u32::MAX as usize,
            body.as_ptr(),
            body.len(),
        )
    };
    Status(status).ok()
}

/// Sends a request to `target` (a cluster, or Kong's host:port). The answer comes to
/// `proxy_on_http_call_response` under the token returned here.
pub fn http_call(
    target: &str,
    headers: &[(&[u8], &[u8])],
    body: &[u8],
    timeout: u32,
) -> Result<u32, Status> {
    let headers = serialize(headers);
    let mut token = 0;
    // SAFETY: live pointers with their sizes; `token` lives through the call.
    let status = unsafe {
        import::proxy_http_call(
            target.as_ptr(),
            target.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            null(),
            0,
            timeout,
            &raw mut token,
        )
    };
    Status(status).ok().map(|()| token)
}

/// Answers the client instead of the upstream. Envoy makes a status of gRPC of it for clients of gRPC: `grpc`, or
/// the one that it takes to be nearest.
pub fn send_response(
    status: u16,
    headers: &[(&[u8], &[u8])],
    body: &[u8],
    grpc: Option<u8>,
) -> Result<(), Status> {
    let headers = serialize(headers);
    // SAFETY: live pointers with their sizes; the host only reads.
    let answered = unsafe {
        import::proxy_send_local_response(
            u32::from(status),
            null(),
            0,
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc.map_or(-1, i32::from),
        )
    };
    Status(answered).ok()
}

/// Lets the paused request in force go on (stream type 0: HTTP request).
pub fn continue_request() -> Result<(), Status> {
    // SAFETY: no pointer passes.
    Status(unsafe { import::proxy_continue_stream(0) }).ok()
}

/// Makes `context` the one that the following calls act on.
pub fn set_effective_context(context: u32) -> Result<(), Status> {
    // SAFETY: no pointer passes.
    Status(unsafe { import::proxy_set_effective_context(context) }).ok()
}

/// A shared value and its compare-and-swap mark. Traps on Kong where there is no zone.
pub fn shared_get(key: &str) -> Result<(Vec<u8>, u32), Status> {
    let mut value = Delivered::none();
    let mut cas = 0;
    // SAFETY: live pointers with their sizes; the out-parameters live through the call.
    let status = unsafe {
        import::proxy_get_shared_data(
            key.as_ptr(),
            key.len(),
            &raw mut value.at,
            &raw mut value.size,
            &raw mut cas,
        )
    };
    Status(status).ok().map(|()| (value.take(), cas))
}

/// Writes a shared value under a mark.
pub fn shared_set(key: &str, value: &[u8], cas: u32) -> Result<(), Status> {
    // SAFETY: live pointers with their sizes; the host only reads.
    let status = unsafe {
        import::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas)
    };
    Status(status).ok()
}

/// Defines a counter and gives its id. Defining it twice gives the same counter.
pub fn define_counter(name: &str) -> Option<u32> {
    let mut id = 0;
    // SAFETY: live pointers with their sizes; `id` lives through the call. Kind 0 is a counter.
    let status = unsafe { import::proxy_define_metric(0, name.as_ptr(), name.len(), &raw mut id) };
    Status(status).ok().ok().map(|()| id)
}

/// Adds to a counter; by 0 the host refuses.
pub fn increment(counter: u32, by: i64) {
    // SAFETY: no pointer passes.
    unsafe { import::proxy_increment_metric(counter, by) };
}

/// Calls a function of the host by name. Traps on Kong for an unknown one.
pub fn foreign_function(name: &str, arguments: &[u8]) -> Result<Vec<u8>, Status> {
    let mut results = Delivered::none();
    // SAFETY: live pointers with their sizes; the out-parameters live through the call.
    let status = unsafe {
        import::proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            arguments.as_ptr(),
            arguments.len(),
            &raw mut results.at,
            &raw mut results.size,
        )
    };
    Status(status).ok().map(|()| results.take())
}

/// The serialized form of a header map, as [`crate::http::Headers::from_serialized`] reads it.
fn serialize(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&size(pairs.len()));
    for (name, value) in pairs {
        out.extend_from_slice(&size(name.len()));
        out.extend_from_slice(&size(value.len()));
    }
    for (name, value) in pairs {
        out.extend_from_slice(name);
        out.push(0);
        out.extend_from_slice(value);
        out.push(0);
    }
    out
}

fn size(len: usize) -> [u8; 4] {
    // Sizes are 32 bits wide on wasm32: nothing is ever cut off.
    u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes()
}

mod export {
    //! What the host calls. Kong calls each of these without looking whether it exists.

    use crate::proxy::entry;

    unsafe extern "C" {
        fn __wasm_call_ctors();
    }

    #[unsafe(no_mangle)]
    extern "C" fn _initialize() {
        // SAFETY: made by the linker; called once, before any other export.
        unsafe { __wasm_call_ctors() };
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_abi_version_0_2_1() {}

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
        // The host owns the memory until it names it in an out-parameter: `Delivered::take`.
        let mut memory = Vec::<u8>::with_capacity(size);
        let at = memory.as_mut_ptr();
        std::mem::forget(memory);
        at
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_context_create(context: u32, parent: u32) {
        entry::context_create(context, parent);
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_vm_start(_root: u32, _size: u32) -> u32 {
        1
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_configure(root: u32, size: usize) -> u32 {
        u32::from(entry::configure(root, size))
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_tick(root: u32) {
        entry::tick(root);
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_request_headers(context: u32, _count: u32, end: u32) -> u32 {
        entry::request_headers(context, end != 0)
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_request_body(context: u32, size: usize, end: u32) -> u32 {
        entry::request_body(context, size, end != 0)
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_request_trailers(context: u32, _count: u32) -> u32 {
        entry::request_trailers(context)
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_response_headers(context: u32, _count: u32, _end: u32) -> u32 {
        entry::response_headers(context)
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_response_body(_context: u32, _size: u32, _end: u32) -> u32 {
        0
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_response_trailers(_context: u32, _count: u32) -> u32 {
        0
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_http_call_response(
        root: u32,
        token: u32,
        header_count: u32,
        body_size: usize,
        _trailer_count: u32,
    ) {
        entry::call_answer(root, token, header_count, body_size);
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_done(_context: u32) -> u32 {
        1
    }

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_log(_context: u32) {}

    #[unsafe(no_mangle)]
    extern "C" fn proxy_on_delete(context: u32) {
        entry::delete(context);
    }
}
