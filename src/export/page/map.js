// The world, and where bytes went: an arc from the bench to each country, with what handshake times say of it.

import { h, s, set, say, printable } from "./dom.js";
import { VERDICTS, share, size, verdict as judged } from "./words.js";

/** Countries drawn, the most bytes first. */
const MOST = 40;
/** The northern edge of the drawing, radians of the projection.s y: as `world.rs` has it. */
const TOP = 1.36;
/** Arcs are solid, dotted or dashed; signs are discs, crossed squares, crossed discs or rings: told apart without colour. */
const DASHES = { consistent: "", mixed: "10 5 2 5", refuted: "2 7", unmeasured: "9 6" };

/** The map. `update({ bench, places })`: places are { code, name, at, bytes, outside, verdicts }, of which `at` is on the drawing. */
export function map(world, label) {
  const land = s("path", { class: "land", d: world.path });
  const layer = s("g");
  const drawing = s("svg", { class: "map", viewBox: `0 0 ${world.width} ${world.height}`, role: "img", "aria-label": label }, land, layer);
  const note = h("p", { class: "soft" });
  const node = h("div", { class: "mapbox" }, drawing, legend(), note);
  let shown = { bench: null, places: [] };
  let before = new Map();
  const width = new ResizeObserver(() => draw());
  width.observe(drawing);

  function update(next) {
    shown = { bench: next.bench, places: [...next.places].sort((a, b) => b.bytes - a.bytes).slice(0, MOST) };
    say(
      note,
      next.bench
        ? ""
        : "No arcs: the sensor was not told where it stands (--location LAT,LON), so no handshake time can contradict a country either.",
    );
    set(note, "hidden", Boolean(next.bench));
    draw();
  }

  function draw() {
    // What is 1 px on a laptop grows with the type, so that a wall can be read.
    const pixel = (world.width / (drawing.clientWidth || 800)) * (parseFloat(getComputedStyle(document.documentElement).fontSize) / 15);
    const { bench, places } = shown;
    const most = Math.max(1, ...places.map((place) => place.bytes));
    const signs = places.map((place) => ({
      ...place,
      verdict: judged(place.verdicts) ?? "unmeasured",
      radius: (3 + 9 * Math.sqrt(place.bytes / most)) * pixel,
    }));
    const arcs = bench ? signs.map((sign) => arc(bench, sign, pixel)) : [];
    const fresh = bench
      ? signs.filter((sign) => before.has(sign.code) && sign.bytes > before.get(sign.code)).map((sign) => flow(bench, sign, pixel))
      : [];
    before = new Map(signs.map((sign) => [sign.code, sign.bytes]));
    layer.replaceChildren(
      ...arcs,
      ...fresh,
      ...[...signs].reverse().map((sign) => marker(sign, pixel)),
      ...(bench ? [here(bench, pixel)] : []),
      ...labels(signs, bench, world, pixel),
    );
  }

  return { node, update };
}

/** A place on the drawing: Natural Earth's projection (Šavrič, Jenny, Patterson, Hurni 2011), as the report draws it. */
export function project([north, east], world) {
  const [phi, lambda] = [(north * Math.PI) / 180, (east * Math.PI) / 180];
  const square = phi * phi;
  const fourth = square * square;
  const across = 0.8707 - 0.131979 * square + fourth * (-0.013791 + fourth * (0.003971 * square - 0.001529 * fourth));
  const up = phi * (1.007226 + square * (0.015085 + fourth * (-0.044475 + 0.028874 * square - 0.005916 * fourth)));
  const unit = world.width / (2 * 0.8707 * Math.PI);
  return [world.width / 2 + lambda * across * unit, (TOP - up) * unit];
}

function bend(from, to) {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const lift = 0.18 * Math.hypot(dx, dy);
  return `M${round(from[0])} ${round(from[1])}Q${round(from[0] + dx / 2)} ${round(from[1] + dy / 2 - lift)} ${round(to[0])} ${round(to[1])}`;
}

function arc(bench, { at, verdict, bytes }, pixel) {
  const dashes = DASHES[verdict]
    .split(" ")
    .filter(Boolean)
    .map((dash) => round(dash * pixel))
    .join(" ");
  return s("path", {
    class: `arc ${verdict}`,
    d: bend(bench, at),
    "stroke-width": round((bytes > 0 ? 1.6 : 1) * pixel),
    "stroke-dasharray": dashes || null,
  });
}

/** Bytes that came since the last drawing pass along the arc once; still where motion is not wanted. */
function flow(bench, { at, verdict }, pixel) {
  return s("path", { class: `flow ${verdict}`, d: bend(bench, at), pathLength: 100, "stroke-width": round(3 * pixel) });
}

/** The sign of a verdict; `radius` in the drawing's units. */
export function sign(verdict, x, y, radius, pixel) {
  const stroke = round(1.6 * pixel);
  if (verdict === "refuted") {
    const [left, top, side] = [x - radius, y - radius, 2 * radius].map(round);
    return [
      s("rect", { class: "mark refuted", x: left, y: top, width: side, height: side, "stroke-width": stroke }),
      s("path", { class: "mark refuted", d: `M${left} ${top}l${side} ${side}m0 -${side}l-${side} ${side}`, "stroke-width": stroke }),
    ];
  }
  if (verdict === "mixed") {
    const arm = round(radius * 0.7);
    const cross = `M${round(x - arm)} ${round(y - arm)}l${2 * arm} ${2 * arm}m0 -${2 * arm}l-${2 * arm} ${2 * arm}`;
    return [
      s("circle", { class: "mark mixed", cx: round(x), cy: round(y), r: round(radius), "stroke-width": stroke }),
      s("path", { class: "mark mixed", d: cross, "stroke-width": stroke }),
    ];
  }
  return [s("circle", { class: `mark ${verdict}`, cx: round(x), cy: round(y), r: round(radius), "stroke-width": stroke })];
}

function marker({ at, radius, verdict, name, bytes, outside }, pixel) {
  const title = s("title", {}, `${printable(name)}: ${size(bytes)}, ${share(bytes, outside)} of bytes outside, ${VERDICTS[verdict].word}`);
  return s("g", {}, title, sign(verdict, at[0], at[1], radius, pixel));
}

function here([x, y], pixel) {
  const arm = 6 * pixel;
  const d = `M${round(x - arm)} ${round(y)}h${round(2 * arm)}M${round(x)} ${round(y - arm)}v${round(2 * arm)}`;
  return s(
    "g",
    {},
    s("title", {}, "the bench"),
    s("path", { class: "here back", d, "stroke-width": round(5 * pixel) }),
    s("path", { class: "here", d, "stroke-width": round(2.4 * pixel) }),
  );
}

/** Labels where there is room beside their signs: the most bytes first, none over another label or sign. */
function labels(signs, bench, world, pixel) {
  const boxes = signs.map(({ at, radius }) => ({
    left: at[0] - radius,
    top: at[1] - radius,
    right: at[0] + radius,
    bottom: at[1] + radius,
  }));
  if (bench)
    boxes.push({ left: bench[0] - 6 * pixel, top: bench[1] - 6 * pixel, right: bench[0] + 6 * pixel, bottom: bench[1] + 6 * pixel });
  const meets = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const inside = (box) => box.left >= 0 && box.top >= 0 && box.right <= world.width && box.bottom <= world.height;
  const made = [];
  signs.forEach(({ at: [x, y], radius, name, bytes, outside }, own) => {
    const text = `${printable(name)} ${share(bytes, outside)}`;
    const [wide, high, gap] = [(text.length * 6.6 + 4) * pixel, 15 * pixel, 3 * pixel];
    const spots = [
      [x + radius + gap, y - high / 2],
      [x - radius - gap - wide, y - high / 2],
      [x - wide / 2, y - radius - gap - high],
      [x - wide / 2, y + radius + gap],
      [x + radius, y - radius - high],
      [x + radius, y + radius],
      [x - radius - wide, y - radius - high],
      [x - radius - wide, y + radius],
    ];
    const free = spots
      .map(([left, top]) => ({ left, top, right: left + wide, bottom: top + high }))
      .find((box) => inside(box) && !boxes.some((other, index) => index !== own && meets(box, other)));
    if (!free) return;
    boxes.push(free);
    made.push(
      s(
        "text",
        {
          class: "label",
          x: round(free.left + 2 * pixel),
          y: round(free.top + 11.5 * pixel),
          "font-size": round(12 * pixel),
          "stroke-width": round(3 * pixel),
        },
        text,
      ),
    );
  });
  return made;
}

function legend() {
  const key = (verdict) =>
    h(
      "li",
      {},
      s(
        "svg",
        { viewBox: "0 0 28 14", width: 28, height: 14, "aria-hidden": "true" },
        s("path", { class: `arc ${verdict}`, d: "M0 7h28", "stroke-width": 1.6, "stroke-dasharray": DASHES[verdict] || null }),
        sign(verdict, 14, 7, 4.5, 1),
      ),
      VERDICTS[verdict].word,
    );
  const bench = h(
    "li",
    {},
    s(
      "svg",
      { viewBox: "0 0 14 14", width: 14, height: 14, "aria-hidden": "true" },
      s("path", { class: "here", d: "M1 7h12M7 1v12", "stroke-width": 2.4 }),
    ),
    "the bench",
  );
  return h("ul", { class: "legend" }, Object.keys(VERDICTS).map(key), bench);
}

function round(value) {
  return Math.round(value * 10) / 10;
}
