// Devices × countries: how much each device exchanged with each place, and what handshake times say of the place.

import { h, name, printable } from "./dom.js";
import { VERDICTS, size, verdict as judged } from "./words.js";

/** Devices, and countries beside each other where there is room; those past that are one column more. */
const ROWS = 25;
const COLUMNS = 24;
const FEWEST = 4;
/** The columns of what is no country, or not told by itself. */
const [REST, INSIDE] = ["rest", "inside"];
const outside = (row) => row.country !== "local" && row.country !== "multicast";

/** The table. `update(devices, rows)`: rows are a device's countries as the API has them, with `device`. */
export function matrix(link) {
  const table = h("table", { class: "matrix" });
  const node = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Bytes of each device by country" }, table);
  let last = "";
  let given = [[], []];
  new ResizeObserver(() => draw(...given)).observe(node);

  function update(devices, rows) {
    given = [devices, rows];
    draw(devices, rows);
  }

  function draw(devices, rows) {
    const room = Math.max(2, Math.floor((node.clientWidth / parseFloat(getComputedStyle(node).fontSize) - 13) / 6.1));
    const sums = new Map();
    for (const row of rows.filter(outside)) {
      const sum = sums.get(row.country) ?? { code: row.country, name: row.name, bytes: 0 };
      sum.bytes += row.transmit_bytes + row.receive_bytes;
      sums.set(row.country, sum);
    }
    const places = [...sums.values()].sort((a, b) => b.bytes - a.bytes);
    const told = places.slice(0, Math.min(Math.max(room - 2, FEWEST), COLUMNS));
    const known = new Set(told.map((place) => place.code));
    const column = (row) => (outside(row) ? (known.has(row.country) ? row.country : REST) : INSIDE);
    const cells = new Map();
    for (const row of rows) {
      const key = `${row.device}\n${column(row)}`;
      const cell = cells.get(key) ?? { bytes: 0, verdicts: {} };
      cell.bytes += row.transmit_bytes + row.receive_bytes;
      for (const [verdict, bytes] of Object.entries(row.location_bytes)) cell.verdicts[verdict] = (cell.verdicts[verdict] ?? 0) + bytes;
      cells.set(key, cell);
    }
    if (places.length > told.length) told.push({ code: REST, name: `${places.length - told.length} others` });
    told.push({ code: INSIDE, name: "own side" });
    const shown = devices.slice(0, ROWS);
    const mark = JSON.stringify([
      shown.map((device) => [device.id, device.title]),
      told.map((place) => place.code),
      [...cells].map(([key, cell]) => [key, cell.bytes]),
    ]);
    if (mark === last) return;
    last = mark;
    const most = Math.max(1, ...[...cells.values()].map((cell) => cell.bytes));
    const caption = h(
      "caption",
      {},
      "Bytes sent and received. ",
      devices.length > ROWS ? `The ${ROWS} devices with the most bytes of ${devices.length}.` : "",
    );
    const heads = told.map((place) =>
      h("th", { scope: "col", title: printable(place.name) }, h("span", { class: "place" }, printable(place.name))),
    );
    table.replaceChildren(
      caption,
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Device"), heads)),
      h(
        "tbody",
        {},
        shown.map((device) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, h("a", { href: link(device.id) }, name(device.title))),
            told.map((place) => box(cells.get(`${device.id}\n${place.code}`), most)),
          ),
        ),
      ),
    );
  }

  return { node, update };
}

function box(cell, most) {
  if (!cell || cell.bytes === 0) return h("td", { class: "none" }, h("span", { "aria-label": "nothing" }, "·"));
  const verdict = judged(cell.verdicts);
  const node = h("td", {}, h("span", { class: "bytes" }, size(cell.bytes)));
  if (verdict)
    node.append(
      h(
        "span",
        { class: `verdict ${verdict}`, title: VERDICTS[verdict].long, role: "img", "aria-label": VERDICTS[verdict].word },
        VERDICTS[verdict].sign,
      ),
    );
  node.dataset.depth = String(Math.round(Math.max(0, 1 + Math.log10(cell.bytes / most) / 4) * 6));
  return node;
}
