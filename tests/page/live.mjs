// A replay: figures and events come by themselves, the focus and the order stay, a pause holds all still.
import assert from "node:assert/strict";

import { checked } from "./browser.mjs";

await checked(async ({ open }) => {
  const { page, done } = await open("/");
  const clock = page.locator("#clock");
  const other = (text) => page.waitForFunction((text) => document.getElementById("clock").innerText !== text, text);
  await page.locator("#state", { hasText: "replaying" }).waitFor();
  await page.locator(".of-devices tbody tr").nth(2).waitFor();
  const begun = await clock.innerText();
  await other(begun);

  // What somebody points at stays where it is, while its figures change.
  const first = page.locator(".of-devices tbody tr").first();
  await first.getByRole("link").focus();
  const held = await first.getByRole("link").innerText();
  const sent = await first.locator("td.of-down").innerText();
  await page.waitForFunction((text) => document.querySelector(".of-devices tbody tr td.of-down").innerText !== text, sent);
  assert.equal(await first.getByRole("link").innerText(), held);
  assert.equal(await page.evaluate(() => document.activeElement.innerText), held);

  // Without learning each first contact is told.
  await page.getByLabel("Which events").selectOption("first-contact");
  await page.locator(".feed .kind", { hasText: "First contact" }).first().waitFor();
  assert.equal(await page.locator(".feed .kind").filter({ hasNotText: "First contact" }).count(), 0);

  await page.getByRole("button", { name: "Pause" }).click();
  await page.locator("#state", { hasText: "paused" }).waitFor();
  const paused = await clock.innerText();
  const packets = page.locator(".health .value").first();
  const still = await packets.innerText();
  // The server goes on: three of its answers come and change nothing.
  for (let asked = 0; asked < 3; asked += 1)
    await page.evaluate(async () => {
      await (await fetch("/api/v1/overview")).json();
    });
  assert.deepEqual([await clock.innerText(), await packets.innerText()], [paused, still]);
  await page.getByRole("button", { name: "Go on" }).click();
  await other(paused);

  // At its end it is no longer live, and says so.
  await page.locator("#state", { hasText: "read to the end" }).waitFor({ timeout: 120_000 });
  await done();
});
