// Nothing was seen yet: what to look at.

import { h, say, set } from "./dom.js";
import { count } from "./words.js";

/** The note; `update(overview)`, or nothing where there are devices. */
export function empty() {
  const heading = h("h2", {});
  const words = h("p", {});
  const list = h("ul", {});
  const node = h("section", { class: "panel empty", hidden: true }, heading, words, list);
  let last = "";

  function update(seen) {
    set(node, "hidden", seen === null);
    if (seen === null) return;
    const { head, text, checks } = told(seen.health);
    say(heading, head);
    say(words, text);
    if (checks.join() === last) return;
    last = checks.join();
    list.replaceChildren(...checks.map((check) => h("li", {}, check)));
  }

  return { node, update };
}

function told({ reads, finished, packets, interfaces, skipped }) {
  const names = interfaces.map((one) => one.interface).join(", ");
  const skips = Object.entries(skipped).filter(([, number]) => number > 0);
  if (packets > 0) {
    return {
      head: `${count(packets)} packets, and none of a device of ours`,
      text: "Packets are read, and none of them could be charged to a device on our side.",
      checks: [
        skips.length
          ? `Skipped, by reason: ${skips.map(([reason, number]) => `${reason} ${count(number)}`).join(", ")}.`
          : "No packet was skipped.",
        "Is our side another network than the private ones? Name it with --local-net.",
        "Was it captured behind a router? Then devices are addresses: --by-address.",
      ],
    };
  }
  if (reads === "files") {
    return {
      head: finished ? "No packet in the captures" : "No packet yet",
      text: finished ? "The captures were read to their end, and held no packet that could be read." : "The captures are being read.",
      checks: ["Does --filter leave anything? Does tcpdump -r show packets?"],
    };
  }
  return {
    head: `No packet yet${names ? ` on ${names}` : ""}`,
    text: "The capture is open, and nothing has passed. That is not the same as nothing being sent.",
    checks: [
      ...interfaces.filter((one) => !one.up).map((one) => `${one.interface} is down or away; whither tries again until it is back.`),
      "Is it the interface that the devices use? On an access point that is its own one (wlan0), or the bridge above it.",
      "Is any device associated? On Linux: iw dev wlan0 station dump.",
      "Does --filter leave anything? Does tcpdump -i see packets there?",
    ],
  };
}
