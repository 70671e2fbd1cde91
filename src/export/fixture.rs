//! A snapshot and its parts for the tests of the exporters.
