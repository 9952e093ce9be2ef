/** `deno run -A tests/cli/lab_screenshots.ts FOLDER`: the lab in both themes and three widths, to be looked
 * at; `light-1600.png` becomes docs/lab.png by `convert light-1600.png -resize 1280x -dither None -colors 80 docs/lab.png`.
 */

import { withTempDir } from "../temp.ts";
import { Browser, findBrowser } from "./browser.ts";
import { LabPage, LabServer } from "./lab_server.ts";

const WIDTHS = [[390, 844], [1200, 1000], [1600, 1000]] as const;

if (import.meta.main) {
  const [folder] = Deno.args;
  await withTempDir(async (temporary) => {
    await using server = await LabServer.start();
    await using browser = await Browser.start((await findBrowser())!, temporary);
    for (const theme of ["light", "dark"]) {
      const lab = await LabPage.open(browser, `${server.address}?${theme}`);
      const { page } = lab;
      await page.send("Emulation.setEmulatedMedia", {
        features: [{ name: "prefers-color-scheme", value: theme }],
      });
      await lab.click("#start");
      await lab.until(`document.querySelector("#status").innerText.includes("epoch 4")`);
      await lab.click("#pause");
      await lab.status("paused");
      await lab.pointAt(`[data-maps="conv1"]`, 0.29, 0.6);
      await lab.until(`document.querySelector("#sum")`);
      for (const [width, height] of WIDTHS) {
        await page.send("Emulation.setDeviceMetricsOverride", {
          ...{ width, height, deviceScaleFactor: 1, mobile: false },
        });
        await page.evaluate("scrollTo(0, 0)");
        await new Promise((resolve) => setTimeout(resolve, 500));
        const { data } = await page.send("Page.captureScreenshot", {
          ...{ format: "png", captureBeyondViewport: width === 390 },
        });
        await Deno.writeFile(`${folder}/${theme}-${width}.png`, Uint8Array.fromBase64(data));
      }
    }
  });
}
