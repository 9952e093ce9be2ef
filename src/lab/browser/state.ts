/** What the page knows, as signals, and the ways to change it. */

/// <reference lib="dom" />
import { batch, computed, effect, signal } from "@preact/signals";
import { modelOf as modelOfSpec } from "../../nn/model_spec.ts";
import type { Model } from "../../nn/sequential.ts";
import { type MODEL_NAMES, ZOO } from "../../nn/zoo.ts";
import {
  type DataName,
  type Experiment,
  fromAddress,
  modelOf,
  rateFor,
  SERVED_NAMES,
  toAddress,
  zooExperiment,
} from "../experiment.ts";
import { Curve } from "./curve.ts";
import type { Assessment, DataFacts, Inspected, LabEvent, Laboratory, View } from "./laboratory.ts";
import { callWorker } from "./remote.ts";

/** How far the page is. */
export type Status = "loading" | "ready" | "running" | "paused" | "finished" | "failed";

/** An earlier run, to compare with. */
export interface Run {
  readonly name: string;
  readonly experiment: Experiment;
  readonly curve: Curve;
  readonly shown: boolean;
}

/** A number inside the network. */
export interface Selection {
  readonly layer: number;
  readonly place: number;
}

/** A learning rate from a step on. */
export interface RateChange {
  readonly step: number;
  readonly learningRate: number;
}

export const experiment = signal<Experiment>(fromAddress(location.hash));
export const offered = signal<readonly DataName[]>(["sample"]);
export const data = signal<DataFacts | undefined>(undefined);
export const status = signal<Status>("loading");
export const problem = signal("");
export const loaded = signal<number | undefined>(undefined);
export const device = signal({ description: "", threads: 1 });
/** The network that is open, which may not yet be the one that is edited. */
export const opened = signal<Model | undefined>(undefined);
export const curve = signal(new Curve());
export const rates = signal<readonly RateChange[]>([]);
export const runs = signal<readonly Run[]>([]);
export const inspected = signal<Inspected>({ from: "test", index: 0 });
export const view = signal<View | undefined>(undefined);
export const selection = signal<Selection | undefined>(undefined);
export const isHeld = signal(false);
export const assessment = signal<(Assessment & { readonly step: number }) | undefined>(undefined);
export const speeds = signal<Readonly<Record<string, number | undefined>>>({});
export const reading = signal<{ readonly done: number; readonly total: number } | undefined>(
  undefined,
);
/** The part of the page that shows what was trained. */
export const tab = signal<"inside" | "mistakes" | "own" | "home">("inside");
export const tourStop = signal<number | undefined>(undefined);

/** The network that is edited, or why there is none. */
export const edited = computed((): { readonly model: Model } | { readonly error: string } => {
  const facts = data.value;
  if (facts === undefined) return { error: "" };
  const { shape: inputShape, classNames: { length: classCount } } = facts;
  try {
    return { model: modelOf(experiment.value, { inputShape, classCount }) };
  } catch (error) {
    return { error: (error as Error).message };
  }
});

export const isRunning = computed(() => status.value === "running");

const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });

/** The worker's side. */
export const laboratory = callWorker<Laboratory, LabEvent>(worker, hear);

function hear(event: LabEvent): void {
  switch (event.type) {
    case "loading":
      loaded.value = event.total > 0 ? Math.round(100 * event.bytes / event.total) : 0;
      return;
    case "reading":
      reading.value = event.done < event.total ? event : undefined;
      return;
    case "steps":
      curve.value = curve.value.withSteps(event.first, event.result);
      return;
    case "epoch": {
      const { engine } = experiment.value;
      curve.value = curve.value.withEpoch(event.metrics);
      speeds.value = { ...speeds.value, [engine]: event.metrics.imagesPerSecond };
      return;
    }
    case "view":
      view.value = event.view;
      return;
    case "ended":
      if (event.outcome === "failed") problem.value = event.message ?? "";
      if (!isRunning.value) return;
      status.value = event.outcome === "failed"
        ? "failed"
        : event.outcome === "finished"
        ? "finished"
        : "paused";
  }
}

/** One after another: what is asked of the worker while it opens a network waits. */
let doing: Promise<void> = Promise.resolve();

function inTurn(work: () => Promise<void>): Promise<void> {
  doing = doing.then(work).catch((error: Error) => {
    problem.value = error.message;
    status.value = "failed";
  });
  return doing;
}

/** Begins: asks what the server has, and loads it. */
export function begin(): Promise<void> {
  return inTurn(async () => {
    const names: unknown = await (await fetch("data/index.json")).json();
    offered.value = SERVED_NAMES.filter((name) => Array.isArray(names) && names.includes(name));
    const { data: wanted } = experiment.value;
    const first = offered.value[0];
    if (!offered.value.includes(wanted) && first !== undefined) {
      experiment.value = { ...experiment.value, data: first };
    }
    await load();
    await open();
  });
}

/** Trains on other images from now on. */
export function chooseData(name: DataName): Promise<void> {
  return inTurn(async () => {
    keepRun();
    experiment.value = { ...experiment.value, data: name };
    await load();
    await open();
  });
}

/** Counts changes of the network: a later one makes an earlier one's network not worth showing. */
let lastReset = 0;

async function load(): Promise<void> {
  status.value = "loading";
  problem.value = "";
  const facts = await laboratory.load(experiment.value.data);
  batch(() => {
    loaded.value = undefined;
    data.value = facts;
    inspected.value = { from: "test", index: 0 };
  });
}

/** Opens the edited network with new weights, if it fits. */
async function open(): Promise<void> {
  if ("error" in edited.value) {
    await laboratory.pause();
    status.value = "ready";
    return;
  }
  const wanted = lastReset;
  const { model, ...facts } = await laboratory.open(experiment.value);
  if (wanted !== lastReset) return; // it has been changed again, and will be opened as it is then
  batch(() => {
    opened.value = modelOfSpec(model);
    device.value = { description: facts.device, threads: facts.threads };
    curve.value = new Curve(data.value!.trainCount, experiment.value.batchSize);
    rates.value = [];
    assessment.value = view.value = selection.value = undefined;
    isHeld.value = false;
    status.value = "ready";
  });
  await laboratory.look(inspected.value);
}

/** Puts a run that has begun among the earlier ones. */
function keepRun(): void {
  if (curve.value.step === 0) return;
  const { model, optimizer, learningRate } = experiment.value;
  const name = `${runs.value.length + 1}: ${model}, ${optimizer} ${learningRate}`;
  const run = { name, experiment: experiment.value, curve: curve.value, shown: true };
  runs.value = [...runs.value, run];
}

/** Changes the experiment; all but learning rate and epochs begin it anew. */
export function edit(changes: Partial<Experiment>): Promise<void> {
  const live = Object.keys(changes).every((key) => key === "learningRate" || key === "epochs");
  if (live) {
    const { learningRate: before } = experiment.value;
    experiment.value = { ...experiment.value, ...changes };
    const { learningRate, epochs } = experiment.value;
    const { step } = curve.value;
    if (learningRate !== before && step > 0) {
      const earlier = rates.value.length > 0 ? rates.value : [{ step: 0, learningRate: before }];
      rates.value = [...earlier.filter((one) => one.step !== step), { step, learningRate }];
    }
    return inTurn(() => laboratory.change({ learningRate, epochs }));
  }
  if (Object.keys(changes).every((key) => key === "engine" || key === "threads")) {
    return changeEngine(changes);
  }
  return reset(changes);
}

/** Begins anew, with changes where there are some; what was trained is kept to compare with. */
export function reset(changes: Partial<Experiment> = {}): Promise<void> {
  keepRun();
  curve.value = new Curve(data.value?.trainCount, experiment.value.batchSize);
  experiment.value = { ...experiment.value, ...changes };
  status.value = "loading";
  problem.value = "";
  const wanted = ++lastReset;
  // Of changes that follow one another at once, the last is opened.
  return inTurn(() => wanted === lastReset ? open() : Promise.resolve());
}

/** Goes on with the same weights on another engine. */
function changeEngine(changes: Partial<Experiment>): Promise<void> {
  const before = experiment.value;
  experiment.value = { ...before, ...changes };
  return inTurn(async () => {
    if ("error" in edited.value || opened.value === undefined) return;
    const wasRunning = isRunning.value;
    await laboratory.pause();
    const old = status.value;
    try {
      const { device: description, threads } = await laboratory.open(experiment.value, true);
      device.value = { description, threads };
      status.value = old === "loading" ? "ready" : old;
      if (wasRunning) start();
    } catch (error) {
      experiment.value = before;
      await laboratory.open(before);
      curve.value = new Curve(data.value?.trainCount, before.batchSize);
      status.value = "ready";
      problem.value = (error as Error).message;
    }
  });
}

/** Takes a model of the zoo, by its recipe. */
export function chooseZoo(model: typeof MODEL_NAMES[number]): Promise<void> {
  const classCount = data.value?.classNames.length ?? 10;
  const { optimizer } = experiment.value;
  const isOwn = ZOO[model].recipe.optimizer !== undefined;
  const fields = zooExperiment(model, { classCount, ...(!isOwn && { optimizer }) });
  // A recipe of plain SGD leaves alone what was chosen; a modern one is taken whole.
  const { learningRate, layers } = fields;
  return reset(isOwn ? fields : { model, learningRate, layers });
}

/** Takes an optimiser, with the learning rate that suits it. */
export function chooseOptimizer(optimizer: string): Promise<void> {
  const { model } = experiment.value;
  const learningRate = rateFor(model === "own" ? "lenet-relu" : model, optimizer);
  return edit({ optimizer, learningRate });
}

/** Trains, or goes on. */
export function start(steps?: number): void {
  if ("error" in edited.value || status.value === "loading" || isRunning.value) return;
  const { epochs, schedule } = experiment.value;
  if (status.value === "finished" && schedule === "constant") {
    void edit({ epochs: epochs + Math.max(1, Math.round(epochs / 2)) });
  }
  problem.value = "";
  status.value = "running";
  void inTurn(() => {
    status.value = "running";
    return laboratory.start(steps);
  });
}

/** Stops after the current step. */
export function pause(): void {
  void laboratory.pause();
}

/** Shows the network a picture. */
export function look(next: Inspected): void {
  inspected.value = next;
  if (opened.value !== undefined) void inTurn(() => laboratory.look(next));
}

/** Runs the test set, image by image. */
export async function assess(): Promise<void> {
  const { step } = curve.value;
  assessment.value = { ...await laboratory.assess(), step };
}

// The address always says what is on the page.
effect(() => {
  const address = toAddress(experiment.value);
  const { pathname, search, hash } = location;
  if (hash.slice(1) === address) return;
  history.replaceState(null, "", `${pathname}${search}${address && `#${address}`}`);
});

addEventListener("hashchange", () => {
  const next = fromAddress(location.hash);
  if (toAddress(next) === toAddress(experiment.value)) return;
  void (next.data === experiment.value.data ? reset(next) : chooseData(next.data));
});
