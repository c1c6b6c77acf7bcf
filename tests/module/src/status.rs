//! The status codes of the ABI (`proxy_status_t`).

/// What a host function answers.
pub type Status = i32;

/// Done.
pub const OK: Status = 0;
/// No such thing.
pub const NOT_FOUND: Status = 1;
/// Not like this.
pub const BAD_ARGUMENT: Status = 2;
/// Nothing in the queue.
pub const EMPTY: Status = 7;
/// The compare-and-swap mark was another.
pub const CAS_MISMATCH: Status = 8;
/// Not here, or not now.
pub const INTERNAL_FAILURE: Status = 10;
/// The host lacks it.
pub const UNIMPLEMENTED: Status = 12;
