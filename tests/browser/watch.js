// One person's browser: what it complained about, and whether its pages are good for everybody.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const NARROW = { width: 320, height: 640 }; // WCAG 2.2, 1.4.10
const GRAVE = ["serious", "critical"];

export class Watch {
  constructor(context) {
    this.context = context;
    this.complaints = [];
    this.pages = {};
  }

  static async open(browser, options = {}) {
    const watch = new Watch(await browser.newContext({ viewport: NARROW, ...options }));
    watch.page = await watch.context.newPage();
    Watch.last = watch;
    watch.page.setDefaultTimeout(8000);
    watch.page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) watch.complaints.push(message.text());
    });
    watch.page.on("pageerror", (error) => watch.complaints.push(String(error)));
    return watch;
  }

  /** Look at the page as it is now: axe in light and dark, and whether it scrolls sideways. */
  async look(name) {
    const found = [];
    for (const colorScheme of ["light", "dark"]) {
      await this.page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await this.page.evaluate(AXE);
      const { violations } = await this.page.evaluate(() => axe.run());
      found.push(
        ...violations
          .filter((one) => GRAVE.includes(one.impact))
          .map((one) => `${colorScheme}: ${one.id}: ${one.nodes.map((node) => node.html)}`),
      );
    }
    const wide = await this.page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    this.pages[name] = {
      violations: found,
      overflow: wide,
      lang: await this.page.getAttribute("html", "lang"),
      title: await this.page.title(),
      scripts: await this.page.locator("script").count(),
    };
  }

  /** Go on by the keyboard only until the element has the focus; say how many steps it took. */
  async tabTo(locator) {
    for (let steps = 0; steps < 40; steps += 1) {
      if (await locator.evaluate((element) => element === document.activeElement)) return steps;
      await this.page.keyboard.press("Tab");
    }
    throw new Error(`not reached by the keyboard: ${locator}`);
  }

  async press(locator, key) {
    await this.tabTo(locator);
    await this.page.keyboard.press(key);
  }

  async type(locator, text) {
    await this.tabTo(locator);
    await this.page.keyboard.press("Control+A");
    await this.page.keyboard.type(text);
  }

  async close() {
    await this.context.close();
  }
}
