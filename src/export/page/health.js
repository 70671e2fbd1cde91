// How well the capture sees: what everything else on the page is worth, so it stands first.

import { h, printable, say, set } from "./dom.js";
import { count, millis, share, size, span } from "./words.js";

/** Each figure: its term, and what it tells of an overview: the figure, words, and whether it is bad. */
const FIGURES = [
  ["Packets read", packets],
  ["Packets lost", lost],
  [
    "Bytes without a name",
    ({ health: c }) => [share(c.unnamed_bytes, c.outside_bytes), `of ${size(c.outside_bytes)} outside: the address alone`],
  ],
  ["Names hidden", ({ health: c }) => [share(c.hidden_bytes, c.outside_bytes), "by tunnels, relays, encrypted DNS and hellos"]],
  ["Frames skipped", skipped],
  [
    "Seen",
    ({ devices, first_packet: first, last_packet: last }) => [
      `${count(devices.length)} device${devices.length === 1 ? "" : "s"}`,
      first && last ? `in ${span((millis(last) - millis(first)) / 1000)}` : "",
    ],
  ],
];

/** The strip of figures under the page's head. `update(overview)` renews it. */
export function health() {
  const figures = FIGURES.map(([term, tell]) => figure(term, tell));
  const node = h(
    "section",
    { class: "health", "aria-label": "Capture health", hidden: true },
    h(
      "dl",
      {},
      figures.map((each) => each.node),
    ),
  );
  const update = (seen) => {
    set(node, "hidden", false);
    figures.forEach((each) => each.update(seen));
  };
  return { node, update };
}

function packets({ health: c }) {
  const down = c.interfaces.filter((one) => !one.up).map((one) => printable(one.interface));
  if (down.length) return [count(c.packets), `${down.join(", ")} is down or away`, true];
  if (c.silent_seconds > 60) return [count(c.packets), `none for ${span(c.silent_seconds)}`];
  const names = c.interfaces.map((one) => printable(one.interface));
  return [
    count(c.packets),
    c.reads === "interface" ? `from ${names.join(", ")}` : c.finished ? "to the end of the captures" : "of captures, replayed",
  ];
}

function lost({ health: c }) {
  const dropped = c.events_dropped ? `; ${count(c.events_dropped)} events were not written` : "";
  if (c.reads !== "interface") return ["not known", `a capture does not say: see who wrote it${dropped}`, c.events_dropped > 0];
  const kernel = c.interfaces.reduce((sum, one) => sum + one.dropped_kernel, 0);
  const card = c.interfaces.reduce((sum, one) => sum + one.dropped_interface, 0);
  const all = kernel + card;
  if (all === 0) return ["0", `by kernel or interface${dropped}`, c.events_dropped > 0];
  return [count(all), `${share(all, all + c.packets)}: ${count(kernel)} by the kernel, ${count(card)} by the interface${dropped}`, true];
}

function skipped({ health: c }) {
  const reasons = Object.entries(c.skipped)
    .filter(([, number]) => number > 0)
    .sort((a, b) => b[1] - a[1]);
  const all = reasons.reduce((sum, [, number]) => sum + number, 0);
  const unread = Object.values(c.input_errors).reduce((sum, number) => sum + number, 0);
  const words = [
    reasons
      .slice(0, 2)
      .map(([reason, number]) => `${reason} ${count(number)}`)
      .join(", "),
    unread ? `${count(unread)} messages unreadable` : "",
  ];
  return [count(all), words.filter(Boolean).join("; ") || "all were charged to a device"];
}

function figure(term, tell) {
  const value = h("span", { class: "value" });
  const words = h("span", { class: "words" });
  const node = h("div", { class: "figure" }, h("dt", {}, term), h("dd", {}, value, words));
  const update = (seen) => {
    const [text, more, bad] = tell(seen);
    say(value, bad ? `▲ ${text}` : text);
    say(words, more);
    set(node, "data-mood", bad ? "bad" : null);
  };
  return { node, update };
}
