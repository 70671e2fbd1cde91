// A capture without a packet: what is not there is said, with what to look at, and nothing is drawn as if it were a figure.
import assert from "node:assert/strict";

import { accessible, checked, whole } from "./browser.mjs";

await checked(async ({ open, axe }) => {
  for (const size of ["phone", "laptop"]) {
    const { page, done } = await open("/", { size });
    await page.getByRole("heading", { name: "No packet in the captures" }).waitFor();
    assert.match(await page.locator(".empty").innerText(), /--filter/);
    assert.equal(await page.locator("#clock").innerText(), "No packet yet");
    assert.equal(await page.locator(".of-devices").isVisible(), false);
    await whole(page, `empty, ${size}`);
    await accessible(page, axe, `empty, ${size}`);
    await done();
  }
});
