/** The lab in a real browser, driven as a person would. */

import { encode as encodePng } from "fast-png";
import { assert, assertAlmostEquals, assertEquals, assertStringIncludes } from "../assert.ts";
import { granted } from "../permissions.ts";
import { namesIn, withTempDir } from "../temp.ts";
import { Browser, findBrowser } from "./browser.ts";
import { canRunCommands, runTask } from "./command.ts";
import { LabPage, LabServer } from "./lab_server.ts";

const canRun = canRunCommands() && granted({ name: "net", host: "127.0.0.1" });
const CHROMIUM = canRun ? await findBrowser() : undefined;
const ignore = CHROMIUM === undefined;

/** Nothing was complained of, and nobody else was asked for anything. */
function assertQuiet({ page }: LabPage, address: string): void {
  assertEquals(page.errors, []);
  const foreign = page.requests.filter((url) =>
    !/^(data|blob):/.test(url) && !url.startsWith(address)
  );
  assertEquals(foreign, []);
}

Deno.test({
  name: "lab: trains with threads, shows how numbers are made, takes drawings and edited layers",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      await using server = await LabServer.start();
      await using browser = await Browser.start(CHROMIUM!, `${folder}/profile`);
      const lab = await LabPage.open(browser, server.address);
      const { page } = lab;
      const cores = await page.evaluate<number>("navigator.hardwareConcurrency");
      assertStringIncludes(
        await page.evaluate(`document.querySelector("#device").textContent`),
        `, ${cores}`,
      );

      await lab.click("#start");
      await lab.until(`parseFloat(document.querySelector("#accuracy b")?.innerText) >= 70`);
      await lab.click("#pause");
      await lab.status("paused");

      // One more step is one more step.
      const stepOf = `Number(/step (\\d+)/.exec(document.querySelector("#status").innerText)[1])`;
      const before = await page.evaluate<number>(stepOf);
      await lab.click("#step");
      await lab.until(`${stepOf} === ${before + 1}`);
      await lab.status("paused");

      // A number of conv2: its sum is written out, and it sees 14 x 14 pixels.
      await lab.pointAt(`[data-maps="conv2"]`, 0.05, 0.1);
      await lab.until(`document.querySelector("#sum")`);
      const value = asNumber(await lab.text("#value"));
      const [parts, result] = (await lab.text("#sum")).split("=");
      const sum = parts.replace("bias", "").split("+").map(asNumber).reduce((a, b) => a + b);
      assertAlmostEquals(sum, value, 0.01);
      assertEquals(asNumber(result), value);
      assertEquals(await lab.page.evaluate(`document.querySelectorAll(".window-row").length`), 6);
      assertEquals(
        await page.evaluate(`document.querySelector(".field-frame").dataset.field`),
        "14x14",
      );

      // A drawing is taken as it is drawn.
      await lab.click("#draw");
      await lab.until(`document.querySelector("#board")`);
      const corners = [[0.3, 0.2], [0.7, 0.2], [0.7, 0.8], [0.3, 0.8], [0.3, 0.2]] as const;
      const logits = await lab.text(".answer tbody");
      const places = [];
      for (const [x, y] of corners) places.push(await lab.placeOf("#board", x, y));
      await page.stroke(places);
      await lab.until(
        `document.querySelector(".answer tbody").innerText !== ${JSON.stringify(logits)}`,
      );
      assertEquals(await lab.text("#picture-loss"), "");

      // A layer that does not fit is told of in words; one that does counts at once.
      await page.evaluate(`document.querySelector('[data-layer="conv1"]').click()`);
      const field = (name: string) => `[aria-label^="${name} of conv1"]`;
      await lab.set(field("kernelSize"), "60");
      await lab.until(`document.querySelector("#network-error")`);
      assertStringIncludes(await lab.text("#network-error"), "does not fit the input [1, 28, 28]");
      assertEquals(await page.evaluate(`document.querySelector("#start").disabled`), true);
      await lab.set(field("kernelSize"), "5");
      await lab.set(field("outChannels"), "8");
      await lab.until(`document.querySelector("#parameter-count")?.innerText === "62,558"`);
      await lab.status("ready");
      assertStringIncludes(
        await page.evaluate("decodeURIComponent(location.hash)"),
        `"outChannels":8`,
      );
      assertEquals(await page.evaluate(`document.querySelectorAll("#runs li").length`), 1);
      await lab.click("#step");
      await lab.status("paused");

      await lab.set("#language", "zh");
      await lab.until(`document.documentElement.lang === "zh"`);
      assertStringIncludes(await lab.text("h1"), "实验室");
      await lab.click("#tour");
      assertEquals(await lab.text("#tour-title"), "图片就是数");
      assertQuiet(lab, server.address);
      assertEquals(await server.end(), 0);
    }),
});

/** A number as the page writes it. */
function asNumber(text: string): number {
  return Number(text.trim().replace("\u2212", "-"));
}
