/** A guided tour: stops at parts of the page, each with a task that the page sees done. */

/// <reference lib="dom" />
import { useComputed, useSignalEffect } from "@preact/signals";
import { texts } from "./language.ts";
import {
  assessment,
  curve,
  edited,
  experiment,
  inspected,
  opened,
  rates,
  runs,
  selection,
  tab,
  tourStop,
} from "./state.ts";

/** A stop: where it is on the page, and when its task is done. */
interface Stop {
  readonly target: string;
  readonly tab?: typeof tab.value;
  readonly isDone: () => boolean;
}

function selected() {
  const chosen = selection.value;
  return chosen && opened.value?.layers[chosen.layer];
}

function layer(name: string) {
  return "model" in edited.value
    ? edited.value.model.layers.find((one) => one.name === name) as
      | { readonly padding?: readonly number[]; readonly outputShape: readonly number[] }
      | undefined
    : undefined;
}

/** In the order of the texts. */
const STOPS: readonly Stop[] = [
  {
    target: "#results",
    tab: "inside",
    isDone: () => inspected.value.from === "own" || inspected.value.index > 0,
  },
  { target: "#results", tab: "inside", isDone: () => selected()?.type === "conv2d" },
  { target: "#network", isDone: () => layer("conv1")?.padding?.[0] === 0 },
  { target: "#network", isDone: () => (layer("conv1")?.outputShape[0] ?? 0) > 6 },
  { target: "#results", tab: "inside", isDone: () => /Pool2d$/.test(selected()?.type ?? "") },
  { target: "#results", tab: "inside", isDone: () => selected()?.name === "conv2" },
  { target: "#training", isDone: () => curve.value.epochs.some((one) => one.testAccuracy >= 0.8) },
  {
    target: "#results",
    tab: "mistakes",
    isDone: () => {
      const now = inspected.value;
      return now.from === "test" && (assessment.value?.losses[now.index] ?? 0) > 1;
    },
  },
  { target: "#training", isDone: () => rates.value.length >= 3 },
  {
    target: "#training",
    isDone: () =>
      experiment.value.model === "mlp" && curve.value.epoch > 5 && runs.value.length > 0,
  },
];

/** The panel of the tour, and what marks its place on the page. */
export function Tour() {
  const t = texts.value;
  const index = tourStop.value;
  const isDone = useComputed(() => tourStop.value !== undefined && STOPS[tourStop.value].isDone());
  useSignalEffect(() => {
    const stop = tourStop.value === undefined ? undefined : STOPS[tourStop.value];
    for (const element of document.querySelectorAll(".toured")) element.classList.remove("toured");
    if (stop === undefined) return;
    if (stop.tab) tab.value = stop.tab;
    const element = document.querySelector(stop.target);
    element?.classList.add("toured");
    element?.scrollIntoView({ block: "nearest" });
  });
  if (index === undefined) return null;
  const { title, text, task } = t.stops[index];
  const go = (next: number | undefined) => tourStop.value = next;
  return (
    <aside class="tour" id="tour-panel" aria-labelledby="tour-title">
      <div class="tour-head">
        <h2 id="tour-title">{title}</h2>
        <span class="soft small">{t.stopOf(index + 1, STOPS.length)}</span>
        <button type="button" class="plain" aria-label={t.close} onClick={() => go(undefined)}>
          ×
        </button>
      </div>
      <p>{text}</p>
      <p class={`task ${isDone.value ? "done" : ""}`} role="status">
        {isDone.value && <b>{`✓ ${t.done}. `}</b>}
        {task}
      </p>
      <div class="row">
        <button type="button" disabled={index === 0} onClick={() => go(index - 1)}>{t.back}</button>
        <button
          type="button"
          id="tour-next"
          class={isDone.value ? "primary" : ""}
          onClick={() => go(index + 1 < STOPS.length ? index + 1 : undefined)}
        >
          {index + 1 < STOPS.length ? t.next : t.close}
        </button>
      </div>
    </aside>
  );
}
