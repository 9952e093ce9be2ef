/** The lab as a user starts it, and its page as a user handles it. */

import { ROOT, startDeno } from "./command.ts";
import type { Browser, Page } from "./browser.ts";

/** After so long something has gone wrong. */
const PATIENCE_MS = 120_000;

/** A server of the lab, until it is disposed of: by Ctrl-C, as its user ends it. */
export class LabServer implements AsyncDisposable {
  readonly address: string;
  readonly #process: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;

  private constructor(
    address: string,
    process: Deno.ChildProcess,
    lines: ReadableStreamDefaultReader<string>,
  ) {
    this.address = address;
    this.#process = process;
    this.#lines = lines;
  }

  /** Starts it at a free port and waits for its address. */
  static async start(): Promise<LabServer> {
    const args = ["run", "-q", "-P=lab", `${ROOT}scripts/lab.ts`, "--port", "0", "--json"];
    const process = startDeno([...args, "--data", "sample"]);
    const lines = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const { value = "" } = await lines.read();
    return new LabServer(JSON.parse(value).address, process, lines);
  }

  /** Ends it; resolves with its exit code. */
  async end(): Promise<number> {
    this.#process.kill("SIGINT");
    await this.#lines.cancel();
    await this.#process.stderr.cancel();
    return (await this.#process.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end().catch(() => {});
  }
}

/** Of the browser's tree of what can be heard. */
interface AccessibleNode {
  readonly ignored: boolean;
  readonly role?: { readonly value: string };
  readonly name?: { readonly value: string };
}

/** What must have a name. */
const NAMED_ROLES = new Set([
  ...["button", "textbox", "spinbutton", "combobox", "slider", "checkbox", "tab", "link"],
  ...["application", "image", "table", "region", "progressbar"],
]);

/** The lab's page, handled as a user does. */
export class LabPage {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  /** Opens the page and waits until its network is ready. */
  static async open(browser: Browser, address: string, before = ""): Promise<LabPage> {
    const lab = new LabPage(await browser.open(address, before));
    await lab.until(`document.querySelector("#status")?.dataset.status === "ready"`);
    return lab;
  }

  /** Waits until an expression is true; what never becomes so names itself. */
  async until(expression: string): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const error = new Error(`Still not so: ${expression}`); // made here: its trace names the caller
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(error), PATIENCE_MS);
    });
    try {
      await Promise.race([this.page.until(expression), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Text of an element. */
  text(selector: string): Promise<string> {
    return this.page.evaluate(
      `document.querySelector(${JSON.stringify(selector)})?.innerText ?? ""`,
    );
  }

  /** Clicks in the middle of an element, with the mouse. */
  async click(selector: string): Promise<void> {
    const point = await this.placeOf(selector);
    await this.page.stroke([point]);
  }

  /** Clicks whatever holds a text exactly. */
  clickText(text: string, selector = "button"): Promise<void> {
    return this.page.evaluate(`[...document.querySelectorAll(${JSON.stringify(selector)})]
      .find((element) => element.innerText.trim() === ${JSON.stringify(text)}).click()`);
  }

  /** A place in an element, by shares of its sides; scrolled into view first. */
  async placeOf(selector: string, x = 0.5, y = 0.5): Promise<readonly [number, number]> {
    return await this.page.evaluate(`(async () => {
      const element = document.querySelector(${JSON.stringify(selector)});
      element.scrollIntoView({ block: "center" });
      await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
      const { left, top, width, height } = element.getBoundingClientRect();
      return [left + ${x} * width, top + ${y} * height];
    })()`);
  }

  /** Moves the mouse to a place in an element. */
  async pointAt(selector: string, x: number, y: number): Promise<void> {
    const [left, top] = await this.placeOf(selector, x, y);
    await this.page.send("Input.dispatchMouseEvent", { type: "mouseMoved", x: left, y: top });
  }

  /** Sets the value of an input or a select, as typing or choosing does. */
  set(selector: string, value: string): Promise<void> {
    return this.page.evaluate(`(() => {
      const element = document.querySelector(${JSON.stringify(selector)});
      element.value = ${JSON.stringify(value)};
      element.dispatchEvent(new Event("input", { bubbles: true }));
      element.dispatchEvent(new Event("change", { bubbles: true }));
    })()`);
  }

  /** Waits for a status. */
  status(status: string): Promise<void> {
    return this.until(`document.querySelector("#status").dataset.status === "${status}"`);
  }

  /** What a screen reader meets that has no name. */
  async nameless(): Promise<string[]> {
    await this.page.evaluate(
      `document.querySelectorAll("details").forEach((one) => one.open = true)`,
    );
    const { nodes } = await this.page.send("Accessibility.getFullAXTree");
    return nodes.filter(({ ignored, role, name }: AccessibleNode) =>
      !ignored && NAMED_ROLES.has(role?.value ?? "") && !name?.value
    ).map(({ role }: AccessibleNode) => role!.value);
  }

  /** Gives a file input files, or a folder. */
  async choose(selector: string, paths: readonly string[]): Promise<void> {
    const { root } = await this.page.send("DOM.getDocument");
    const { nodeId } = await this.page.send("DOM.querySelector", { nodeId: root.nodeId, selector });
    await this.page.send("DOM.setFileInputFiles", { nodeId, files: paths });
  }
}
