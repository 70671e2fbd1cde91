// As many devices and destinations as the sensor keeps: what is drawn is bounded, and what it takes is printed.
import assert from "node:assert/strict";

import { checked, whole } from "./browser.mjs";

await checked(async ({ open, base }) => {
  const started = performance.now();
  const overview = await (await fetch(`${base}/api/v1/overview`)).text();
  console.log(`/api/v1/overview: ${kb(overview)}, ${ms(performance.now() - started)} from request to its last byte`);
  const { devices } = JSON.parse(overview);
  assert.ok(devices.length >= 200, `${devices.length} devices`);
  const most = devices.toSorted((a, b) => b.destinations - a.destinations)[0];
  assert.ok(most.destinations >= 500, `${most.destinations} destinations of one`);

  for (const [words, way, rows] of [
    ["overview", "/", ".of-devices"],
    ["device", `/device/${encodeURIComponent(most.device)}`, ".of-destinations"],
  ]) {
    const { page, done } = await open(way);
    await page.locator(`${rows} tbody tr`).nth(9).waitFor();
    const drawn = await page.locator(`${rows} tbody tr`).count();
    assert.ok(drawn <= 50, `${drawn} rows are drawn`);
    const figures = await page.evaluate(() => ({
      paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
      shown: performance.getEntriesByName("whither-renewed")[0].startTime + performance.getEntriesByName("whither-renewed")[0].duration,
      draw: performance.getEntriesByName("whither-renewed")[0].duration,
      elements: document.querySelectorAll("*").length,
    }));
    console.log(
      `${words}: first paint ${ms(figures.paint)}, all shown ${ms(figures.shown)}, of which drawing ${ms(figures.draw)}; ${figures.elements} elements`,
    );
    assert.ok(figures.elements < 6000, `${figures.elements} elements`);
    await whole(page, words);
    // What a keystroke, a turn of the order and a page of rows take until the browser has laid them out.
    const timed = (act) =>
      page.evaluate(
        `(() => { const began = performance.now(); (${act})(); document.body.offsetHeight; return performance.now() - began; })()`,
      );
    console.log(`${words}: sorting ${ms(await timed(`() => document.querySelector("${rows} th.of-name button").click()`))}`);
    console.log(`${words}: later rows ${ms(await timed(`() => document.querySelector("${rows} .pager button:last-child").click()`))}`);
    if (words === "device")
      console.log(
        `${words}: searching ${ms(await timed(`() => { const box = document.querySelector("#search"); box.value = "site-1"; box.dispatchEvent(new Event("input")); }`))}`,
      );
    await done();
  }
});

function ms(time) {
  return `${time.toFixed(0)} ms`;
}

function kb(text) {
  return `${(text.length / 1000).toFixed(0)} kB`;
}
