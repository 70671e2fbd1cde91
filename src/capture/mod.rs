//! The only way in: frames from a file, or from an interface.
//!
//! Both hand over [`crate::packet::Frame`]s that borrow from the capture's own buffer, one at a time, in the order of the capture.

pub mod file;
