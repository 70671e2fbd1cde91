// Debian's Chromium on the page: what each check shares. Whatever the browser complains of, or asks another origin for, fails the check.
import { createRequire } from "node:module";
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

export const SIZES = { phone: { width: 390, height: 844 }, laptop: { width: 1366, height: 768 }, tablet: { width: 820, height: 1180 },
  wall: { width: 3840, height: 2160 } };
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Runs a check with a browser: node CHECK.mjs NODE_MODULES BROWSER BASE FOLDER. */
export async function checked(check) {
  const [modules, program, base, folder] = process.argv.slice(2);
  const wanted = createRequire(path.resolve(modules, "x.js"));
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), "page-"));
  const browser = await wanted("playwright-core").chromium.launchPersistentContext(profile, {
    executablePath: program,
    args: FLAGS,
    acceptDownloads: true,
  });
  const chromium = browser.browser();
  const axe = fs.readFileSync(wanted.resolve("axe-core/axe.min.js"), "utf8");
  const started = [];
  try {
    await check({
      base,
      folder,
      browser,
      axe,
      open: async (way, options) => started[started.push(await opened(browser, base, way, options)) - 1],
    });
  } catch (problem) {
    // What the browser complained of, and where it stood, says why.
    const last = started.at(-1);
    if (last && !last.page.isClosed())
      console.error(
        last.complaints,
        last.page.url(),
        await last.page.evaluate(() => document.activeElement.closest("dialog, main")?.innerText.slice(0, 600)).catch(() => ""),
      );
    throw problem;
  } finally {
    await browser.close();
    await chromium?.close().catch(() => {});
    fs.rmSync(profile, { recursive: true, force: true });
  }
}

/** A page of this size and scheme at `way` (what stands behind #), with `complaints` of everything that may not happen. */
async function opened(browser, base, way = "/", { size = "laptop", scheme = "light", wait = true } = {}) {
  const page = await browser.newPage();
  const complaints = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => complaints.push(`error: ${error.stack}`));
  page.on("response", (answer) => answer.status() >= 400 && complaints.push(`${answer.status()} ${answer.url()}`));
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== base && !request.url().startsWith("data:")) complaints.push(`asks for ${request.url()}`);
  });
  await page.setViewportSize(SIZES[size]);
  await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
  await page.goto(`${base}/#${way}`);
  if (wait) await renewed(page);
  const done = async () => {
    assert.deepEqual(complaints, []);
    await page.close();
  };
  return { page, complaints, done };
}

/** Waits until the page has shown an answer. */
export async function renewed(page) {
  await page.waitForFunction(() => performance.getEntriesByName("whither-renewed").length > 0);
}

/** Nothing is wider than the window, and no two texts lie over each other. */
export async function whole(page, words) {
  // What a size asks for is there with the first frame that is drawn of it.
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
  const wrong = await page.evaluate(() => {
    const wrong = [];
    const wide = document.documentElement.scrollWidth - innerWidth;
    if (wide > 0) wrong.push(`the page is ${wide} px wider than the window`);
    // Tables of rows fit; only what is a table of figures by nature may be scrolled sideways.
    for (const box of document.querySelectorAll(".gridbox .scroll")) {
      if (box.scrollWidth > box.clientWidth) wrong.push(`a table is ${box.scrollWidth - box.clientWidth} px wider than its place`);
    }
    const texts = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const holder = node.parentElement;
      if (!node.data.trim() || !holder.checkVisibility({ visibilityProperty: true }) || holder.closest(".unseen, caption, .skip, option"))
        continue;
      if (document.querySelector("dialog[open]") && !holder.closest("dialog")) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      for (const { left, top, right, bottom } of range.getClientRects()) {
        const box = { left, top, right, bottom, node };
        // What an ancestor cuts off is not there.
        for (let up = holder; up && up !== document.body; up = up.parentElement) {
          if (getComputedStyle(up).overflowX === "visible") continue;
          const edge = up.getBoundingClientRect();
          box.left = Math.max(box.left, edge.left);
          box.right = Math.min(box.right, edge.right);
          box.top = Math.max(box.top, edge.top);
          box.bottom = Math.min(box.bottom, edge.bottom);
        }
        if (box.right - box.left > 1 && box.bottom - box.top > 1) texts.push(box);
      }
    }
    texts.sort((a, b) => a.top - b.top);
    texts.forEach((one, index) => {
      for (let next = index + 1; next < texts.length && texts[next].top < one.bottom; next += 1) {
        const other = texts[next];
        const across = Math.min(one.right, other.right) - Math.max(one.left, other.left);
        const down = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
        // Lines of text stand a little into each other's boxes.
        if (one.node !== other.node && across > 2 && down > 6) wrong.push(`"${one.node.data}" lies over "${other.node.data}"`);
      }
    });
    return { wrong, texts: texts.length };
  });
  assert.ok(wrong.texts > 20, `${words}: only ${wrong.texts} texts are there`);
  assert.deepEqual(wrong.wrong, [], words);
}

/** No rule of axe is broken: WCAG 2.2 A and AA, contrast included, and best practice. */
export async function accessible(page, axe, words) {
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() =>
    globalThis.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }),
  );
  const told = violations.map(
    ({ id, help, nodes }) =>
      `${id}: ${help}: ${nodes
        .slice(0, 3)
        .map((node) => `${node.html.slice(0, 160)} ${node.any.map((one) => one.message).join("; ")}`)
        .join(" | ")}`,
  );
  assert.deepEqual(told, [], words);
  assert.ok(
    passes.some(({ id }) => id === "color-contrast"),
    `${words}: contrast was looked at`,
  );
}

/** What a cell of a table says, row by row. */
export async function column(page, table, id) {
  return page.locator(`${table} tbody td.of-${id}`).allInnerTexts();
}
