//! What a flow's event says of its server's place and purpose: each witness's word in fields of its own.

use crate::engine::event::FlowEnd;
use crate::engine::snapshot::{Location, Opinion, Whose};
use crate::export::day;
use crate::export::line::{Line, key};

/// Writes it, where the server is outside.
pub(super) fn fields(flow: &FlowEnd, line: &mut Line<'_>) {
    if let Some(location) = &flow.location {
        place(location, line);
    }
    if let Some(service) = &flow.service {
        line.word(key!("whither.service_category"), service.category.as_str());
        line.maybe(key!("whither.vendor"), service.vendor.as_deref());
        if service.ambiguous {
            line.flag(key!("whither.ambiguous"), true);
        }
    }
}

fn place(location: &Location, line: &mut Line<'_>) {
    let witnesses = &location.witnesses;
    // One database alone is in `destination.geo` already.
    if location.opinions.len() > 1 {
        line.list(key!("whither.geo_databases"), &location.opinions, opinion);
    }
    if let Some(agree) = witnesses.agree {
        line.flag(key!("whither.geo_agree"), agree);
    }
    if let Some(claim) = witnesses.claim {
        line.text(key!("whither.region_token"), claim.region.token);
        line.text(key!("whither.region"), claim.region.area.words());
        line.word(key!("whither.region_kind"), if claim.region.kind == Whose::Cloud { "cloud" } else { "vendor" });
    }
    if let Some(agrees) = witnesses.region_agrees() {
        line.flag(key!("whither.region_agrees"), agrees);
    }
}

fn opinion(opinion: &Opinion, line: &mut Line<'_>) {
    line.open(key!("database"));
    line.value(&opinion.database.database);
    line.word(key!("built"), &day(opinion.database.built));
    line.maybe(key!("country"), opinion.country.as_ref().map(|country| country.as_str()));
    line.close();
}
