// All devices at once: who is here, where their bytes go, and what is new.

import { h, name, printable, set } from "./dom.js";
import { ask } from "./api.js";
import { empty } from "./empty.js";
import { feed } from "./feed.js";
import { grid } from "./grid.js";
import { map, project } from "./map.js";
import { matrix } from "./matrix.js";
import { device as link } from "./route.js";
import { strip, when } from "./strip.js";
import { VERDICTS, count, share, size, verdict as judged } from "./words.js";

/** The view; `show(overview)` renews it. */
export function overview({ world, titles, place }) {
  const devices = grid({
    caption: "Devices",
    key: (row) => row.id,
    sort: { id: "bytes", down: true },
    size: 25,
    narrow: 51,
    columns: COLUMNS,
    nothing: "No device has been seen yet.",
  });
  const picture = map(world, "Map: where the devices' bytes went");
  const table = matrix(link);
  const news = feed({ title: titles, place });
  const nothing = empty();
  const full = h(
    "div",
    { class: "overview" },
    h(
      "div",
      { class: "column" },
      h("section", { class: "panel of-devices", "aria-labelledby": "devices" }, h("h2", { id: "devices" }, "Devices"), devices.node),
      h(
        "section",
        { class: "panel of-matrix", "aria-labelledby": "matrix" },
        h("h2", { id: "matrix" }, "Devices and countries"),
        table.node,
      ),
    ),
    h(
      "div",
      { class: "column" },
      h("section", { class: "panel of-map", "aria-labelledby": "world" }, h("h2", { id: "world" }, "Where the bytes went"), picture.node),
      news.node,
    ),
  );
  const node = h("div", {}, h("h1", { class: "unseen", tabindex: "-1" }, "Overview"), nothing.node, full);
  ask("events", { limit: 200 })
    .then((told) => news.take(told.events))
    .catch(() => {});

  function show(seen) {
    const some = seen.devices.length > 0;
    set(full, "hidden", !some);
    nothing.update(some ? null : seen);
    devices.update(seen.devices.map(row));
    picture.update({
      bench: seen.bench && project([seen.bench.latitude, seen.bench.longitude], world),
      places: world.locate(places(seen.devices)),
    });
    news.take([]);
    const byBytes = [...seen.devices].sort((a, b) => total(b) - total(a));
    table.update(
      byBytes.map((device) => ({ id: device.device, title: called(device) })),
      seen.devices.flatMap((device) => device.countries.map((country) => ({ ...country, device: device.device }))),
    );
  }

  return { node, show, notable: (event) => news.take([event]), asks: ["overview"] };
}

/** What a device is called: its alias, else the name that it gave itself, else its label. */
export function called(device) {
  return device.alias ?? device.hostname ?? device.device;
}

function total(device) {
  return device.transmit_bytes + device.receive_bytes;
}

/** All devices' bytes by country. */
function places(devices) {
  const sums = new Map();
  for (const device of devices) {
    for (const country of device.countries) {
      const sum = sums.get(country.country) ?? { country: country.country, name: country.name, bytes: 0, verdicts: {} };
      sum.bytes += total(country);
      for (const [verdict, bytes] of Object.entries(country.location_bytes)) sum.verdicts[verdict] = (sum.verdicts[verdict] ?? 0) + bytes;
      sums.set(country.country, sum);
    }
  }
  return [...sums.values()];
}

function row(device) {
  return {
    ...device,
    id: device.device,
    title: called(device),
    outside: device.countries.filter((country) => country.country.length === 2),
  };
}

const COLUMNS = [
  {
    id: "name",
    head: "Device",
    value: (row) => row.title,
    sign: (row) => [row.title, row.vendor, row.addresses[0], row.router].join("\n"),
    cell: who,
  },
  { id: "last", head: "Last packet", time: true, first: "down", value: (row) => row.last_seen, cell: (row) => when(row.last_seen) },
  {
    id: "bytes",
    head: "Last hour",
    sorts: "All bytes",
    first: "down",
    number: true,
    hint: "Sorts by all bytes",
    value: (row) => row.transmit_bytes + row.receive_bytes,
    sign: (row) => `${row.recent.begin}${row.recent.bytes}`,
    cell: (row) => strip(row.recent, { label: `Bytes of ${printable(row.title)} in its last hour` }),
  },
  { id: "up", head: "Sent", first: "down", number: true, value: (row) => row.transmit_bytes, cell: (row) => size(row.transmit_bytes) },
  { id: "down", head: "Received", first: "down", number: true, value: (row) => row.receive_bytes, cell: (row) => size(row.receive_bytes) },
  {
    id: "countries",
    head: "Countries",
    first: "down",
    number: true,
    value: (row) => row.outside.length,
    sign: (row) => JSON.stringify(row.outside.map((one) => [one.country, one.location_bytes])),
    cell: countries,
  },
  {
    id: "unnamed",
    head: "Unnamed",
    first: "down",
    number: true,
    hint: "Share of the bytes outside whose destination has no name",
    value: (row) => (row.outside_bytes > 0 ? row.unnamed_bytes / row.outside_bytes : null),
    sign: (row) => share(row.unnamed_bytes, row.outside_bytes),
    cell: (row) => share(row.unnamed_bytes, row.outside_bytes),
  },
];

function who(row) {
  const about = [row.vendor, row.router && "router", row.randomized_mac && "random MAC", row.addresses[0] ?? row.mac].filter(Boolean);
  return [
    h("a", { class: "strong", href: link(row.id) }, name(row.title)),
    h(
      "span",
      { class: "sub" },
      about.map((part, index) => [index ? " · " : "", name(part)]),
    ),
  ];
}

function countries(row) {
  const most = [...row.outside].sort((a, b) => total(b) - total(a));
  const chips = most.slice(0, 3).map((country) => {
    const verdict = judged(country.location_bytes) ?? "unmeasured";
    const words = `${country.name}: ${size(total(country))}, ${VERDICTS[verdict].word}${country.expected === false ? ", not expected" : ""}`;
    return h(
      "span",
      { class: `chip ${verdict}`, title: words },
      h("span", { "aria-hidden": "true" }, VERDICTS[verdict].sign),
      h("abbr", { "aria-label": words }, country.country),
    );
  });
  return h("span", { class: "chips" }, chips, most.length > 3 ? h("span", { class: "chip more" }, `+${count(most.length - 3)}`) : null);
}
