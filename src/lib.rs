//! whither: where does each device send its data?
//!
//! A frame goes in at one end, is read once, is remembered in one place, and is told at the other end; nothing flows back:
//! `capture` → [`packet`] → [`dissect`] → [`engine`] → [`export`].

pub mod capture;
pub mod config;
pub mod dissect;
pub mod engine;
pub mod export;
pub mod packet;
pub mod simulate;
