//! whither: where does each device send its data?
//!
//! A frame goes in at one end, is read once, is remembered in one place, and is told at the other end; nothing flows back.
//!
//! # The stages, in order
//!
//! - [`capture`] is the only way in: an interface through libpcap (feature `live`), or a file. Both hand over borrowed frames.
//! - [`packet`] decodes a frame: addresses, transport, payload; or says why it cannot.
//! - [`dissect`] reads bytes and says what they say: DNS, TLS, QUIC, HTTP, DHCP. Pure functions in one table,
//!   [`dissect::DISSECTORS`]. The one word between reading and remembering is [`dissect::observation::Observation`].
//! - [`engine`] is all the memory there is: whose packet it is, which flow, what it is called, where it goes, who is charged.
//! - [`export`] is the only way out: pages, metrics and the table from a [`engine::snapshot::Snapshot`], lines from
//!   [`engine::event::Event`]s. It never sees the engine.
//!
//! Beside them: [`sandbox`] gives up what none of them needs; [`config`] is what the person asked for; [`roster`] is the devices file; [`mark`] is what somebody at the bench says; [`simulate`] writes a lab run whose truth is known, for tests and for
//! a first look. `main.rs` and `commands/` are the binary's, and only wire these together.
//!
//! # What always holds
//!
//! - The core has no clock, no file and no socket. Time comes from packets, so a capture read again gives the same bytes.
//! - Every table has a cap, and each cap says which attack it stops: [`engine::limits`]. There is one map, in `engine/table.rs`.
//! - Every frame is charged once. For each device and direction the countries add up to its total, and so do the destinations
//!   with what is pending. Counters never fall, and never jump because a name came late.
//! - A flow's name and account are set once.
//! - No input makes it panic. What cannot be read is counted by its reason, never logged packet by packet.
//! - A dissector keeps no state; how the bytes were cut into packets changes nothing that is seen.
//! - Imports run downward: `tests/architecture.rs` has the table. Lints keep most of the rest: `Cargo.toml`, `.clippy.toml`.
//!
//! # Where to begin
//!
//! [`engine::Engine::ingest`] goes through all of it on one page. Then the type that a change is about:
//! [`packet::Packet`], [`dissect::Dissector`], [`engine::snapshot::Snapshot`], [`export::ROUTES`]. Each module's head says the road
//! taken and the road not taken. How to add things stands in the README under "Changing it".

pub mod capture;
pub mod config;
pub mod dissect;
pub mod engine;
pub mod export;
pub mod mark;
pub mod packet;
pub mod roster;
pub mod sandbox;
pub mod simulate;
