//! What the modules without the SDK share: a few host functions of the ABI 0.2.1.
//!
//! The SDK exports every callback and answers 0 or 1 only. A module that lacks exports, or answers
//! other numbers, has to speak the ABI itself.

use std::ptr::{null, null_mut};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, text: *const u8, size: usize) -> u32;
    fn proxy_continue_stream(kind: u32) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_http_call(
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
}

/// Memory for the host to write to: what `proxy_on_memory_allocate` answers.
pub fn allocate(size: usize) -> *mut u8 {
    let mut memory = Vec::<u8>::with_capacity(size);
    let at = memory.as_mut_ptr();
    std::mem::forget(memory);
    at
}

/// Writes a line of level info.
pub fn log(line: &str) {
    // SAFETY: pointer and size of a live `str`; the host only reads.
    unsafe { proxy_log(2, line.as_ptr(), line.len()) };
}

/// A request header; empty where there is none.
pub fn request_header(name: &str) -> String {
    let (mut at, mut size) = (null_mut(), 0);
    // SAFETY: live pointers with their sizes; the out-parameters live through the call.
    let status = unsafe {
        proxy_get_header_map_value(0, name.as_ptr(), name.len(), &raw mut at, &raw mut size)
    };
    if status != 0 || at.is_null() || size == 0 {
        return String::new();
    }
    // SAFETY: the host had `allocate` make exactly this memory, filled it, and gave it to us.
    let value = unsafe { Vec::from_raw_parts(at, size, size) };
    String::from_utf8_lossy(&value).into_owned()
}

/// Sends `GET /called` to a cluster, or to host and port; whether the host took it.
pub fn call(target: &str) -> bool {
    let pairs = [
        (":method", "GET"),
        (":path", "/called"),
        (":authority", "probe.test"),
    ];
    let mut map = size(pairs.len());
    for (name, value) in pairs {
        map.extend(size(name.len()));
        map.extend(size(value.len()));
    }
    for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
        map.extend(text.bytes());
        map.push(0);
    }
    let mut token = 0;
    // SAFETY: live pointers with their sizes; `token` lives through the call.
    let status = unsafe {
        proxy_http_call(
            target.as_ptr(),
            target.len(),
            map.as_ptr(),
            map.len(),
            null(),
            0,
            null(),
            0,
            5000,
            &raw mut token,
        )
    };
    status == 0
}

fn size(number: usize) -> Vec<u8> {
    u32::try_from(number)
        .unwrap_or(u32::MAX)
        .to_le_bytes()
        .to_vec()
}

/// Lets the request with this context go on; whether the host took it.
pub fn resume(context: u32) -> bool {
    // SAFETY: no pointer passes.
    unsafe { proxy_set_effective_context(context) == 0 && proxy_continue_stream(0) == 0 }
}

/// The exports that each module without the SDK has.
#[macro_export]
macro_rules! basic_exports {
    () => {
        #[cfg(target_os = "wasi")]
        unsafe extern "C" {
            fn __wasm_call_ctors();
        }

        #[cfg(target_os = "wasi")]
        #[unsafe(no_mangle)]
        extern "C" fn _initialize() {
            // SAFETY: made by the linker; called once, before any other export.
            unsafe { __wasm_call_ctors() };
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_abi_version_0_2_1() {}

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
            $crate::allocate(size)
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_context_create(_context: u32, _parent: u32) {}

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_vm_start(_root: u32, _size: u32) -> u32 {
            1
        }

        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_configure(_root: u32, _size: u32) -> u32 {
            1
        }
    };
}
