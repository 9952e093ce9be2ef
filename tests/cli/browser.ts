/** A real browser, where there is one, driven over the Chrome DevTools Protocol. */

import { runDeno, startDeno } from "./command.ts";

/** Code that runs a program for which the tests themselves have no permission. */
function programCode(program: string, args: readonly string[]): string {
  return `const command = new Deno.Command(${JSON.stringify(program)}, {
    args: ${JSON.stringify(args)}, stdout: "inherit", stderr: "inherit" });
    Deno.exit((await command.output()).code);`;
}

/** Runs a program to its end. */
export function runProgram(program: string, args: readonly string[]) {
  return runDeno(["eval", programCode(program, args)]);
}

/** Command of the browser that this machine has. */
export async function findBrowser(): Promise<string | undefined> {
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
    if ((await runProgram(name, ["--version"])).code === 0) return name;
  }
  return undefined;
}

/** What a headless browser needs to run here and to talk to nobody. */
export const BROWSER_ARGS = ["--headless", "--no-sandbox", "--disable-background-networking"];

interface Message {
  readonly id?: number;
  readonly sessionId?: string;
  readonly method?: string;
  // deno-lint-ignore no-explicit-any -- the protocol's own shapes
  readonly params?: any;
  // deno-lint-ignore no-explicit-any
  readonly result?: any;
  readonly error?: { readonly message: string };
}

/** A running browser. */
export class Browser implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #socket: WebSocket;
  readonly #drained: Promise<void>;
  readonly #answers = new Map<number, PromiseWithResolvers<Message["result"]>>();
  readonly #pages = new Map<string, Page>();
  #lastId = 0;

  /** Starts a browser.
   *
   * @param profile Folder for what it writes.
   */
  static async start(program: string, profile: string, args: readonly string[] = []) {
    const code = programCode(program, [
      ...[...BROWSER_ARGS, "--remote-debugging-port=0", `--user-data-dir=${profile}`],
      ...[...args, "about:blank"],
    ]);
    const process = startDeno(["eval", code]);
    const lines = process.stderr.pipeThrough(new TextDecoderStream());
    const found = Promise.withResolvers<string>();
    const drained = (async () => {
      let text = "";
      for await (const part of lines) {
        text += part;
        const address = /DevTools listening on (ws:\S+)\s/.exec(text)?.[1];
        if (address) found.resolve(address);
      }
      found.reject(new Error(`The browser did not start: ${text}`));
    })();
    const socket = new WebSocket(await found.promise);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = reject;
    });
    return new Browser(process, socket, drained);
  }

  private constructor(process: Deno.ChildProcess, socket: WebSocket, drained: Promise<void>) {
    this.#process = process;
    this.#socket = socket;
    this.#drained = drained;
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
  }

  /** Opens a page and waits until it is loaded.
   *
   * @param before Code that runs in it before its own, out of reach of its policy.
   */
  async open(url: string, before = ""): Promise<Page> {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page((method, params) => this.send(method, params, sessionId));
    this.#pages.set(sessionId, page);
    for (const domain of ["Page", "Runtime", "Log", "Network", "DOM"]) {
      await page.send(`${domain}.enable`);
    }
    await page.send("Emulation.setDeviceMetricsOverride", {
      ...{ width: 1000, height: 900, deviceScaleFactor: 1, mobile: false },
    });
    await page.send("Page.addScriptToEvaluateOnNewDocument", { source: before });
    await page.send("Page.navigate", { url });
    await page.loaded;
    return page;
  }

  /** Sends a command and waits for its result. */
  send(method: string, params: object = {}, sessionId?: string): Promise<Message["result"]> {
    const id = ++this.#lastId;
    const answer = Promise.withResolvers<Message["result"]>();
    this.#answers.set(id, answer);
    this.#socket.send(JSON.stringify({ id, method, params, sessionId }));
    return answer.promise;
  }

  #receive({ id, sessionId, method, params, result, error }: Message): void {
    if (id === undefined) return this.#pages.get(sessionId ?? "")?.receive(method!, params);
    const answer = this.#answers.get(id);
    this.#answers.delete(id);
    if (error) answer?.reject(new Error(error.message));
    else answer?.resolve(result);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#socket.onclose = resolve);
    await this.send("Browser.close");
    this.#socket.close();
    await Promise.all([closed, this.#drained, this.#process.stdout.cancel()]);
    await this.#process.status;
  }
}

/** A page of a browser, and what it complained about or asked for since it was opened. */
export class Page {
  /** Errors of the console, exceptions, and what the browser logged as errors. */
  readonly errors: string[] = [];
  /** Addresses that were asked for. */
  readonly requests: string[] = [];
  /** Resolves when the page is loaded. */
  readonly loaded: Promise<void>;
  readonly send: (method: string, params?: object) => Promise<Message["result"]>;
  readonly #load = Promise.withResolvers<void>();

  constructor(send: Page["send"]) {
    this.send = send;
    this.loaded = this.#load.promise;
  }

  /** Takes an event. */
  receive(method: string, params: Message["params"]): void {
    if (method === "Page.loadEventFired") this.#load.resolve();
    if (method === "Network.requestWillBeSent") this.requests.push(params.request.url);
    if (method === "Runtime.exceptionThrown") {
      const { text, exception } = params.exceptionDetails;
      this.errors.push(`${text} ${exception?.description ?? ""}`);
    }
    if (method === "Runtime.consoleAPICalled" && params.type === "error") {
      this.errors.push(JSON.stringify(params.args));
    }
    if (method === "Log.entryAdded" && params.entry.level === "error") {
      this.errors.push(params.entry.text);
    }
  }

  /** The value of an expression, awaited if it is a promise. */
  async evaluate<Value>(expression: string): Promise<Value> {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      ...{ expression, awaitPromise: true, returnByValue: true },
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description);
    return result.value;
  }

  /** Waits until an expression is true, looking at it whenever the page has drawn itself. */
  async until(expression: string): Promise<void> {
    await this.evaluate(`new Promise((resolve) => {
      const look = () => ${expression} ? resolve() : requestAnimationFrame(look);
      look();
    })`);
  }

  /** Draws a stroke with the mouse, through points of the page. */
  async stroke(points: readonly (readonly [x: number, y: number])[]): Promise<void> {
    const mouse = (type: string, [x, y]: readonly [number, number]) =>
      this.send("Input.dispatchMouseEvent", {
        ...{ type, x, y, button: "left", buttons: 1, clickCount: 1 },
      });
    await mouse("mousePressed", points[0]);
    for (const point of points.slice(1)) await mouse("mouseMoved", point);
    await mouse("mouseReleased", points[points.length - 1]);
  }

  /** Draws a stroke with a finger, through points of the page. */
  async touch(points: readonly (readonly [x: number, y: number])[]): Promise<void> {
    for (const [index, [x, y]] of points.entries()) {
      const type = index === 0 ? "touchStart" : "touchMove";
      await this.send("Input.dispatchTouchEvent", { type, touchPoints: [{ x, y }] });
    }
    await this.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
  }

  /** Presses a key by its name, as `KeyboardEvent.key` has it. */
  async press(key: string): Promise<void> {
    for (const type of ["keyDown", "keyUp"]) {
      await this.send("Input.dispatchKeyEvent", { type, key });
    }
  }
}
