// One device: who it is, how well it was seen, where its bytes went, and what each line rests on.

import { h, name, printable, say, set } from "./dom.js";
import { address, ask } from "./api.js";
import { budget } from "./budget.js";
import { destinations } from "./destinations.js";
import { evidence } from "./evidence.js";
import { feed } from "./feed.js";
import { map, project } from "./map.js";
import { called } from "./overview.js";
import { facts, pulls } from "./profile.js";
import { phases } from "./phases.js";
import { strip, axis } from "./strip.js";
import { VERDICTS, share, size, verdict as judged } from "./words.js";

/** The view of the device with this label. */
export function device(id, { world, title, place }) {
  const heading = h("h1", { tabindex: "-1" }, name(title(id)));
  const about = h("p", { class: "soft" });
  const report = h(
    "a",
    { class: "button", href: address("report.html", { device: id }), download: `${id.replaceAll(/[^\w.-]/g, "-")}.html` },
    "Download the report",
  );
  const why = h("p", { class: "soft why" });
  const [who, seen, activity] = [h("div"), h("div"), h("div")];
  const picture = map(world, `Map: where the bytes of ${printable(title(id))} went`);
  const countries = h("ul", { class: "countries" });
  const table = destinations(id);
  const routine = h("div", { class: "routine" });
  const news = feed({ title, place, heading: "Notable of this device", own: true });
  const proof = evidence(id, place);
  const trouble = h("p", { class: "panel", role: "alert", hidden: true });
  const full = h(
    "div",
    { class: "device", hidden: true },
    h("section", { class: "panel of-who", "aria-labelledby": "who" }, h("h2", { id: "who" }, "Who it is"), who),
    h("section", { class: "panel of-seen", "aria-labelledby": "seen" }, h("h2", { id: "seen" }, "How well it was seen"), seen),
    h("section", { class: "panel of-activity", "aria-labelledby": "activity" }, h("h2", { id: "activity" }, "Activity"), activity),
    table.node,
    h(
      "section",
      { class: "panel of-map", "aria-labelledby": "world" },
      h("h2", { id: "world" }, "Where the bytes went"),
      picture.node,
      countries,
    ),
    news.node,
    routine,
  );
  const node = h(
    "div",
    {},
    h(
      "div",
      { class: "headline" },
      h("p", { class: "back" }, h("a", { href: "#/" }, "← All devices")),
      heading,
      about,
      h("p", { class: "actions" }, report, why),
    ),
    trouble,
    full,
    proof.node,
  );
  const signs = new Map();
  const said = new Map();
  ask("events", { device: id, limit: 200 })
    .then((told) => news.take(told.events))
    .catch(() => {});
  ask("events", { action: "mark", limit: 200 })
    .then((told) => told.events.forEach(mark))
    .catch(() => {});

  /** Takes in what somebody at the bench said, of this device or of all. */
  function mark({ id: number, event }) {
    if (event["event.action"] === "mark" && (!event["device.id"] || event["device.id"] === id)) said.set(number, event);
  }

  /** Makes a part anew only where what it shows has changed. */
  function part(target, sign, make) {
    const text = JSON.stringify(sign);
    if (signs.get(target) === text) return;
    signs.set(target, text);
    target.replaceChildren(...[make()].flat(Infinity).filter(Boolean));
  }

  function show(detail) {
    const { device: own } = detail;
    set(trouble, "hidden", true);
    set(full, "hidden", false);
    say(heading.firstChild, printable(called(own)));
    say(
      about,
      [own.vendor, own.mac ?? own.device, own.router && "router", own.randomized_mac && "random MAC"]
        .filter(Boolean)
        .map(printable)
        .join(" · "),
    );
    const packets = detail.evidence === "captures";
    set(report, "hidden", !packets);
    say(why, packets ? "" : "No report and no packets to download: the sensor keeps no captures.");
    part(who, [own.identity, own.addresses, own.expected_countries, own.same_as, own.notes, own.last_seen], () => facts(own, place));
    part(seen, [detail.visibility, detail.coverage], () => [coverage(detail), budget(detail.visibility)]);
    const marks = [...said.values()];
    const all = { ...detail.timeline, bytes: summed(detail) };
    part(activity, [all, detail.recent, marks.length], () => [
      strip(all, { tall: 40, label: "Bytes over time" }),
      axis(all, 8),
      phases(all, marks),
      h("h3", {}, "The last hour"),
      strip(detail.recent, { tall: 40, label: "Bytes in the last hour" }),
      axis({ ...detail.recent, intervals: detail.recent.bytes.length }, 8),
    ]);
    table.update(detail);
    const outside = detail.countries.map((one) => ({
      ...one,
      bytes: one.transmit_bytes + one.receive_bytes,
      verdicts: one.location_bytes,
    }));
    const spots = world.locate(outside);
    picture.update({ bench: detail.bench && project([detail.bench.latitude, detail.bench.longitude], world), places: spots });
    part(
      countries,
      spots.map((one) => [one.code, one.bytes, one.verdicts, one.expected]),
      () => spots.sort((a, b) => b.bytes - a.bytes).map((one) => country(one, own)),
    );
    part(routine, [detail.config_pulls, detail.watchlists, detail.coverage], () => pulls(detail, place));
  }

  return {
    node,
    show,
    load: () => ask("device", { device: id }),
    notable: (told) => {
      mark(told);
      if (told.event["device.id"] === id) news.take([told]);
    },
    go: (query) => {
      table.go(query);
      proof.go(query);
    },
    trouble: (problem) => {
      set(trouble, "hidden", false);
      say(
        trouble,
        problem.status === 404 ? "No such device has been seen, or it has been forgotten after a week of silence." : problem.message,
      );
    },
    close: proof.close,
  };
}

/** Bytes with all destinations, by interval. */
function summed({ timeline, destinations: rows }) {
  return Array.from({ length: timeline.intervals }, (_, index) => rows.reduce((sum, row) => sum + (row.timeline[index] ?? 0), 0));
}

function coverage({ coverage: seen, visibility }) {
  const bytes = (one) => one.transmit_bytes + one.receive_bytes;
  const outside = visibility.filter((one) => one.is !== "inside").reduce((sum, one) => sum + bytes(one), 0);
  const named = visibility.filter((one) => one.is === "named").reduce((sum, one) => sum + bytes(one), 0);
  const words = [`${share(named, outside)} of ${size(outside)} outside have a name.`];
  if (seen) {
    const hours = seen.seen_seconds / 3600;
    words.unshift(
      `Present for ${hours < 1 ? `${Math.round(seen.seen_seconds / 60)} min` : `${hours.toFixed(1)} h`}, joined ${seen.associations === 0 ? "never while it was watched" : seen.associations === 1 ? "once" : `${seen.associations} times`}.`,
    );
  }
  words.push("What was not seen may have been hidden, lost, or not done while it was watched.");
  return h("p", {}, words.join(" "));
}

function country({ code, name: words, verdicts, bytes, outside, expected }, own) {
  const known = judged(verdicts) ?? "unmeasured";
  return h(
    "li",
    {},
    h("span", { class: `verdict ${known}`, "aria-hidden": "true" }, VERDICTS[known].sign),
    h("a", { href: `#/device/${encodeURIComponent(own.device)}?country=${code}` }, printable(words)),
    h(
      "span",
      { class: "soft" },
      `${size(bytes)}, ${share(bytes, outside)}; ${VERDICTS[known].word}${expected === false ? "; not expected" : ""}`,
    ),
  );
}
