// The page's start: which view is shown, when it is renewed, and what stands in the head.

import { ask, listen } from "./api.js";
import { h, printable, say, set } from "./dom.js";
import { device } from "./device.js";
import { health } from "./health.js";
import { called, overview } from "./overview.js";
import { here } from "./route.js";
import { full, span } from "./words.js";
import { world } from "./world.js";

/** Least time between two renewals, and between two of what a device's view needs beside its own, milliseconds. */
const RENEWAL = 1000;
const ASIDE = 5000;
/** Between two questions where there is no live stream. */
const WITHOUT = 10_000;

const part = (id) => document.getElementById(id);
const content = part("content");
const strip = health();
const titles = new Map();
const state = {
  seen: null,
  view: null,
  key: "",
  paused: false,
  stream: "lost",
  run: 0,
  busy: false,
  wanted: true,
  asked: 0,
  renewed: 0,
  packets: null,
  last: null,
  stop: null,
  again: 0,
  trouble: "",
};

const tools = { title: (id) => titles.get(id) ?? id, place: (code) => code };

async function start() {
  const drawing = await world();
  tools.world = drawing;
  tools.place = drawing.name;
  content.replaceChildren(strip.node, h("div", { id: "view" }));
  addEventListener("hashchange", () => turn(true));
  document.addEventListener("visibilitychange", follow);
  const pause = part("pause");
  set(pause, "hidden", false);
  pause.addEventListener("click", () => {
    state.paused = !state.paused;
    head();
    renew();
  });
  turn(false);
  follow();
}

/** Keeps a live stream while somebody looks: a browser has few connections for all its tabs. Without one it asks now and then. */
function follow() {
  state.stop?.();
  clearTimeout(state.again);
  state.stop = null;
  state.wanted = true;
  renew();
  if (document.hidden) return;
  const heard = (stream) => {
    state.stream = stream;
    if (stream === "closed") state.again = setTimeout(follow, WITHOUT);
    head();
  };
  state.stop = listen({ after: state.last, tick, notable, state: heard });
}

/** Shows the view that the address names. */
function turn(moved) {
  const at = here();
  const key = at.view === "device" ? `device ${at.id}` : "overview";
  if (key !== state.key) {
    state.view?.close?.();
    state.key = key;
    state.asked = 0;
    // What is on its way for the former view is not waited for.
    state.run += 1;
    state.busy = false;
    state.view = at.view === "device" ? device(at.id, tools) : overview({ ...tools, titles: tools.title });
    part("view").replaceChildren(state.view.node);
    content.className = `${at.view === "device" ? "device" : "overview"}-view`;
    if (moved) {
      scrollTo(0, 0);
      state.view.node.querySelector("h1")?.focus({ preventScroll: true });
    }
    state.wanted = true;
    renew();
  }
  state.view.go?.(at.query);
  head();
}

function tick(told) {
  // More than packets can change, but for captures that are read to their end: an interface goes down, or is silent.
  const old = !state.seen?.health.finished && performance.now() - state.renewed > ASIDE;
  if (old || told.packets !== state.packets || state.seen === null) state.wanted = true;
  state.packets = told.packets;
  state.last ??= told.latest;
  renew();
}

function notable(event) {
  state.last = event.id;
  if (!state.paused) state.view?.notable?.(event);
}

/** Renews what is shown where something is new: one question at a time, no more than one a second, none where nobody looks. */
async function renew() {
  if (state.busy || !state.wanted || document.hidden || (state.paused && state.asked > 0)) return;
  state.busy = true;
  state.wanted = false;
  const { view, run } = state;
  const began = performance.now();
  try {
    const aside = view.asks !== undefined || began - state.asked > ASIDE || state.asked === 0;
    if (aside) state.asked = began;
    const [seen, own] = await Promise.all([aside ? ask("overview") : state.seen, view.load?.()]);
    state.seen = seen;
    state.renewed = began;
    titles.clear();
    for (const each of seen.devices) titles.set(each.device, called(each));
    if (run === state.run) {
      const drawing = performance.now();
      strip.update(seen);
      view.show(own ?? seen);
      measured(drawing);
    }
    state.trouble = "";
  } catch (problem) {
    const gone = problem.status === 404 && view.trouble !== undefined;
    state.trouble = gone ? "" : problem.message;
    view.trouble?.(problem);
    if (run === state.run) state.wanted = !gone;
  }
  if (run !== state.run) return;
  head();
  const rest = RENEWAL - (performance.now() - began);
  setTimeout(
    () => {
      if (run !== state.run) return;
      state.busy = false;
      renew();
    },
    Math.max(state.trouble ? 3000 : 0, rest),
  );
}

/** How long the last renewal took to draw: for whoever looks with the browser's tools. One is kept. */
function measured(start) {
  performance.clearMeasures("whither-renewed");
  performance.measure("whither-renewed", { start });
}

/** What is watched, up to when, and whether this is live. */
function head() {
  const { seen } = state;
  const at = here();
  document.title = at.view === "device" ? `${printable(tools.title(at.id))} – whither` : "whither";
  if (seen) {
    const { reads, interfaces } = seen.health;
    const names = interfaces.map((one) => one.interface).join(", ");
    const what = reads === "interface" ? `watching ${names}` : "reading captures";
    say(part("where"), printable(seen.sensor === "whither" ? what : `${seen.sensor}, ${what}`));
    say(part("clock"), seen.last_packet ? `Last packet ${full(seen.last_packet)}` : "No packet yet");
    say(part("version"), `whither ${seen.version}`);
    say(part("databases"), seen.databases.length ? ` (${seen.databases.map((one) => `${one.database} of ${one.built}`).join(", ")})` : "");
  }
  const [mood, words] = mood_of(state);
  say(part("state"), words);
  set(part("state"), "data-mood", mood);
  say(part("pause"), state.paused ? "Go on" : "Pause");
}

function mood_of({ paused, trouble, stream, seen }) {
  if (trouble) return ["bad", `▲ ${trouble}`];
  if (stream !== "open") return ["bad", stream === "closed" ? "▲ not live: renewed each 10 s" : "▲ no connection; trying again"];
  if (paused) return ["idle", "‖ paused"];
  if (!seen) return ["idle", "reading"];
  if (seen.health.reads === "files") return seen.health.finished ? ["idle", "■ read to the end"] : ["live", "● replaying"];
  if (seen.health.interfaces.some((one) => !one.up)) return ["bad", "▲ an interface is down"];
  if (seen.health.silent_seconds > 60) return ["idle", `○ silent for ${span(seen.health.silent_seconds)}`];
  return ["live", "● live"];
}

start().catch((problem) =>
  content.replaceChildren(h("p", { class: "panel" }, `The page could not start: ${problem.message}. Reload to try again.`)),
);
