//! A small writer of MaxMind DB files (format 2.0), for the embedded databases and for the tests' fixtures.
//!
//! Taken: a plain binary trie, then identical subtrees are merged from the leaves up, and texts that repeat (keys, organisations)
//! become pointers. That makes the country database 2.7 times smaller than its source, with the same answers. Not taken: the
//! published writer crates, of which none merges subtrees; and merging while inserting, which saves memory that nobody misses here.
#![cfg_attr(not(test), expect(clippy::indexing_slicing, reason = "node numbers are made here and nowhere else; no input of others"))]
#![expect(clippy::disallowed_types, reason = "as large as the data of the person who rebuilds it; no part of the sensor")]

use std::collections::HashMap;
use std::net::IpAddr;

/// A value of the data section.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    /// A UTF-8 string.
    Text(String),
    /// An unsigned number of at most 32 bits.
    Number(u32),
    /// Keys and values, in this order.
    Map(Vec<(&'static str, Value)>),
}

/// What a branch of the tree leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Branch {
    Empty,
    Node(usize),
    /// An index into the list of values.
    Data(usize),
}

/// A database in the making.
pub(crate) struct Writer {
    /// 32 or 128.
    bits: u32,
    nodes: Vec<[Branch; 2]>,
    /// Each distinct value once, with its number.
    values: HashMap<Value, usize>,
}

impl Writer {
    /// An empty database, of IPv4 alone or of both.
    pub(crate) fn new(ipv4_only: bool) -> Self {
        Self { bits: if ipv4_only { 32 } else { 128 }, nodes: vec![[Branch::Empty; 2]], values: HashMap::new() }
    }

    /// Gives all addresses from `first` to `last` a value; what was there before is replaced.
    pub(crate) fn insert(&mut self, first: IpAddr, last: IpAddr, value: Value) {
        let next = self.values.len();
        let data = Branch::Data(*self.values.entry(value).or_insert(next));
        let (mut from, to) = (number(first), number(last));
        // The range as aligned blocks, each as large as its alignment and the end allow.
        while from <= to {
            let mut size = from.trailing_zeros().min(self.bits - 1);
            while block_end(from, size) > to {
                size -= 1;
            }
            self.put(from, self.bits - size, data);
            match block_end(from, size).checked_add(1) {
                Some(next) => from = next,
                None => return,
            }
        }
    }

    fn put(&mut self, address: u128, length: u32, data: Branch) {
        let mut at = 0;
        for depth in 0..length {
            let bit = (address >> (self.bits - 1 - depth)) as usize & 1;
            if depth + 1 == length {
                self.nodes[at][bit] = data;
                return;
            }
            at = match self.nodes[at][bit] {
                Branch::Node(node) => node,
                leaf => {
                    self.nodes.push([leaf; 2]);
                    let node = self.nodes.len() - 1;
                    self.nodes[at][bit] = Branch::Node(node);
                    node
                }
            };
        }
    }

    /// The finished file. `built`: the date of the data, seconds since the epoch.
    pub(crate) fn finish(self, database_type: &str, description: &str, built: u64) -> Vec<u8> {
        let mut merged = Merged::default();
        if let leaf @ (Branch::Empty | Branch::Data(_)) = self.merge(0, &mut merged) {
            merged.nodes.push([leaf; 2]);
        }
        let mut values: Vec<_> = self.values.into_iter().collect();
        values.sort_by_key(|(_, index)| *index);
        let mut data = Section::default();
        let offsets: Vec<usize> = values.iter().map(|(value, _)| data.value(value)).collect();

        let count = merged.nodes.len();
        let record_size = match count + 16 + data.bytes.len() {
            0..0x100_0000 => 24,
            0x100_0000..0x1000_0000 => 28,
            _ => 32,
        };
        let mut file = Vec::new();
        // Merging numbers the children before their parents, and the root has to be the first node.
        for node in merged.nodes.iter().rev() {
            let [left, right] = node.map(|branch| match branch {
                Branch::Empty => count,
                Branch::Node(node) => count - 1 - node,
                Branch::Data(index) => count + 16 + offsets[index],
            });
            file.extend(record_pair(left as u32, right as u32, record_size));
        }
        file.extend([0; 16]);
        file.extend(data.bytes);
        file.extend(b"\xab\xcd\xefMaxMind.com");
        file.extend(metadata(database_type, description, built, self.bits, count, record_size));
        file
    }

    /// Merges what hangs below `node`: equal leaves side by side become one, equal nodes become the same.
    fn merge(&self, node: usize, merged: &mut Merged) -> Branch {
        let pair = self.nodes[node].map(|branch| match branch {
            Branch::Node(child) => self.merge(child, merged),
            leaf => leaf,
        });
        match pair {
            [left, right] if left == right && !matches!(left, Branch::Node(_)) => left,
            _ => Branch::Node(*merged.numbers.entry(pair).or_insert_with(|| {
                merged.nodes.push(pair);
                merged.nodes.len() - 1
            })),
        }
    }
}

#[derive(Default)]
struct Merged {
    nodes: Vec<[Branch; 2]>,
    numbers: HashMap<[Branch; 2], usize>,
}

/// IPv4 lives at `::/96`.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

fn block_end(from: u128, size: u32) -> u128 {
    from | ((1_u128 << size) - 1)
}

fn record_pair(left: u32, right: u32, record_size: u16) -> Vec<u8> {
    let ([l0, l1, l2, l3], [r0, r1, r2, r3]) = (left.to_be_bytes(), right.to_be_bytes());
    match record_size {
        24 => vec![l1, l2, l3, r1, r2, r3],
        28 => vec![l1, l2, l3, (l0 << 4) | r0, r1, r2, r3],
        _ => vec![l0, l1, l2, l3, r0, r1, r2, r3],
    }
}

/// The metadata map. It stands apart because its pointers would count from its own start: it has none.
fn metadata(database_type: &str, description: &str, built: u64, bits: u32, count: usize, record_size: u16) -> Vec<u8> {
    let mut out = Section::default();
    out.head(MAP, 9);
    for (key, value) in [
        ("binary_format_major_version", 2),
        ("binary_format_minor_version", 0),
        ("ip_version", if bits == 32 { 4 } else { 6 }),
        ("record_size", record_size),
    ] {
        out.text(key);
        out.unsigned(UINT16, value.into());
    }
    out.text("node_count");
    out.unsigned(UINT32, count as u64);
    out.text("build_epoch");
    out.unsigned(UINT64, built);
    out.text("database_type");
    out.text(database_type);
    out.text("description");
    out.head(MAP, 1);
    out.text("en");
    out.text(description);
    out.text("languages");
    out.head(ARRAY, 0);
    out.bytes
}

/// Type numbers of the format.
const POINTER: u8 = 1;
const STRING: u8 = 2;
const UINT16: u8 = 5;
const UINT32: u8 = 6;
const MAP: u8 = 7;
const UINT64: u8 = 9;
const ARRAY: u8 = 11;

/// A section of values, where a text that repeats is a pointer to its first place.
#[derive(Default)]
struct Section {
    bytes: Vec<u8>,
    texts: HashMap<String, usize>,
}

impl Section {
    /// Writes a value and says where.
    fn value(&mut self, value: &Value) -> usize {
        let at = self.bytes.len();
        match value {
            Value::Text(text) => self.text(text),
            Value::Number(number) => self.unsigned(UINT32, (*number).into()),
            Value::Map(entries) => {
                self.head(MAP, entries.len());
                for (key, value) in entries {
                    self.text(key);
                    self.value(value);
                }
            }
        }
        at
    }

    fn text(&mut self, text: &str) {
        match self.texts.get(text) {
            Some(&at) if text.len() > 3 => self.pointer(at),
            _ => {
                self.texts.insert(text.to_owned(), self.bytes.len());
                self.head(STRING, text.len());
                self.bytes.extend(text.as_bytes());
            }
        }
    }

    fn pointer(&mut self, at: usize) {
        let (size, value, bytes) = match at {
            0..2_048 => (0, at, 1),
            2_048..526_336 => (1, at - 2_048, 2),
            526_336..134_744_064 => (2, at - 526_336, 3),
            _ => (3, at, 4),
        };
        // The topmost bits of the value stand in the control byte, except in the longest form.
        let high = if size == 3 { 0 } else { (value >> (8 * bytes)) as u8 };
        self.bytes.push((POINTER << 5) | (size << 3) | high);
        self.bytes.extend(&(value as u32).to_be_bytes()[4 - bytes..]);
    }

    fn unsigned(&mut self, kind: u8, number: u64) {
        let length = 8 - number.leading_zeros() as usize / 8;
        self.head(kind, length);
        self.bytes.extend(&number.to_be_bytes()[8 - length..]);
    }

    fn head(&mut self, kind: u8, size: usize) {
        let (low, more): (u8, &[u8]) = match size {
            0..29 => (size as u8, &[]),
            29..285 => (29, &[(size - 29) as u8]),
            _ => (30, &((size.min(65_820) - 285) as u16).to_be_bytes()),
        };
        if kind > 7 {
            self.bytes.extend([low, kind - 7]);
        } else {
            self.bytes.push((kind << 5) | low);
        }
        self.bytes.extend(more);
    }
}
