//! Providers and clients that misbehave, against the filter in a real Envoy: see `tests/`.
