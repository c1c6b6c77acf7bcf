//! A visitor with a real Chromium.

mod cookies;
mod demo;
mod form_post;
mod login;
mod session;
mod strict;
