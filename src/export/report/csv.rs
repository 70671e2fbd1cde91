//! The report's destinations as CSV (RFC 4180): a line for each device, destination and full name.
//!
//! Road taken: a dozen lines of our own, since quoting is all of it; and a `'` before what a spreadsheet would take for a formula
//! (`=`, `+`, `-`, `@`), for host names are chosen by whoever owns the host. Road not taken: a file for each table of the report; JSON has them all.

use super::model::{Destination, Device, Name, Report};

const HEAD: [&str; 21] = [
    "device",
    "mac",
    "destination",
    "name",
    "origin",
    "category",
    "ambiguous",
    "maker",
    "country",
    "asn",
    "organization",
    "anycast",
    "verdict",
    "transmit_bytes",
    "receive_bytes",
    "flows",
    "first",
    "last",
    "servers",
    "level",
    "witnesses",
];

/// All of it. A line of the level `destination` holds all bytes of an account; lines of the level `name` divide those of its flows.
#[must_use]
pub fn csv(report: &Report) -> String {
    let mut out = String::new();
    line(&mut out, HEAD.iter().map(|cell| (*cell).to_owned()));
    for device in &report.devices {
        for row in &device.destinations {
            line(&mut out, account(device, row).into_iter());
            for name in &row.names {
                line(&mut out, full(device, row, name).into_iter());
            }
        }
    }
    out
}

fn account(device: &Device, row: &Destination) -> [String; 21] {
    let sure = row.services.iter().find(|service| !service.ambiguous).or(row.services.first());
    [
        device.id.clone(),
        device.macs.first().cloned().unwrap_or_default(),
        row.destination.clone(),
        String::new(),
        row.origin.to_owned(),
        sure.map(|service| service.category.to_owned()).unwrap_or_default(),
        sure.map(|service| service.ambiguous.to_string()).unwrap_or_default(),
        sure.and_then(|service| service.vendor.clone()).unwrap_or_default(),
        row.country.clone(),
        row.asn.map(|asn| asn.to_string()).unwrap_or_default(),
        row.organization.clone().unwrap_or_default(),
        row.anycast.to_string(),
        row.verdict.to_owned(),
        row.transmit_bytes.to_string(),
        row.receive_bytes.to_string(),
        row.flows.to_string(),
        row.first.clone(),
        row.last.clone(),
        String::new(),
        "destination".to_owned(),
        row.witnesses.clone().unwrap_or_default(),
    ]
}

fn full(device: &Device, row: &Destination, name: &Name) -> [String; 21] {
    let servers: Vec<&str> = name.servers.iter().map(|server| server.address.as_str()).collect();
    let verdict =
        ["refuted", "consistent", "unmeasured"].into_iter().find(|verdict| name.servers.iter().any(|server| server.verdict == *verdict));
    let witnesses = name.servers.iter().find(|server| Some(server.verdict) == verdict).map(|server| server.witnesses.clone());
    [
        device.id.clone(),
        device.macs.first().cloned().unwrap_or_default(),
        row.destination.clone(),
        name.name.clone().unwrap_or_default(),
        row.origin.to_owned(),
        name.category.unwrap_or_default().to_owned(),
        name.category.map(|_| name.ambiguous.to_string()).unwrap_or_default(),
        name.vendor.clone().unwrap_or_default(),
        row.country.clone(),
        row.asn.map(|asn| asn.to_string()).unwrap_or_default(),
        row.organization.clone().unwrap_or_default(),
        row.anycast.to_string(),
        verdict.unwrap_or_default().to_owned(),
        name.transmit_bytes.to_string(),
        name.receive_bytes.to_string(),
        name.flows.to_string(),
        name.first.clone(),
        name.last.clone(),
        servers.join(" "),
        "name".to_owned(),
        witnesses.unwrap_or_default(),
    ]
}

fn line(out: &mut String, cells: impl Iterator<Item = String>) {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            out.push(',');
        }
        let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let cell = if formula { format!("'{cell}") } else { cell };
        if formula || cell.contains([',', '"', '\n', '\r', ';', '\'']) {
            out.push('"');
            out.push_str(&cell.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(&cell);
        }
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_no_cell_is_a_formula() {
        let mut out = String::new();
        let cells = ["plain.example", "=HYPERLINK(\"http://x\")", "-1+1", "@SUM(A1)", "a,b", "a\"b", "", "+1"];
        line(&mut out, cells.into_iter().map(str::to_owned));
        assert_eq!(out, "plain.example,\"'=HYPERLINK(\"\"http://x\"\")\",\"'-1+1\",\"'@SUM(A1)\",\"a,b\",\"a\"\"b\",,\"'+1\"\r\n");
    }
}
