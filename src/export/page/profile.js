// What a device says of itself, with its sources; and what it fetches again and again.

import { h, name, printable } from "./dom.js";
import { count, full, moment, size, span } from "./words.js";

/** Who a device is: each fact with what said it and the packet that did. */
export function facts(own, place) {
  const pairs = [
    ["First packet", h("time", { datetime: own.first_seen }, full(own.first_seen))],
    ["Last packet", h("time", { datetime: own.last_seen }, full(own.last_seen))],
    ["Sent", `${size(own.transmit_bytes)} in ${count(own.transmit_packets)} packets`],
    ["Received", `${size(own.receive_bytes)} in ${count(own.receive_packets)} packets`],
    ["Addresses", list(own.addresses)],
    own.macs.length > 1 && ["MACs", list(own.macs)],
    ["Expected", own.expected_countries.length ? own.expected_countries.map(place).join(", ") : "the devices file expects nothing of it"],
    own.notes && ["Notes", name(own.notes)],
  ].filter(Boolean);
  const told = own.identity.map((fact) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, printable(fact.kind.replaceAll("_", " "))),
      h("td", { class: "wrap" }, name(fact.value)),
      h("td", {}, printable(fact.source)),
      h("td", { class: "number" }, String(fact.packet)),
    ),
  );
  return [
    h(
      "dl",
      { class: "facts" },
      pairs.map(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]),
    ),
    own.same_as.map((same) =>
      h("p", { class: "note" }, "Perhaps the same as ", name(same.device), `: ${printable(same.reason)}. Nothing is merged.`),
    ),
    told.length
      ? h(
          "details",
          {},
          h("summary", {}, `${count(told.length)} facts, as the device claims them`),
          h(
            "div",
            { class: "scroll", tabindex: "0", role: "region", "aria-label": "Facts" },
            h(
              "table",
              { class: "small" },
              h("caption", { class: "unseen" }, "Facts with their sources"),
              h(
                "thead",
                {},
                h(
                  "tr",
                  {},
                  ["Fact", "Value", "Source", "Packet"].map((head, index) =>
                    h("th", { scope: "col", class: index === 3 ? "number" : null }, head),
                  ),
                ),
              ),
              h("tbody", {}, told),
            ),
          ),
        )
      : null,
  ];
}

function list(items) {
  return h(
    "ul",
    { class: "plain" },
    items.map((item) => h("li", {}, name(item))),
  );
}

/** Config pulls and watchlist hits; a "none" with its coverage. */
export function pulls({ config_pulls: rows, watchlists, coverage }, place) {
  const seen = coverage ? ` while it was present for ${span(coverage.seen_seconds)}` : "";
  const shared = coverage?.shared_config_flows
    ? ` ${count(coverage.shared_config_flows)} flows went to hosts that serve configuration among other purposes: ${coverage.shared_config_names.map(printable).join(", ")}.`
    : "";
  const lists = watchlists.map((one) =>
    h("li", {}, h("b", {}, printable(one.category.replaceAll("_", " "))), ` ${count(one.flows)} flows, list ${printable(one.ruleset)}`),
  );
  return [
    h(
      "section",
      { class: "panel of-pulls", "aria-labelledby": "pulls" },
      h("h2", { id: "pulls" }, "Config pulls"),
      rows.length ? null : h("p", {}, `None seen${seen}.${shared}`),
      rows.map((row) => host(row, place)),
      rows.length && shared ? h("p", { class: "soft" }, shared) : null,
    ),
    h(
      "section",
      { class: "panel of-lists", "aria-labelledby": "lists" },
      h("h2", { id: "lists" }, "On watchlists"),
      lists.length ? h("ul", { class: "plain rows" }, lists) : h("p", {}, `No flow to what a list carries was seen${seen}.`),
      h("p", { class: "soft" }, "That a list carries a host is all it says."),
    ),
  ];
}

function host(row, place) {
  const gap = row.gap_floor_seconds === null ? "" : `; least gap between bursts ${row.gap_floor_round ?? span(row.gap_floor_seconds)}`;
  const heads = ["Time", "Country", "Sent", "Received", "After joining", "After the last", "Size"];
  return h(
    "div",
    { class: "pulls" },
    h("h3", {}, name(row.name)),
    h(
      "p",
      { class: "soft" },
      `${printable(row.vendor ?? "no vendor named")}, ${printable(row.category.replaceAll("_", " "))}: ${count(row.count)} in ${count(row.bursts)} bursts${gap}`,
    ),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": `Config pulls from ${printable(row.name)}` },
      h(
        "table",
        { class: "small" },
        h("caption", { class: "unseen" }, `Config pulls from ${printable(row.name)}`),
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            heads.map((head, index) => h("th", { scope: "col", class: index > 1 ? "number" : null }, head)),
          ),
        ),
        h(
          "tbody",
          {},
          row.pulls.map((pull) =>
            h(
              "tr",
              {},
              h("td", {}, h("time", { datetime: pull.time }, moment(pull.time))),
              h("td", {}, printable(place(pull.country))),
              [
                size(pull.request_bytes),
                size(pull.response_bytes),
                span(pull.attach_delay_seconds ?? NaN),
                span(pull.gap_seconds ?? NaN),
                `${pull.size_class ?? "–"}${pull.size_class_changed ? ", changed" : ""}`,
              ].map((text) => h("td", { class: "number" }, text)),
            ),
          ),
        ),
      ),
    ),
  );
}
