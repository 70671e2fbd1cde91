// The lab run, opened when it is read: what a person does with the page, by pointer and by keyboard, on each size of screen.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";

import { SIZES, accessible, checked, column, renewed, whole } from "./browser.mjs";

const PHONES = ["HUAWEI_P40-1f3c9a77d2", "Mi10T-5G", "OnePlus8T"];

await checked(async ({ open, axe, folder, base }) => {
  await overview(open);
  await device(open, folder);
  await keyboard(open);
  for (const size of Object.keys(SIZES)) {
    // A tablet and a wall have the elements of a laptop.
    const own = size === "phone" || size === "laptop";
    for (const scheme of own ? ["light", "dark"] : ["dark"]) await look(open, own && axe, folder, { size, scheme });
  }
  const away = await open("/device/none", { wait: false });
  await away.page.getByText("No such device").waitFor();
  assert.deepEqual(
    away.complaints.filter((one) => !one.includes("404")),
    [],
  );
  console.log(`checked ${base}`);
});

/** Lists the three phones and sorts them. */
async function overview(open) {
  const { page, done } = await open("/");
  const names = page.locator(".of-devices tbody td.of-name a");
  const told = await names.allInnerTexts();
  for (const phone of PHONES) assert.ok(told.includes(phone), `${phone} in ${told}`);
  await page.getByRole("columnheader", { name: "Device" }).first().getByRole("button").click();
  const rising = await names.allInnerTexts();
  assert.deepEqual(
    rising,
    [...rising].sort((a, b) => a.localeCompare(b, "en", { numeric: true })),
  );
  await page.getByRole("columnheader", { name: "Device" }).first().getByRole("button").click();
  assert.deepEqual(await names.allInnerTexts(), rising.toReversed());
  assert.equal(await page.locator(".of-devices th[aria-sort=descending]").count(), 1);

  // The capture's own time, not the clock's; what a file cannot say is said.
  assert.match(await page.locator("#clock").innerText(), /^Last packet 24 Aug 2021 /);
  assert.equal(await page.locator("#state").innerText(), "■ read to the end");
  assert.match(await page.locator(".health").innerText(), /Packets lost\s+not known/);
  // The bench, an arc for each country, and the country that the handshakes refute.
  assert.ok((await page.locator(".of-map .arc.refuted, .of-map .arc.mixed").count()) > 1);
  assert.equal(await page.locator(".of-map .map .here:not(.back)").count(), 1);
  const singapore = page.locator(".matrix thead th", { hasText: "Singapore" });
  assert.equal(await singapore.count(), 1);
  assert.match(await page.locator("footer").innerText(), /IP Geolocation by DB-IP/);
  await done();
}

/** One phone: searched, filtered, sorted; its evidence opened; evidence and report taken along. */
async function device(open, folder) {
  const { page, done } = await open("/");
  await page.locator(".of-devices").getByRole("link", { name: "Mi10T-5G" }).click();
  await page.getByRole("heading", { level: 1, name: "Mi10T-5G" }).waitFor();
  const table = ".of-destinations";
  await page.locator(`${table} tbody tr`).first().waitFor();
  const all = await column(page, table, "name");
  assert.ok(all.length > 20, `${all.length} destinations`);

  await page.getByLabel("Search").fill("xiaomi.com");
  const found = await column(page, table, "name");
  assert.ok(found.length > 0 && found.length < all.length && found.every((text) => text.includes("xiaomi.com")), found.join());
  assert.match(page.url(), /q=xiaomi.com/);
  await page.getByLabel("Verdict").selectOption("mixed");
  const refuted = await column(page, table, "country");
  assert.ok(
    refuted.length > 0 && refuted.length < found.length && refuted.every((text) => text.includes("refuted in part")),
    refuted.join(),
  );
  await page.reload();
  await renewed(page);
  await page.locator(`${table} tbody tr`).first().waitFor();
  assert.deepEqual(await column(page, table, "country"), refuted, "the address keeps what is asked");
  await page.getByLabel("Search").fill("no such thing");
  await page.getByText("No destination fits.").waitFor();
  await page.getByLabel("Search").fill("");
  await page.getByLabel("Verdict").selectOption("");
  await page.getByRole("columnheader", { name: "Received" }).getByRole("button").click();
  const sizes = (await column(page, table, "down")).map(bytes);
  assert.deepEqual(
    sizes,
    sizes.toSorted((a, b) => b - a),
    "the most first",
  );

  // Evidence: what named it, what located it, and each packet that is counted.
  await page.getByLabel("Search").fill("globalapi.ad");
  await page.locator(`${table} tbody td.of-name a`).first().click();
  const sheet = page.getByRole("dialog");
  await sheet.getByRole("heading", { name: "Named by" }).waitFor();
  const words = await sheet.innerText();
  for (const part of [
    "globalapi.ad.xiaomi.com",
    "the Host of an HTTP request",
    "packet 157",
    "161.117.70.145",
    "dbip-country",
    "as in the table",
  ])
    assert.ok(words.includes(part), `${part} in ${words}`);
  const taken = await download(page, sheet.getByRole("link", { name: "Packets that decide" }), folder);
  assert.equal(taken.readUInt32LE(0), 0x0a0d0d0a, "a section header of pcapng");
  await page.keyboard.press("Escape");
  await sheet.waitFor({ state: "hidden" });
  await page.goBack();
  await sheet.waitFor({ state: "visible" });
  await page.goBack();
  await sheet.waitFor({ state: "hidden" });

  const report = (await download(page, page.getByRole("link", { name: "Download the report" }), folder)).toString("utf8");
  assert.ok(report.startsWith("<!DOCTYPE html>") && report.includes("Mi10T-5G"), report.slice(0, 300));
  await page.getByRole("link", { name: "All devices" }).click();
  await page.locator(".of-devices tbody tr").first().waitFor();
  await done();
}

/** The main way without a pointer. */
async function keyboard(open) {
  const { page, done } = await open("/");
  const focused = () => page.evaluate(() => `${document.activeElement.tagName} ${document.activeElement.textContent.trim()}`);
  const tab = async (wanted) => {
    for (let step = 0; step < 60; step += 1) {
      await page.keyboard.press("Tab");
      if ((await focused()).startsWith(wanted)) return;
    }
    assert.fail(`no ${wanted} among what Tab reaches`);
  };
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "A Skip to the content");
  await tab("A OnePlus8T");
  assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), "none", "the focus is seen");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "OnePlus8T" }).waitFor();
  await page.locator(".of-destinations tbody tr").first().waitFor();
  assert.equal(await focused(), "H1 OnePlus8T", "what is new is where the reading goes on");
  await tab("INPUT");
  await page.keyboard.type("google");
  await tab("BUTTON Sent");
  await page.keyboard.press("Space");
  await page.locator(".of-destinations th[aria-sort=descending]", { hasText: "Sent" }).waitFor();
  await tab("A google");
  const opener = await focused();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").getByRole("heading", { name: "Counted by" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  assert.equal(await focused(), opener, "the focus goes back");
  await done();
}

/** Each view at a size: nothing cut or overlapping, nothing that axe finds. */
async function look(open, axe, folder, { size, scheme }) {
  const { page, done } = await open("/", { size, scheme });
  await page.locator(".of-devices tbody tr").first().waitFor();
  const kept = async (name) => {
    await whole(page, `${name}, ${size}, ${scheme}`);
    if (axe) await accessible(page, axe, `${name}, ${size}, ${scheme}`);
    if (process.env.WHITHER_SHOTS)
      await page.screenshot({ path: path.join(folder, `${name}-${size}-${scheme}.png`), fullPage: name !== "evidence" });
  };
  await kept("overview");
  await page.locator(".of-devices").getByRole("link", { name: "Mi10T-5G" }).click();
  await page.locator(".of-destinations tbody tr").first().waitFor();
  await kept("device");
  await page.locator(".of-destinations tbody td.of-name a").first().click();
  await page.getByRole("dialog").getByRole("heading", { name: "Counted by" }).waitFor();
  await kept("evidence");
  await done();
}

async function download(page, link, folder) {
  const [file] = await Promise.all([page.waitForEvent("download"), link.click()]);
  const to = path.join(folder, file.suggestedFilename());
  await file.saveAs(to);
  return fs.readFileSync(to);
}

/** `18.6 kB` as a number. */
function bytes(text) {
  const [value, unit] = text.trim().split(" ");
  return Number(value) * { B: 1, kB: 1e3, MB: 1e6, GB: 1e9 }[unit];
}
