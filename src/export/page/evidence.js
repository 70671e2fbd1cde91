// What one line rests on: what named it, each witness of where it is, the packets; and these to take along.

import { h, name, printable } from "./dom.js";
import { address, ask } from "./api.js";
import { device as link } from "./route.js";
import { CLASSES, ORIGINS, VERDICTS, count, full, moment, size } from "./words.js";

/** Packets that are told before one asks for all. */
const FEW = 4;

/** The sheet over a device's view; `go(query)` opens it for the line that the address names. */
export function evidence(id, place) {
  let asked = "";
  let query = {};
  const heading = h("h2", { tabindex: "-1", autofocus: true });
  const inside = h("div", { class: "inside" });
  const node = h(
    "dialog",
    {
      class: "sheet",
      "aria-label": "Evidence",
      oncancel: (event) => {
        event.preventDefault();
        leave();
      },
    },
    h("div", { class: "bar" }, heading, h("button", { type: "button", class: "quiet", onclick: leave }, "Close")),
    inside,
  );
  node.addEventListener("click", (event) => event.target === node && leave());

  function leave() {
    location.hash = link(id, { ...query, row: "" });
  }

  function go(next) {
    query = next;
    const row = parsed(next.row);
    if (!row) return close();
    if (asked === next.row) return;
    asked = next.row;
    const [destination, origin, country, asn] = row;
    heading.replaceChildren(name(destination));
    inside.replaceChildren(h("p", { class: "soft", role: "status" }, "The evidence is being read."));
    if (!node.open) node.showModal();
    const what = { device: id, destination, origin, country, ...(asn === null ? {} : { asn }) };
    const mine = asked;
    ask("evidence", what)
      .then((told) => mine === asked && inside.replaceChildren(...tell(told, what, place)))
      .catch(
        (problem) =>
          mine === asked &&
          inside.replaceChildren(h("p", { role: "alert" }, problem.status === 404 ? "Nothing of it is known any more." : problem.message)),
      );
  }

  function close() {
    asked = "";
    if (node.open) node.close();
  }

  return { node, go, close };
}

function parsed(text) {
  try {
    const row = JSON.parse(text ?? "null");
    return Array.isArray(row) && typeof row[0] === "string" ? row : null;
  } catch {
    return null;
  }
}

function tell(told, what, place) {
  const rows = told.rows.map((row) => [summary(row, place), named(row), located(row, place), listed(row), counted(row)]);
  return [downloads(told, what), rows, sources(told)].flat(Infinity).filter(Boolean);
}

function downloads({ downloads: there, words }, what) {
  if (!there) return h("p", { class: "note" }, printable(words ?? "The packets cannot be downloaded: the sensor keeps no captures."));
  const file = `${what.device}-${what.destination}`.replaceAll(/[^\w.-]/g, "-");
  return h(
    "p",
    { class: "actions" },
    h("a", { class: "button", href: address("evidence.pcapng", what), download: `${file}.pcapng` }, "Packets that decide (pcapng)"),
    h(
      "a",
      { class: "button second", href: address("evidence.pcapng", { ...what, all: true }), download: `${file}-all.pcapng` },
      "All its packets",
    ),
  );
}

function summary({ row, sum_flows: flows, sum_location_bytes: bytes }, place) {
  const verdicts = Object.entries(VERDICTS).filter(([verdict]) => bytes[verdict] > 0);
  return h(
    "dl",
    { class: "facts" },
    [
      ["Country", `${printable(place(row.country))}${row.anycast ? ", announced from many places (anycast)" : ""}`],
      ["System", row.asn === null ? "not known" : `AS${row.asn}${row.organization ? ` ${printable(row.organization)}` : ""}`],
      ["Sent, received", `${size(row.transmit_bytes)}, ${size(row.receive_bytes)} in ${count(flows)} flows`],
      ["First, last", `${moment(row.first_seen)}, ${moment(row.last_seen)}`],
      verdicts.length
        ? [
            "Location",
            verdicts.map(([verdict, { sign, word }]) =>
              h("span", { class: `verdict ${verdict}` }, `${sign} ${word} (${size(bytes[verdict])}) `),
            ),
          ]
        : null,
    ]
      .filter(Boolean)
      .map(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]),
  );
}

function named({ named: names }) {
  if (names.length === 0) return null;
  return [
    h("h3", {}, "Named by"),
    names.map((one) =>
      h(
        "div",
        { class: "witness" },
        h(
          "p",
          {},
          one.name ? h("b", {}, name(one.name)) : "no name",
          `, ${ORIGINS[one.origin] ?? printable(one.origin)} (${flows(one.flows)})`,
        ),
        one.others.length
          ? h(
              "p",
              { class: "soft" },
              "May also have been ",
              one.others.slice(0, 8).map((other, index) => [index ? ", " : "", name(other)]),
            )
          : null,
        some(one.by.map((by) => h("li", {}, packet(by), by.dns ? dns(by.dns) : null))),
      ),
    ),
  ];
}

/** The first of a list, and the rest for whoever asks. */
function some(items) {
  if (items.length === 0) return null;
  const rest = items.slice(FEW);
  return [
    h("ul", { class: "plain packets" }, items.slice(0, FEW)),
    rest.length ? h("details", {}, h("summary", {}, `${count(rest.length)} more`), h("ul", { class: "plain packets" }, rest)) : null,
  ];
}

function dns({ question, type, aliases, ttl }) {
  const words = [
    question && `asked ${printable(question)}${type ? ` ${printable(type)}` : ""}`,
    aliases.length ? `by ${aliases.map(printable).join(" → ")}` : null,
    `valid for ${count(ttl)} s`,
  ];
  return h("span", { class: "soft" }, ` ${words.filter(Boolean).join(", ")}`);
}

function located({ located: servers }, place) {
  if (servers.length === 0) return null;
  return [
    h("h3", {}, "Located by"),
    servers.map((one) =>
      h(
        "div",
        { class: "witness" },
        h(
          "p",
          {},
          h("b", {}, printable(one.address)),
          ` (${flows(one.flows)}) `,
          h("span", { class: `verdict ${one.verdict}` }, `${VERDICTS[one.verdict].sign} ${VERDICTS[one.verdict].word}`),
        ),
        h(
          "dl",
          { class: "facts" },
          witnesses(one, place).map(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]),
        ),
        h("p", { class: "soft" }, printable(one.words)),
      ),
    ),
  ];
}

function witnesses({ witnesses: seen, handshakes, rtt_ns: rtt, asked, answered }, place) {
  const pairs = (seen?.databases ?? []).map((one) => [
    printable(one.database),
    `${one.country ? printable(place(one.country)) : "says nothing"}, built ${printable(one.built)}`,
  ]);
  if (seen?.region) {
    const { token, place, kind, alias, agrees } = seen.region;
    const verdict = agrees === null ? "too wide to say" : agrees ? "agrees" : "does not agree";
    pairs.push([
      "The name",
      `${printable(token)}${alias ? ", in an alias" : ""}: ${printable(place)}, the ${kind === "cloud" ? "cloud's own region" : "vendor's own word"}; ${verdict}`,
    ]);
  }
  if (rtt !== null && rtt !== undefined) {
    pairs.push([
      "The handshake",
      [
        `${(rtt / 1e6).toFixed(1)} ms${handshakes ? `, the least of ${count(handshakes)}` : ""}`,
        answered ? [": answered in ", packet(answered), asked ? [", asked in ", packet(asked)] : ""] : "",
      ],
    ]);
  }
  return pairs;
}

function listed({ listed: rules }) {
  if (rules.length === 0) return null;
  return [
    h("h3", {}, "On lists"),
    h(
      "ul",
      { class: "plain" },
      rules.map((one) =>
        h(
          "li",
          {},
          h("b", {}, name(one.rule)),
          ` in ${printable(one.ruleset)}: ${printable(one.category)}${one.vendor ? `, ${printable(one.vendor)}` : ""}`,
        ),
      ),
    ),
  ];
}

function counted({ counted: list, sum, sum_flows: all, left_out: left, is_the_row: same }) {
  const heads = ["First packet", "Last packet", "Time", "Client", "Server", "Known by", "Sent", "Received"];
  return [
    h("h3", {}, "Counted by"),
    h(
      "p",
      { class: "soft" },
      `${flows(all)}: ${size(sum.transmit_bytes)} sent, ${size(sum.receive_bytes)} received${same ? ", as in the table" : "; the table's line is another moment's or holds more"}. ${left ? `${count(left)} are in the sum and not listed here.` : ""}`,
    ),
    list.length
      ? h(
          "div",
          { class: "scroll", tabindex: "0", role: "region", "aria-label": "Flows" },
          h(
            "table",
            { class: "small" },
            h("caption", { class: "unseen" }, "Flows"),
            h(
              "thead",
              {},
              h(
                "tr",
                {},
                heads.map((head, index) => h("th", { scope: "col", class: index < 2 || index > 5 ? "number" : null }, head)),
              ),
            ),
            h(
              "tbody",
              {},
              list.map((flow) =>
                h(
                  "tr",
                  {},
                  h("td", { class: "number", title: printable(flow.first.file) }, String(flow.first.packet)),
                  h("td", { class: "number", title: printable(flow.last.file) }, String(flow.last.packet)),
                  h("td", {}, h("time", { datetime: flow.first.time }, moment(flow.first.time))),
                  h("td", {}, `${printable(flow.transport ?? "")} ${printable(flow.client ?? "")}`),
                  h("td", {}, printable(flow.server ?? "")),
                  h("td", {}, printable(CLASSES[flow.visibility]?.[0] ?? flow.visibility ?? "")),
                  h("td", { class: "number" }, size(flow.transmit_bytes)),
                  h("td", { class: "number" }, size(flow.receive_bytes)),
                ),
              ),
            ),
          ),
        )
      : null,
  ];
}

function sources({ source, files, learnt, databases, attribution }) {
  return [
    learnt.length
      ? [
          h("h3", {}, "The device"),
          h(
            "ul",
            { class: "plain" },
            learnt.map((one) => h("li", {}, `${printable(one.what)}: `, h("b", {}, name(one.value)), " ", packet(one.by))),
          ),
        ]
      : null,
    h(
      "p",
      { class: "soft" },
      source === "captures"
        ? `Read again from ${files.map(printable).join(", ")}; packet numbers are theirs, as tshark counts them. `
        : "From what the sensor remembers; packets are numbered as they came. ",
      `Databases: ${databases.map((one) => `${printable(one.database)} of ${printable(one.built)}`).join(", ")}. ${printable(attribution)}.`,
    ),
  ];
}

function packet({ file, packet: number, time }) {
  return h(
    "span",
    { class: "packet", title: `${file ? `${printable(file)}, ` : ""}${full(time)}` },
    `packet ${number} `,
    h("time", { datetime: time, class: "soft" }, moment(time)),
  );
}

function flows(number) {
  return number === 1 ? "1 flow" : `${count(number)} flows`;
}
