// The visibility budget: each byte in exactly one class of what is known of its destination.

import { h } from "./dom.js";
import { CLASSES, count, share, size } from "./words.js";

const PARTS = { named: "named", unnamed: "address alone", hidden: "hidden", inside: "on our side" };

/** A bar of four parts, and the classes that they are made of. `classes` as the API has them. */
export function budget(classes) {
  const bytes = (one) => one.transmit_bytes + one.receive_bytes;
  const all = classes.reduce((sum, one) => sum + bytes(one), 0);
  const sums = Object.keys(PARTS).map((part) => [part, classes.filter((one) => one.is === part).reduce((sum, one) => sum + bytes(one), 0)]);
  const bar = h(
    "div",
    { class: "budget", role: "img", "aria-label": sums.map(([part, sum]) => `${PARTS[part]} ${share(sum, all)}`).join(", ") },
    sums
      .filter(([, sum]) => sum > 0)
      .map(([part, sum]) => {
        const piece = h("span", { class: `part ${part}`, title: `${PARTS[part]}: ${size(sum)}` });
        piece.style.flexGrow = String(sum / all);
        return piece;
      }),
  );
  const keys = h(
    "ul",
    { class: "legend" },
    sums.map(([part, sum]) => h("li", {}, h("span", { class: `swatch ${part}` }), `${PARTS[part]} ${share(sum, all)}`)),
  );
  const rows = [...classes].filter((one) => bytes(one) > 0).sort((a, b) => bytes(b) - bytes(a));
  const table = h(
    "table",
    { class: "small" },
    h("caption", { class: "unseen" }, "Bytes by what is known of their destination"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        ["Known by", "Sent", "Received", "Share"].map((head, index) => h("th", { scope: "col", class: index ? "number" : null }, head)),
      ),
    ),
    h(
      "tbody",
      {},
      rows.map((one) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, h("span", { class: `swatch ${one.is}` }), CLASSES[one.class]?.[0] ?? one.class),
          [size(one.transmit_bytes), size(one.receive_bytes), share(bytes(one), all)].map((text) => h("td", { class: "number" }, text)),
        ),
      ),
    ),
  );
  return [bar, keys, h("details", {}, h("summary", {}, `${count(rows.length)} classes`), table)];
}
