// Bytes over time as bars: a spark beside a device, a strip for each destination.

import { h, s } from "./dom.js";
import { mark, millis, moment, size, span } from "./words.js";

/** Bars of a series { begin, width_seconds, bytes }; said in words for whoever does not see them. */
export function strip({ begin, width_seconds: width, bytes }, { tall = 22, label = "Bytes over time", most } = {}) {
  const high = Math.max(1, most ?? Math.max(0, ...bytes));
  const start = millis(begin);
  let path = "";
  bytes.forEach((value, index) => {
    if (value <= 0) return;
    const bar = Math.max(1.5, Math.sqrt(value / high) * tall);
    path += `M${index * 4 + 0.4} ${tall}v-${bar.toFixed(1)}h3.2v${bar.toFixed(1)}z`;
  });
  return s(
    "svg",
    {
      class: "strip",
      viewBox: `0 0 ${Math.max(1, bytes.length) * 4} ${tall}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": `${label}: ${told(bytes, start, width)}`,
    },
    s("path", { class: "rule", d: `M0 ${tall - 0.25}h${Math.max(1, bytes.length) * 4}` }),
    s("path", { class: "bars", d: path }),
  );
}

function told(bytes, start, width) {
  const total = bytes.reduce((sum, value) => sum + value, 0);
  if (total === 0) return "none";
  const best = bytes.indexOf(Math.max(...bytes));
  const busy = bytes.filter((value) => value > 0).length;
  return `in ${busy} of ${bytes.length} intervals of ${span(width)}; most, ${size(bytes[best])}, from ${moment(new Date(start + best * width * 1000).toISOString())}`;
}

/** Steps between marks, seconds. */
const STEPS = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800];

/** The time axis under strips: marks at round moments. */
export function axis({ begin, width_seconds: width, intervals }, most = 6) {
  const start = millis(begin);
  const length = width * intervals * 1000;
  const node = h("div", { class: "axis", "aria-hidden": "true" });
  if (!(length > 0)) return node;
  const step = (STEPS.find((one) => length / (one * 1000) <= most) ?? STEPS.at(-1)) * 1000;
  for (let at = Math.ceil(start / step) * step; at < start + length; at += step) {
    const share = (at - start) / length;
    if (share > 0.9) break;
    const tick = h("span", {}, mark(at, step));
    tick.style.left = `${(share * 100).toFixed(2)}%`;
    node.append(tick);
  }
  return node;
}

/** A time in a table: the clock, and below it the day. */
export function when(rfc3339) {
  const words = moment(rfc3339);
  const [day, month, clock] = words.split(" ");
  return h("time", { datetime: rfc3339 }, clock ?? words, clock ? h("span", { class: "sub" }, `${day} ${month}`) : null);
}
