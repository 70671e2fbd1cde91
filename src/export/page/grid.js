// A table that sorts, and shows a page of its rows at a time: what is drawn and renewed is bounded however many rows there are.
//
// While someone points at a row, or has the focus in one, the order stands still and only the figures change.

import { h, set, say, arrange } from "./dom.js";
import { count } from "./words.js";

/** Cards on a page: they are taller than rows. */
const CARDS = 20;

/**
 * A column is { id, head, value(row), ... }: `value` is what it sorts by and, without `cell(row)`, what it shows; `sign(row)`, else the
 * value, tells whether a cell must be made anew; `first` is "down" where large ones come first; `sorts` names what is sorted by, if
 * not the head does; `number`, `time` and `hint` say how it looks. Below a width of `narrow` letters' heights rows are cards.
 */
export function grid({ caption, columns, key, sort, narrow, size = 50, nothing, onsort }) {
  const state = { rows: [], shown: [], page: 0, sort: { ...sort }, size };
  const drawn = new Map();
  const body = h("tbody", { role: "rowgroup" });
  const heads = columns.map((column) => head(column, () => turn(column)));
  const table = h(
    "table",
    { role: "table", class: "grid" },
    h("caption", {}, caption),
    h(
      "thead",
      { role: "rowgroup" },
      h(
        "tr",
        { role: "row" },
        heads.map(({ node }) => node),
      ),
    ),
    body,
  );
  const chooser = h("select", { onchange: () => choose(chooser.value) }, columns.filter((column) => column.value).flatMap(options));
  const by = h("label", { class: "sorter" }, "Sort by ", chooser);
  const pager = pages((step) => show(state.page + step));
  const empty = h("p", { class: "nothing" }, nothing);
  const node = h("div", { class: "gridbox" }, by, h("div", { class: "scroll" }, table), empty, pager.node);

  new ResizeObserver(() => {
    const cards = node.clientWidth < narrow * parseFloat(getComputedStyle(document.documentElement).fontSize);
    if (!node.classList.toggle("cards", cards) && state.size === size) return;
    state.size = cards ? Math.min(size, CARDS) : size;
    show(state.page);
  }).observe(node);

  function turn(column) {
    const down = state.sort.id === column.id ? !state.sort.down : column.first === "down";
    choose(`${column.id} ${down ? "down" : "up"}`);
  }

  function choose(text, quiet = false) {
    const [id, way] = text.split(" ");
    state.sort = { id, down: way === "down" };
    state.page = 0;
    if (!quiet) onsort?.(state.sort);
    show(0, true);
  }

  /** Shows these rows from now on. */
  function update(rows) {
    state.rows = rows;
    show(state.page);
  }

  function held() {
    return body.matches(":hover") || body.contains(document.activeElement);
  }

  function show(page, anew = page !== state.page) {
    const last = Math.max(0, Math.ceil(state.rows.length / state.size) - 1);
    state.page = Math.min(Math.max(page, 0), last);
    if (!anew && held()) {
      const present = new Map(state.rows.map((row) => [key(row), row]));
      state.shown = state.shown.map((row) => present.get(key(row))).filter(Boolean);
    } else {
      state.shown = sorted(state.rows, columns, state.sort).slice(state.page * state.size, (state.page + 1) * state.size);
    }
    draw();
    pager.update(state.page, last, state.rows.length, state.size);
    for (const each of heads) each.update(state.sort);
    chooser.value = `${state.sort.id} ${state.sort.down ? "down" : "up"}`;
    set(empty, "hidden", state.rows.length > 0);
    set(table, "hidden", state.rows.length === 0);
    set(by, "hidden", state.rows.length === 0);
  }

  function draw() {
    const kept = new Set();
    const rows = state.shown.map((row) => {
      const id = key(row);
      kept.add(id);
      if (!drawn.has(id)) drawn.set(id, line(columns));
      const { node, paint } = drawn.get(id);
      paint(row);
      return node;
    });
    for (const id of drawn.keys()) if (!kept.has(id)) drawn.delete(id);
    arrange(body, rows);
  }

  return { node, update, sort: choose };
}

function sorted(rows, columns, { id, down }) {
  const column = columns.find((one) => one.id === id);
  if (!column) return rows;
  const keyed = rows.map((row, index) => [column.value(row), index, row]);
  const order = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  // What has no value comes last, either way.
  const none = (value) => value === null || value === undefined || value === "" || Number.isNaN(value);
  keyed.sort((a, b) => none(a[0]) - none(b[0]) || (none(a[0]) ? 0 : order(a[0], b[0]) * (down ? -1 : 1)) || a[1] - b[1]);
  return keyed.map(([, , row]) => row);
}

function head(column, turn) {
  const arrow = h("span", { "aria-hidden": "true", class: "arrow" });
  const inside = column.value
    ? h("button", { type: "button", onclick: turn, title: column.hint }, column.head, arrow)
    : h("span", {}, column.head);
  const node = h("th", { role: "columnheader", scope: "col", class: kind(column) }, inside);
  const update = (sort) => {
    const here = sort.id === column.id;
    set(node, "aria-sort", column.value ? (here ? (sort.down ? "descending" : "ascending") : "none") : null);
    say(arrow, here ? (sort.down ? "↓" : "↑") : "");
  };
  return { node, update };
}

function kind(column) {
  return [column.number && "number", `of-${column.id}`].filter(Boolean).join(" ");
}

/** One row of cells, which change only where what they show changes. */
function line(columns) {
  const cells = columns.map((column) => {
    const node = h("td", { role: "cell", class: kind(column), "data-head": column.head });
    let last;
    const paint = (row) => {
      const sign = column.sign ? column.sign(row) : column.value(row);
      if (sign === last) return;
      last = sign;
      const inside = column.cell ? column.cell(row) : String(sign ?? "");
      node.replaceChildren(...[inside].flat(Infinity).filter((part) => part !== null && part !== undefined && part !== false));
    };
    return { node, paint };
  });
  return {
    node: h(
      "tr",
      { role: "row" },
      cells.map(({ node }) => node),
    ),
    paint: (row) => cells.forEach(({ paint }) => paint(row)),
  };
}

function options(column) {
  const [low, high] = column.number
    ? ["smallest first", "largest first"]
    : column.time
      ? ["earliest first", "latest first"]
      : ["A to Z", "Z to A"];
  const both = [
    h("option", { value: `${column.id} up` }, `${column.sorts ?? column.head}, ${low}`),
    h("option", { value: `${column.id} down` }, `${column.sorts ?? column.head}, ${high}`),
  ];
  return column.first === "down" ? both.reverse() : both;
}

function pages(step) {
  const words = h("span", { "aria-live": "polite" });
  const back = h("button", { type: "button", class: "quiet", onclick: () => step(-1) }, "Earlier rows");
  const on = h("button", { type: "button", class: "quiet", onclick: () => step(1) }, "Later rows");
  const node = h("p", { class: "pager" }, back, words, on);
  const update = (page, last, rows, size) => {
    set(node, "hidden", last === 0);
    set(back, "disabled", page === 0);
    set(on, "disabled", page === last);
    say(words, `${count(page * size + 1)} to ${count(Math.min((page + 1) * size, rows))} of ${count(rows)}`);
  };
  return { node, update };
}
