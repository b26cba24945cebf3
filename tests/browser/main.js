// Runs every journey in one browser; prints what was seen as JSON: {journey: {facts} | {error}}.
// Input, on standard input: the addresses, people and resources that ../conftest.py made.

import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";
import journeys from "./journeys.js";
import { Watch } from "./watch.js";

const world = JSON.parse(readFileSync(0, "utf8"));
const browser = await chromium.launch({
  executablePath: world.chromium,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
const seen = {};
try {
  for (const [name, journey] of Object.entries(journeys)) {
    const begun = Date.now();
    try {
      seen[name] = await journey(browser, world);
    } catch (error) {
      const shown = await Watch.last?.page.locator("body").innerText().catch(String);
      seen[name] = { error: `${error.stack ?? error}\nThe page says: ${shown}` };
    }
    seen[name].seconds = (Date.now() - begun) / 1000;
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));
