/** The description of the current work, in shared memory, read by every thread. */

/** What threads can be asked to do. */
export const TASK_KINDS = ["pack", "train", "gradients", "evaluate", "predict"] as const;

/** Work on a stretch of attached images; addresses are bytes in the shared memory. */
export interface Task {
  readonly kind: typeof TASK_KINDS[number];
  readonly images: number;
  readonly labels: number;
  /** The images to work on, as 32-bit indices. */
  readonly indices: number;
  readonly count: number;
  /** Images of a step; the last step may have fewer. */
  readonly batchSize: number;
  /** Learning rate of each step, as 32-bit floats. */
  readonly learningRates: number;
  /** What each step's sums are divided by, as 64-bit floats. */
  readonly divisors: number;
  /** Updates made before this task. */
  readonly step: number;
  /** Where each image's loss and prediction go, with room for eight more; or its logits. */
  readonly losses: number;
  readonly predictions: number;
  readonly logits: number;
}

/** A task without images. */
export const NO_WORK: Omit<Task, "kind"> = {
  images: 0,
  labels: 0,
  indices: 0,
  count: 0,
  batchSize: 1,
  learningRates: 0,
  divisors: 0,
  step: 0,
  losses: 0,
  predictions: 0,
  logits: 0,
};

const FIELDS = Object.keys(NO_WORK) as (keyof typeof NO_WORK)[];

/** Writes a task where {@linkcode readTask} finds it. */
export function writeTask(memory: WebAssembly.Memory, address: number, task: Task): void {
  const words = new Float64Array(memory.buffer, address, 1 + FIELDS.length);
  words[0] = TASK_KINDS.indexOf(task.kind);
  for (const [index, field] of FIELDS.entries()) words[index + 1] = task[field];
}

/** Reads the task that was written last. */
export function readTask(memory: WebAssembly.Memory, address: number): Task {
  const [kind, ...values] = new Float64Array(memory.buffer, address, 1 + FIELDS.length);
  const numbers = Object.fromEntries(FIELDS.map((field, index) => [field, values[index]]));
  return { kind: TASK_KINDS[kind], ...numbers } as Task;
}
