//! All the memory there is.

pub mod event;
pub mod geo;
pub mod snapshot;
