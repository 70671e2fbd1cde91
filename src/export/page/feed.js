// What was notable, the latest first: first contacts, watchlist hits, config pulls and their like.

import { arrange, h, name, printable, say, set } from "./dom.js";
import { device as link } from "./route.js";
import { count, moment, size, span } from "./words.js";

/** Events kept here: the server keeps more. */
const KEPT = 200;
/** Lines shown before one asks for more. */
const SHOWN = 10;

/** Each kind of event: what it is called, its sign, and what it says. */
const KINDS = {
  "first-contact": [
    "First contact",
    "◆",
    (e, place) => {
      const value = e["whither.value"];
      if (e["whither.kind"] === "country")
        return ["the country ", h("b", {}, place(value)), e["destination.domain"] ? [", ", name(e["destination.domain"])] : ""];
      if (e["whither.kind"] === "asn") return ["the system ", h("b", {}, printable(value)), organisation(e)];
      return [h("b", {}, name(value)), at(e, place)];
    },
  ],
  watchlist: [
    "Watchlist",
    "▣",
    (e, place) => [
      h("b", {}, name(target(e))),
      at(e, place),
      `: ${plain(e["rule.category"])}`,
      e["whither.vendor"] ? `, ${printable(e["whither.vendor"])}` : "",
      e["whither.ambiguous"] ? ", among other purposes" : "",
    ],
  ],
  "config-pull": [
    "Config pull",
    "⇣",
    (e, place) => [
      h("b", {}, name(target(e))),
      at(e, place),
      `: ${size(e["whither.response_bytes"])}`,
      e["whither.size_class_changed"] ? ", another size class than before" : "",
      after(e),
    ],
  ],
  "unexpected-country": [
    "Not expected",
    "◈",
    (e, place) => [
      "the country ",
      h("b", {}, place(e["destination.geo.country_iso_code"])),
      e["destination.domain"] ? [", ", name(e["destination.domain"])] : "",
      ", not among the expected ",
      (e["whither.expected"] ?? []).map(place).join(", "),
    ],
  ],
  mark: ["Mark", "⚑", (e) => [h("b", {}, name(e.message)), e["whither.phase"] ? `, phase ${printable(e["whither.phase"])}` : ""]],
  association: ["Joined", "↻", () => ["the access point"]],
  device: [
    "Identity",
    "▪",
    (e) => {
      const facts = [e["device.hostname"], e["device.vendor"], e["device.vendor_class"]].filter(Boolean);
      return facts.length ? ["says or shows ", facts.map((fact, index) => [index ? ", " : "", name(fact)])] : ["first seen"];
    },
  ],
  "same-device": ["Perhaps the same", "≈", (e) => ["as ", name(e["whither.same_as"]), `: ${printable(e["event.reason"])}`]],
  "name-conflict": [
    "Names differ",
    "≠",
    (e) => [
      "the hello says ",
      h("b", {}, name(e["tls.client.server_name"])),
      ", DNS said ",
      (e["whither.dns_names"] ?? []).map(printable).join(", "),
    ],
  ],
  "unoffered-resolver": ["Resolver", "?", (e) => ["asks ", h("b", {}, printable(e["destination.ip"])), ", which nobody offered"]],
  rhythm: ["Rhythm", "∿", (e) => [h("b", {}, name(target(e))), ` ${RHYTHMS[e["whither.rhythm"]]?.(e) ?? printable(e["whither.rhythm"])}`]],
};

/** What is new of a rhythm. */
const RHYTHMS = {
  anchored: () => "is met after joining",
  periodic: (e) => `is met each ${span(e["whither.period_s"])}`,
  persistent: () => "is held by a connection of an hour or more",
};

/** The feed. `title(id)` is what a device is called, `place(code)` a country; `own`: all are of the device that is looked at. */
export function feed({ title, place, heading = "Notable", own = false }) {
  const events = new Map();
  const lines = new Map();
  let kind = "";
  let shown = SHOWN;
  const chooser = h(
    "select",
    {
      "aria-label": "Which events",
      onchange: () => {
        kind = chooser.value;
        draw();
      },
    },
    h("option", { value: "" }, "all"),
    Object.entries(KINDS).map(([id, [word]]) => h("option", { value: id }, word.toLowerCase())),
  );
  const list = h("ol", { class: "feed" });
  const nothing = h("p", { class: "nothing" });
  const more = h(
    "button",
    {
      type: "button",
      class: "quiet",
      onclick: () => {
        shown += SHOWN;
        draw();
      },
    },
    "Show more",
  );
  const node = h(
    "section",
    { class: "panel of-feed", "aria-label": heading },
    h("div", { class: "bar" }, h("h2", {}, heading), chooser),
    list,
    nothing,
    more,
  );

  /** Takes in events { id, event }; those that are known already change nothing. */
  function take(news) {
    for (const { id, event } of news) events.set(id, event);
    const surplus = [...events.keys()].slice(0, Math.max(0, events.size - KEPT));
    for (const id of surplus) {
      events.delete(id);
      lines.delete(id);
    }
    draw();
  }

  function draw() {
    const fitting = gathered([...events].filter(([, event]) => !kind || event["event.action"] === kind));
    const drawn = fitting.slice(0, shown).map(({ id, event, times }) => {
      if (!lines.has(id)) lines.set(id, line(event, title, place, own));
      return [lines.get(id), times];
    });
    arrange(
      list,
      drawn.map(([each]) => each.node),
    );
    for (const [each, times] of drawn) each.renew(times);
    say(
      nothing,
      events.size
        ? "None of this kind among the latest."
        : "Nothing notable yet. First contacts are told once a device has been learnt (24 h, or --learning).",
    );
    set(nothing, "hidden", fitting.length > 0);
    set(more, "hidden", fitting.length <= shown);
  }

  return { node, take };
}

/** The latest first; what a device did again at the same host is one line. */
function gathered(events) {
  const lines = new Map();
  const time = ([, event]) => event["@timestamp"];
  for (const [id, event] of events.toSorted((a, b) => (time(a) < time(b) ? 1 : time(a) > time(b) ? -1 : 0))) {
    const again = ["watchlist", "config-pull"].includes(event["event.action"]);
    const key = again ? JSON.stringify([event["event.action"], event["device.id"], target(event), event["rule.category"]]) : id;
    const known = lines.get(key);
    if (known) known.times += 1;
    else lines.set(key, { id, event, times: 1 });
  }
  return [...lines.values()];
}

function line(event, title, place, own) {
  const [word, sign, words] = KINDS[event["event.action"]] ?? [event["event.action"], "·", () => [printable(target(event))]];
  const id = event["device.id"];
  // A mark may be of all devices.
  const who = id ? h("a", { href: link(id) }, name(title(id))) : h("span", {}, h("bdi", {}, "all devices"));
  const times = h("span", { class: "soft" });
  const node = h(
    "li",
    { class: `event of-${event["event.action"]}` },
    h("span", { class: "kind" }, h("span", { class: "sign", "aria-hidden": "true" }, sign), printable(word)),
    h("time", { datetime: event["@timestamp"] }, moment(event["@timestamp"])),
    h("span", { class: "said" }, own ? null : [who, " "], words(event, place).flat(Infinity), times),
  );
  const renew = (number) => {
    if (id) say(who.firstChild, printable(title(id)));
    say(times, number > 1 ? `, ${count(number)} times lately` : "");
  };
  return { node, renew };
}

/** A category as words. */
function plain(category) {
  return printable(String(category ?? "").replaceAll("_", " "));
}

function target(event) {
  return event["destination.domain"] ?? event["destination.registered_domain"] ?? event["destination.ip"] ?? "";
}

function organisation(event) {
  const words = event["destination.as.organization.name"];
  return words ? [", ", name(words)] : "";
}

function at(event, place) {
  const code = event["destination.geo.country_iso_code"];
  return code ? ` in ${place(code)}` : "";
}

function after(event) {
  if (Number.isFinite(event["whither.gap_s"])) return `, ${span(event["whither.gap_s"])} after the last`;
  if (Number.isFinite(event["whither.attach_delay_s"])) return `, ${span(event["whither.attach_delay_s"])} after joining`;
  return "";
}
