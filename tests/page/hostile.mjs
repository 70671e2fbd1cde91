// Names that were chosen to do harm: everywhere they are text, in their place, and never longer than their place.
import assert from "node:assert/strict";

import { accessible, checked, whole } from "./browser.mjs";

const LONG = `${"l".repeat(63)}`;

await checked(async ({ open, axe, base }) => {
  const { devices } = await (await fetch(`${base}/api/v1/overview`)).json();
  assert.equal(
    devices.filter((device) => device.hostname?.includes("<img") || device.alias?.includes("<b")).length,
    2,
    JSON.stringify(devices.map(({ hostname, alias }) => [hostname, alias])),
  );
  for (const size of ["phone", "laptop"]) {
    for (const { device } of devices) {
      const { page, done } = await open("/", { size });
      page.on("dialog", (dialog) => assert.fail(`a name ran: ${dialog.message()}`));
      await page.locator(".of-devices tbody tr").first().waitFor();
      const look = async (words) => {
        await harmless(page, words);
        await whole(page, `${words}, ${size}`);
        await accessible(page, axe, `${words}, ${size}`);
      };
      await look("overview");
      await page.goto(`${base}/#/device/${encodeURIComponent(device)}`);
      await page.locator(".device .of-who .facts").waitFor();
      await look(`device ${device}`);
      for (const link of (await page.locator(".of-destinations tbody td.of-name a").all()).slice(0, 12)) {
        await link.click();
        await page.getByRole("dialog").getByRole("heading", { name: "Counted by" }).waitFor();
        await look(`evidence of ${device}`);
        await page.keyboard.press("Escape");
        await page.getByRole("dialog").waitFor({ state: "hidden" });
      }
      await done();
    }
  }
  // They were there, as they are written.
  const { page, done } = await open(`/device/${encodeURIComponent(devices.find((device) => device.hostname?.includes("<img")).device)}`);
  await page.locator(".of-destinations tbody tr").first().waitFor();
  const text = await page.evaluate(() => document.body.textContent);
  for (const part of [
    "<img src=x onerror=alert(3)>",
    "<script>alert(4)</script>",
    "<svg onload=alert(5)>",
    "javascript:alert(6)",
    "שלום",
    LONG,
  ])
    assert.ok(text.includes(part), `${part} in ${text}`);
  await done();
});

/** No name became an element, an attribute that runs, or a character that hides or turns what stands beside it. */
async function harmless(page, words) {
  const found = await page.evaluate(() => {
    const wrong = [];
    const hidden = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/u;
    for (const node of document.querySelectorAll("*")) {
      if (["IMG", "IFRAME", "OBJECT", "B"].includes(node.tagName) && node.attributes.length > 0) wrong.push(node.outerHTML);
      if (node.tagName === "SCRIPT" && node.getAttribute("src") !== "/assets/app.js") wrong.push(node.outerHTML);
      for (const { name, value } of node.attributes) {
        if (name.startsWith("on") || hidden.test(value) || (["href", "src", "action"].includes(name) && /^\s*javascript:/i.test(value)))
          wrong.push(`${name}=${value}`);
      }
    }
    const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) if (hidden.test(node.data)) wrong.push(node.data);
    if (hidden.test(document.title)) wrong.push(document.title);
    return wrong;
  });
  assert.deepEqual(found, [], words);
}
