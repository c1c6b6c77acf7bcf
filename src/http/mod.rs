//! HTTP as the product sees it: bytes at the edge, types inside, no Proxy-Wasm.
//!
//! Header values are bytes and stay bytes: a stranger may send any (`0x80..=0xFF` pass both hosts).

mod body;
mod cookies;
mod headers;
mod message;
mod page;
mod query;
mod readings;
mod request;

pub use body::{Body, MAX_BODY};
pub use cookies::{cookie_names, cookie_values, without_cookies};
pub use headers::{Headers, same_name, strip_controls};
pub use message::{Answer, Call, Downstream, GrpcStatus, Pair, Response};
pub use query::{arguments, percent_decode, without_arguments};
pub use readings::readings;
pub use request::Request;
