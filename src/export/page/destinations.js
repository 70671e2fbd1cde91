// A device's destinations: sorted, searched, and each with its strip of time; a click opens what each line rests on.

import { h, name, printable, say, set } from "./dom.js";
import { grid } from "./grid.js";
import { device as link, note } from "./route.js";
import { axis, strip, when } from "./strip.js";
import { ORIGINS, VERDICTS, count, size, span, verdict as judged } from "./words.js";

/** The table with its tools. `update(detail)` renews it, `go(query)` takes what the address says. */
export function destinations(id) {
  let query = {};
  let shown = null;
  const table = grid({
    caption: "Destinations",
    narrow: 68,
    key,
    sort: { id: "bytes", down: true },
    columns: columns(id, () => query),
    nothing: "No destination fits.",
    onsort: (sort) => keep({ sort: sort.id, way: sort.down ? "down" : "up" }),
  });
  const search = h("input", {
    type: "search",
    id: "search",
    placeholder: "name, organisation, country, purpose",
    autocomplete: "off",
    spellcheck: "false",
    oninput: () => keep({ q: search.value }),
  });
  const verdict = chooser(
    "Verdict",
    "verdict",
    Object.entries(VERDICTS).map(([value, { word }]) => [value, word]),
    keep,
  );
  const origin = chooser(
    "Named by",
    "origin",
    Object.keys(ORIGINS).map((value) => [value, value]),
    keep,
  );
  const country = chooser("Country", "country", [], keep);
  const told = h("p", { class: "soft", role: "status" });
  const scale = h("div", { class: "scale" });
  const node = h(
    "section",
    { class: "panel of-destinations", "aria-labelledby": "destinations" },
    h("div", { class: "bar" }, h("h2", { id: "destinations" }, "Destinations"), told),
    h("div", { class: "tools" }, h("label", { class: "grow" }, "Search ", search), verdict.node, origin.node, country.node),
    scale,
    table.node,
  );

  function keep(change) {
    query = { ...query, ...change };
    note(id, query);
    draw();
  }

  function go(next) {
    query = { ...next };
    if (document.activeElement !== search) search.value = query.q ?? "";
    for (const each of [verdict, origin, country]) each.take(query);
    if (query.sort) table.sort(`${query.sort} ${query.way ?? "down"}`, true);
    draw();
  }

  function update(detail) {
    shown = detail;
    const names = new Map(detail.destinations.map((row) => [row.country, row.country_name]));
    country.offer([...names].sort((a, b) => a[1].localeCompare(b[1], "en")));
    country.take(query);
    draw();
  }

  function draw() {
    if (!shown) return;
    const fits = filter(query);
    const rows = shown.destinations.filter(fits).map((row) => ({ ...row, series: { ...shown.timeline, bytes: row.timeline } }));
    say(
      told,
      rows.length === shown.destinations.length ? count(rows.length) : `${count(rows.length)} of ${count(shown.destinations.length)}`,
    );
    scale.replaceChildren(axis(shown.timeline));
    table.update(rows);
  }

  return { node, update, go };
}

/** What makes a line of the table: four things that no two lines share. */
export function key(row) {
  return JSON.stringify([row.destination, row.origin, row.country, row.asn]);
}

function filter({ q = "", verdict, origin, country }) {
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  return (row) => {
    if ((verdict && judged(row.location_bytes) !== verdict) || (origin && row.origin !== origin) || (country && row.country !== country))
      return false;
    if (words.length === 0) return true;
    const text = [
      row.destination,
      row.organization,
      row.country,
      row.country_name,
      row.asn && `AS${row.asn}`,
      row.origin,
      ...row.categories,
      ...row.services.map((one) => one.vendor),
      ...row.names.map((one) => one.name),
    ]
      .join(" ")
      .toLowerCase();
    return words.every((word) => text.includes(word));
  };
}

function chooser(label, field, choices, keep) {
  const select = h("select", { onchange: () => keep({ [field]: select.value }) });
  const node = h("label", {}, `${label} `, select);
  let offered = "";
  const offer = (list) => {
    const mark = JSON.stringify(list);
    if (mark === offered) return;
    offered = mark;
    const kept = select.value;
    select.replaceChildren(h("option", { value: "" }, "any"), ...list.map(([value, words]) => h("option", { value }, printable(words))));
    select.value = kept;
  };
  offer(choices);
  return {
    node,
    offer,
    take: (query) => {
      select.value = query[field] ?? "";
    },
  };
}

function columns(id, query) {
  return [
    {
      id: "name",
      head: "Destination",
      value: (row) => row.destination,
      sign: (row) => [key(row), row.organization, row.location?.name, row.names[0]?.name].join("\n"),
      cell: (row) => what(row, id, query()),
    },
    {
      id: "country",
      head: "Country",
      value: (row) => row.country_name,
      sign: (row) => [row.country, judged(row.location_bytes), row.expected, row.anycast].join(),
      cell: where,
    },
    {
      id: "origin",
      head: "Named by",
      value: (row) => row.origin,
      cell: (row) => h("abbr", { title: ORIGINS[row.origin] }, row.origin === "none" ? "–" : row.origin),
    },
    {
      id: "purpose",
      head: "For",
      value: (row) => row.categories.join(", "),
      cell: (row) => row.categories.map((one) => h("span", { class: "tag" }, printable(one.replaceAll("_", " ")))),
    },
    { id: "up", head: "Sent", first: "down", number: true, value: (row) => row.transmit_bytes, cell: (row) => size(row.transmit_bytes) },
    {
      id: "down",
      head: "Received",
      first: "down",
      number: true,
      value: (row) => row.receive_bytes,
      cell: (row) => size(row.receive_bytes),
    },
    { id: "flows", head: "Flows", first: "down", number: true, value: (row) => row.flows, cell: (row) => count(row.flows) },
    {
      id: "rhythm",
      head: "Rhythm",
      sorts: "Period",
      number: false,
      value: (row) => row.rhythm?.period_seconds ?? null,
      first: "up",
      sign: (row) => rhythm(row.rhythm).join(),
      cell: (row) => told(row.rhythm),
    },
    { id: "first", head: "First", time: true, value: (row) => row.first_seen, cell: (row) => when(row.first_seen) },
    { id: "last", head: "Last", time: true, first: "down", value: (row) => row.last_seen, cell: (row) => when(row.last_seen) },
    {
      id: "bytes",
      head: "Over time",
      sorts: "All bytes",
      first: "down",
      number: true,
      hint: "Sorts by all bytes",
      value: (row) => row.transmit_bytes + row.receive_bytes,
      sign: (row) => `${row.series.begin}${row.timeline}`,
      cell: (row) => strip(row.series, { label: `Bytes with ${printable(row.destination)} over time` }),
    },
  ];
}

function what(row, id, query) {
  const host = row.location?.name ?? row.names[0]?.name;
  const about = [host !== row.destination && host, row.organization].filter(Boolean).map(printable).join(" · ");
  return [
    h("a", { class: "strong", href: link(id, { ...query, row: key(row) }), title: printable(row.destination) }, name(row.destination)),
    about ? h("span", { class: "sub", title: about }, h("bdi", {}, about)) : null,
  ];
}

function where(row) {
  const words = [h("span", { class: "country" }, printable(row.country_name))];
  if (row.anycast)
    words.push(
      h("span", { class: "tag", title: "announced from many places at once: the country is the database's word and no more" }, "anycast"),
    );
  if (row.expected === false)
    words.push(h("span", { class: "tag", title: "not among the countries that the devices file expects" }, "not expected"));
  const verdict = judged(row.location_bytes);
  if (verdict)
    words.push(
      h("span", { class: `verdict ${verdict}`, title: VERDICTS[verdict].long }, `${VERDICTS[verdict].sign} ${VERDICTS[verdict].word}`),
    );
  return words;
}

/** A rhythm in a few words. */
export function rhythm(row) {
  if (!row) return [];
  const words = [];
  if (row.persistent_flows > 0) words.push(`persistent, ${span(row.persistent_longest_seconds)}`);
  if (row.periodic) words.push(`each ${span(row.period_seconds)}`);
  if (row.anchored) words.push("after joining");
  if (words.length === 0 && row.beats > 1) words.push(`${count(row.beats)} beats`);
  return words;
}

function told(row) {
  const words = rhythm(row);
  if (words.length === 0) return "–";
  const long = [
    `${count(row.beats)} beats`,
    row.period_seconds && `median gap ${span(row.period_seconds)}`,
    row.regularity !== null && `regularity ${row.regularity.toFixed(2)}`,
    row.attach && `${row.attach.beats_after} of ${row.attach.beats} within two minutes of joining`,
  ];
  return h(
    "span",
    { class: row.periodic || row.anchored || row.persistent_flows ? "steady" : "soft", title: long.filter(Boolean).join(", ") },
    words.join("; "),
  );
}
