// Phases and marks over a device's time line: what somebody at the bench said, and the phase that began with it.

import { h, name, printable } from "./dom.js";
import { millis, moment } from "./words.js";

/** Marks told in words below the time line. */
const TOLD = 12;

/** Bars for phases and ticks for marks, over the same time as the strip above them; and the marks in words. */
export function phases({ begin, width_seconds: width, bytes }, marks) {
  const start = millis(begin);
  const length = width * bytes.length * 1000;
  const sorted = marks
    .map((event) => ({ at: millis(event["@timestamp"]), time: event["@timestamp"], text: event.message, phase: event["whither.phase"] }))
    .sort((a, b) => a.at - b.at);
  if (!(length > 0) || sorted.length === 0) return [];
  const share = (time) => Math.min(1, Math.max(0, (time - start) / length)) * 100;
  const begins = sorted.filter((mark) => mark.phase);
  const bars = begins.map((mark, index) => {
    const [left, right] = [share(mark.at), index + 1 < begins.length ? share(begins[index + 1].at) : 100];
    const bar = h(
      "span",
      { class: "phase", title: `${printable(mark.phase)} from ${moment(mark.time)}`, "data-phase": printable(mark.phase) },
      printable(mark.phase),
    );
    bar.style.left = `${left}%`;
    bar.style.width = `${Math.max(0.3, right - left)}%`;
    return bar;
  });
  const ticks = sorted.map((mark) => {
    const tick = h("span", { class: "tick", title: `${printable(mark.text)}, ${moment(mark.time)}` });
    tick.style.left = `${share(mark.at)}%`;
    return tick;
  });
  const list = h(
    "ul",
    { class: "marks" },
    sorted.slice(-TOLD).map((mark) => h("li", {}, h("time", { datetime: mark.time }, moment(mark.time)), " ", name(mark.text))),
  );
  return [h("div", { class: "phases", "aria-hidden": "true" }, bars, ticks), list];
}
