//! A visitor with a real Chromium.

mod cookies;
mod form_post;
mod login;
mod session;
mod strict;
