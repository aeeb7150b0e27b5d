//! An authorization server on a [Grantkeep](grantkeep) store: the four systems of its profiles,
//! running. `grantkeep serve` is it; [`Server`] is the same for a program of your own.

// What a handler fails with is an answer, which is made once and sent.
#![allow(clippy::result_large_err)]

mod api;
mod audit;
mod bound;
mod consent;
mod failure;
mod issuer;
mod listen;
mod openapi;
mod operators;
mod pages;
mod people;
mod proxies;
mod requests;
mod server;
mod session;
mod systems;
mod tls;
mod users;

pub use bound::Bound;
pub use failure::Failure;
pub use listen::{CONNECTIONS_MAX, HEAD_BYTES_MAX, Limits};
pub use pages::OneClick;
pub use server::{Config, Operators, Server, Stop, TlsFiles};
pub use systems::{SYSTEMS, System};
pub use users::{
    HASH_KIB_MAX, HASH_PASSES_MAX, KnownUsers, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN,
    PasswordChange, PasswordError, Users, VERIFYING_MAX, WAITING_MAX, hash, random_password,
};
