/** The cards of images, training and earlier runs. */

/// <reference lib="dom" />
import { useSignal } from "@preact/signals";
import { optimizerPresets } from "../../nn/optimizers.ts";
import { type Schedule, SCHEDULES } from "../../train/plan.ts";
import { type DataName, ENGINE_NAMES, type EngineName, RANGES } from "../experiment.ts";
import { Chart, RUN_COLOURS } from "./charts.tsx";
import { texts } from "./language.ts";
import {
  chooseData,
  chooseOptimizer,
  curve,
  data,
  device,
  edit,
  edited,
  experiment,
  isRunning,
  laboratory,
  loaded,
  offered,
  pause,
  problem,
  reset,
  runs,
  speeds,
  start,
  status,
  tab,
} from "./state.ts";
import { count, Field, NumberField, percent, SelectField } from "./widgets.tsx";

/** The card of images. */
export function DataCard() {
  const t = texts.value;
  const facts = data.value;
  const names = [...offered.value, "own" as const];
  return (
    <section class="card" id="data" aria-labelledby="data-title">
      <div class="card-head">
        <h2 id="data-title">{t.data}</h2>
        <label class="inline">
          <span class="hidden-text">{t.data}</span>
          <select
            id="data-name"
            value={experiment.value.data}
            onChange={({ currentTarget }) => {
              const name = currentTarget.value as DataName;
              if (name === "own") tab.value = "own";
              // Nothing is trained on pictures of one's own before there are some.
              if (name === "own") currentTarget.value = experiment.value.data;
              else void chooseData(name);
            }}
          >
            {names.map((name) => <option key={name} value={name}>{t.dataNames[name]}</option>)}
          </select>
        </label>
      </div>
      {loaded.value !== undefined
        ? <progress value={loaded.value} max={100} aria-label={t.loading(loaded.value)} />
        : facts && (
          <p class="soft small">
            {t.dataFacts(
              count(facts.trainCount),
              count(facts.testCount),
              facts.shape.join("×"),
              facts.classNames.length,
            )}
          </p>
        )}
    </section>
  );
}

/** The card of training: controls, curves, settings. */
export function TrainingCard() {
  const t = texts.value;
  const { epochs } = experiment.value;
  const { epoch, step, fit } = curve.value;
  const last = curve.value.epochs.at(-1);
  const cannot = "error" in edited.value || status.value === "loading";
  const message = problem.value.startsWith("DivergedError")
    ? t.diverged
    : problem.value.replace(/^\w*Error: /, "");
  return (
    <section class="card" id="training" aria-labelledby="training-title">
      <div class="card-head">
        <h2 id="training-title">{t.training}</h2>
        <span class="soft small" id="status" data-status={status.value}>
          {t.states[status.value]}
          {step > 0 && `, ${t.progress(`${epoch.toFixed(1)}/${epochs}`, count(step))}`}
        </span>
      </div>
      <div class="row controls">
        {isRunning.value
          ? <button type="button" id="pause" class="primary" onClick={pause}>{t.pause}</button>
          : (
            <button
              type="button"
              id="start"
              class="primary"
              disabled={cannot || status.value === "failed"}
              onClick={() => start()}
            >
              {step > 0 ? t.goOn : t.start}
            </button>
          )}
        <button
          type="button"
          id="step"
          disabled={cannot || isRunning.value || status.value === "failed"}
          onClick={() => start(1)}
        >
          {t.step}
        </button>
        <button
          type="button"
          id="reset"
          title={t.resetHint}
          disabled={cannot}
          onClick={() => void reset()}
        >
          {t.reset}
        </button>
      </div>
      {message !== "" && <p class="notice" role="alert" id="problem">{message}</p>}
      <LearningRate />
      <div class="charts">
        <figure>
          <figcaption>
            {t.loss}
            <Legend train={last?.trainLoss.toFixed(3)} test={last?.testLoss.toFixed(3)} />
          </figcaption>
          <Chart measure="loss" />
        </figure>
        <figure>
          <figcaption>
            {t.accuracy}
            <Legend
              train={last && percent(last.trainAccuracy)}
              test={last && percent(last.testAccuracy)}
              id="accuracy"
            />
          </figcaption>
          <Chart measure="accuracy" />
        </figure>
      </div>
      <p class="small soft fit" role="status">{t.fit[fit]}</p>
      <Settings />
      <RunList />
    </section>
  );
}

function Legend({ train, test, id }: { train?: string; test?: string; id?: string }) {
  const t = texts.value;
  return (
    <span class="legend" id={id}>
      <span class="train">{t.train} {train}</span>
      <span class="test">
        {t.test} <b>{test}</b>
      </span>
    </span>
  );
}

/** Powers of ten that the slider goes through. */
const [LOWEST, HIGHEST] = [-5, 1];

function LearningRate() {
  const t = texts.value;
  const { learningRate } = experiment.value;
  const change = (value: number) => void edit({ learningRate: value });
  return (
    <div class="rate">
      <NumberField
        label={t.learningRate}
        value={learningRate}
        range={RANGES.learningRate}
        onChange={change}
      />
      <input
        type="range"
        id="rate-slider"
        aria-label={t.learningRate}
        aria-valuetext={String(learningRate)}
        min={LOWEST}
        max={HIGHEST}
        step={0.05}
        value={Math.log10(learningRate)}
        onChange={({ currentTarget }) =>
          change(Number((10 ** Number(currentTarget.value)).toPrecision(2)))}
      />
    </div>
  );
}

function Settings() {
  const t = texts.value;
  const { optimizer, batchSize, epochs, schedule, warmup, labelSmoothing, seed, standardize } =
    experiment.value;
  const optimizers = Object.keys(optimizerPresets()).map((name) => [name, name] as const);
  const schedules = SCHEDULES.map((name) => [name, t.schedules[name] ?? name] as const);
  return (
    <details class="settings">
      <summary>{t.settings}</summary>
      <div class="fields">
        <SelectField
          label={t.optimizer}
          value={optimizer}
          options={optimizers}
          onChange={(value) => void chooseOptimizer(value)}
        />
        <NumberField
          label={t.batchSize}
          value={batchSize}
          range={RANGES.batchSize}
          onChange={(value) => void edit({ batchSize: value })}
        />
        <NumberField
          label={t.epochs}
          value={epochs}
          range={RANGES.epochs}
          onChange={(value) => void edit({ epochs: value })}
        />
        <SelectField
          label={t.schedule}
          value={schedule}
          options={schedules}
          onChange={(value) => void edit({ schedule: value as Schedule })}
        />
        <NumberField
          label={t.warmup}
          value={warmup}
          range={RANGES.warmup}
          onChange={(value) => void edit({ warmup: value })}
        />
        <NumberField
          label={t.labelSmoothing}
          value={labelSmoothing}
          range={RANGES.labelSmoothing}
          onChange={(value) => void edit({ labelSmoothing: value })}
        />
        <NumberField
          label={t.seed}
          value={seed}
          range={RANGES.seed}
          onChange={(value) => void edit({ seed: value })}
        />
        <Field label={t.standardize} hint={t.standardizeHint}>
          <input
            type="checkbox"
            checked={standardize}
            onChange={({ currentTarget }) => void edit({ standardize: currentTarget.checked })}
          />
        </Field>
      </div>
      <Engines />
    </details>
  );
}

function Engines() {
  const t = texts.value;
  const isMeasuring = useSignal(false);
  const { engine, threads } = experiment.value;
  const measure = async () => {
    isMeasuring.value = true;
    for (const name of ENGINE_NAMES) {
      const rate = await laboratory.measure({ ...experiment.value, engine: name })
        .catch(() => undefined);
      speeds.value = { ...speeds.value, [name]: rate };
    }
    isMeasuring.value = false;
  };
  const cores = navigator.hardwareConcurrency;
  const numbers = Array.from({ length: cores }, (_, n) => n + 1);
  return (
    <div class="engines">
      <div class="fields">
        <SelectField
          label={t.engine}
          value={engine}
          options={ENGINE_NAMES.map((name) => [name, name] as const)}
          onChange={(name) => void edit({ engine: name as EngineName })}
        />
        {engine === "wasm" && (
          <SelectField
            label={t.threads}
            value={String(threads)}
            options={[["0", t.allThreads], ...numbers.map((n) => [`${n}`, `${n}`] as const)]}
            onChange={(value) => void edit({ threads: Number(value) })}
            isDisabled={!globalThis.crossOriginIsolated}
          />
        )}
      </div>
      <p class="small soft" id="device">
        {device.value.description}
        {engine === "wasm" && `, ${t.threads}: ${device.value.threads}`}
        {!globalThis.crossOriginIsolated && `. ${t.oneThread}`}
      </p>
      <div class="row small">
        <button
          type="button"
          disabled={isMeasuring.value || status.value === "loading"}
          onClick={measure}
        >
          {t.measure}
        </button>
        {Object.entries(speeds.value).map(([name, rate]) => (
          <span key={name}>
            {name}: {rate === undefined ? t.cannotRun : t.perSecond(count(rate))}
          </span>
        ))}
      </div>
    </div>
  );
}

function RunList() {
  const t = texts.value;
  const all = runs.value;
  const change = (index: number, shown: boolean) =>
    runs.value = all.map((run, n) => n === index ? { ...run, shown } : run);
  return (
    <div class="runs" id="runs">
      <h3>{t.runs}</h3>
      {all.length === 0 && <p class="small soft">{t.noRuns}</p>}
      <ul>
        {all.map(({ name, curve: { epochs }, shown, experiment: old }, n) => (
          <li key={name}>
            <label>
              <input
                type="checkbox"
                checked={shown}
                aria-label={t.show(name)}
                onChange={({ currentTarget }) => change(n, currentTarget.checked)}
              />
              <i class="swatch" style={{ background: RUN_COLOURS[n % RUN_COLOURS.length] }} />
              {name}
            </label>
            <span class="soft">{epochs.length > 0 && percent(epochs.at(-1)!.testAccuracy)}</span>
            <button type="button" class="plain" onClick={() => void restore(old)}>
              {t.restore}
            </button>
            <button
              type="button"
              class="plain"
              aria-label={t.forget(name)}
              onClick={() => runs.value = all.filter((_, index) => index !== n)}
            >
              ×
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

function restore(old: typeof experiment.value): Promise<void> {
  return old.data === experiment.value.data ? reset(old) : chooseData(old.data);
}
