// A sensor on an interface where nothing passes: which one, and what to look at; and when the interface goes down, that it did.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";

import { accessible, checked, whole } from "./browser.mjs";

await checked(async ({ open, axe, base }) => {
  const { health } = await (await fetch(`${base}/api/v1/overview`)).json();
  const { interface: quiet } = health.interfaces[0];
  const { page, done } = await open("/", { size: "phone" });
  await page.getByRole("heading", { name: `No packet yet on ${quiet}` }).waitFor();
  assert.match(await page.locator(".empty").innerText(), /iw dev/);
  assert.match(await page.locator(".health").innerText(), /Packets lost\s+0/);
  await whole(page, "quiet");
  await accessible(page, axe, "quiet");
  execFileSync("ip", ["link", "set", quiet, "down"]);
  await page.locator(".empty", { hasText: `${quiet} is down or away` }).waitFor();
  await page.locator("#state", { hasText: "an interface is down" }).waitFor();
  await accessible(page, axe, "down");
  await done();
});
