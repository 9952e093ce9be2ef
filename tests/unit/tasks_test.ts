/** The permissions of the tasks in deno.json: a rule for all, and reasons for what goes beyond it. */

import configuration from "../../deno.json" with { type: "json" };
import { DATASETS } from "../../src/data/registry.ts";
import { assert, assertEquals } from "../assert.ts";

/** A permission that a command line grants; no values stand for all there are. */
interface Grant {
  readonly kind: string;
  readonly values: readonly string[];
}

/** What a task is for, beyond reading, that makes it need more than the rule. */
type Exceptions = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Hosts of the datasets, and this machine for tests. */
const HOSTS = new Set([
  ...DATASETS.flatMap(({ homes }) => homes.map((home) => new URL(home).host)),
  "127.0.0.1",
]);

const FETCHES = "unpacks dataset packages; given back before anything is computed";
const FIRST_RUNNABLE = ["apt-get", "dpkg-deb", "npm", "tar"];

/** The one place for a task that needs more: the kind of permission, and why. */
const EXCEPTIONS: Exceptions = {
  "train": { run: FETCHES },
  "train:mpi": { run: FETCHES, ffi: "calls the system's MPI library" },
  "sweep": { run: FETCHES, ffi: "calls the system's MPI library, to share its runs among ranks" },
  "compare": { run: FETCHES },
  "compare:peers": { run: `${FETCHES}; then PyTorch and jax-js in processes of their own` },
  "fetch": { run: "unpacks dataset packages" },
  "test": { run: "runs the commands as a user does, MPI and PyTorch as peers" },
  "compile": { run: "runs deno compile" },
  "docs:figures": { run: "runs the commands whose output it shows" },
  "notebook": {
    run: "runs the notebook's cells in a process of their own, or in Jupyter's kernel",
  },
  "build:page": { run: "starts the bundler", env: "the bundler reads what it likes" },
  "build:packages": { run: "starts the bundler", env: "the bundler reads what it likes" },
  "specs": {
    run: "starts the bundler",
    env: "the bundler and TensorFlow.js read what they like",
    sys: "TensorFlow.js asks what it runs on",
  },
  "bench": {
    run: "runs PyTorch and each engine in processes of their own",
    env: "jax-js and PyTorch read what they like",
    sys: "describes the machine that was measured",
  },
  "bench:pictures": { run: "trains in processes of its own, and PyTorch beside them" },
  "bench:accuracy": { run: "trains in processes of its own, and PyTorch beside them" },
  "bench:mpi": { run: "starts ranks, and network namespaces with shaped links between them" },
  "bench:webgpu": {
    run: "runs peers in processes of their own",
    env: "jax-js reads what it likes",
    sys: "describes the machine that was measured",
  },
};

/** Whether the rule for all tasks allows a grant. */
function isWithinRule({ kind, values }: Grant): boolean {
  switch (kind) {
    case "read":
      return true; // what is read stays here: only HOSTS can be reached
    case "write":
      return values.length > 0 && values.every(isOwnFolder);
    case "net":
      return values.length > 0 && values.every((host) => HOSTS.has(host));
    case "env":
    case "sys":
      return values.length > 0;
    default: // run, ffi, import, all: never without a reason
      return false;
  }
}

/** A folder or file inside the project, or the system's place for what may vanish. */
function isOwnFolder(path: string): boolean {
  return path === "/tmp" || /^[A-Za-z]/.test(path) && !path.split("/").includes("..");
}

/** The permission sets of deno.json. */
const SETS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = configuration.permissions;

/** What a set grants; a form that this does not know counts as everything. */
function setGrants(set: Readonly<Record<string, unknown>>): Grant[] {
  return Object.entries(set).map(([kind, values]) =>
    values === true
      ? { kind, values: [] }
      : { kind: Array.isArray(values) ? kind : "all", values: [values].flat() as string[] }
  );
}

/** The grants of every program that a task starts by itself, not by way of other tasks. */
function grantsOf(command: string): Grant[] {
  return command.split(/&&|\|\||;|\|/).flatMap((part) => {
    const words = part.trim().split(/\s+/);
    // What `deno publish` calls so has nothing to do with permissions.
    const flags = words.filter((word) => word !== "--allow-dirty");
    return flags.filter((word) => /^(-A|--allow|-[RWNESI]\b|-P\b|--permission-set)/.test(word))
      .flatMap((word) => {
        const [, set] = /^-P=(.*)$/.exec(word) ?? [];
        if (set !== undefined && Object.hasOwn(SETS, set)) return setGrants(SETS[set]);
        const [, kind, values] = /^--allow-([a-z]+)(?:=(.*))?$/.exec(word) ?? [];
        return { kind: kind ?? "all", values: values === undefined ? [] : values.split(",") };
      });
  });
}

/** Tasks that start the bundler, whose program is named by its own package. */
const BUNDLING = new Set(["build:page", "build:packages", "specs"]);

const TASKS = Object.entries(configuration.tasks)
  .map(([name, { command }]) => ({ name, command, grants: grantsOf(command) }));

function grant(name: string, kind: string): Grant | undefined {
  return TASKS.find((task) => task.name === name)?.grants.find((one) => one.kind === kind);
}

for (const { name, grants } of TASKS) {
  Deno.test(`the task ${name} asks for no more than the rule allows, or says why`, () => {
    const reasons = EXCEPTIONS[name] ?? {};
    const beyond = grants.filter((one) => !isWithinRule(one));
    for (const { kind, values } of beyond) {
      assert(kind !== "all", "no task may do everything");
      assert(Object.hasOwn(reasons, kind), `--allow-${kind}=${values}: EXCEPTIONS has no reason`);
    }
    const unused = Object.keys(reasons).filter((kind) => !beyond.some((one) => one.kind === kind));
    assertEquals(unused, [], "reasons for what is not asked for");
  });
}

Deno.test("a task has the permission set of its own name, and every set has its task", () => {
  const used = TASKS.flatMap(({ name, command }) => {
    const sets = [...command.matchAll(/ -P=(\S+)/g)].map(([, set]) => set);
    assertEquals(sets.filter((set) => set !== name), [], name);
    return sets;
  });
  assertEquals(used.toSorted(), Object.keys(SETS).toSorted());
});

Deno.test("no task starts any program it likes but the bundler's, and only MPI's tasks call C", () => {
  for (const { name, grants } of TASKS) {
    for (const { kind, values } of grants) {
      if (kind === "run") assert(values.length > 0 || BUNDLING.has(name), name);
      if (kind === "ffi") assert(["train:mpi", "sweep"].includes(name), name);
    }
  }
  for (const name of ["train", "compare", "fetch"]) {
    assertEquals(grant(name, "run")?.values, FIRST_RUNNABLE);
  }
});

Deno.test("tasks that only look at a model write nothing, and reach no host and no program", () => {
  for (const name of ["eval", "predict", "summary", "devices"]) {
    for (const kind of ["write", "net", "run", "ffi"]) {
      assertEquals(grant(name, kind), undefined, name);
    }
  }
});

Deno.test("the rule refuses what would let a task do more than it says", () => {
  const commands = [
    "deno run -A x.ts",
    "deno run --allow-all x.ts",
    "deno run --allow-ffi x.ts",
    "deno run --allow-run x.ts",
    "deno run --allow-run=deno x.ts",
    "deno run --allow-net x.ts",
    "deno run --allow-net=example.org x.ts",
    "deno run --allow-write x.ts",
    "deno run --allow-write=runs,../x x.ts",
    "deno run --allow-write=/ x.ts",
    "deno run --allow-write=. x.ts",
    "deno run --allow-env x.ts",
    "deno run --allow-sys x.ts",
    "deno run --allow-import x.ts",
    "deno run -R -W x.ts",
    "deno run -P=train x.ts",
    "deno run -P=unknown x.ts",
    "deno run -P x.ts",
    "deno run --allow-read x.ts && deno run -A y.ts",
  ];
  for (const command of commands) {
    assert(grantsOf(command).some((one) => !isWithinRule(one)), command);
  }
  assertEquals(grantsOf("deno run --allow-read --allow-write=runs x.ts --allow"), [
    { kind: "read", values: [] },
    { kind: "write", values: ["runs"] },
    { kind: "all", values: [] },
  ]);
});
