/** The network as a list of layers to edit: what each may hold comes from the table of kinds. */

/// <reference lib="dom" />
import { useSignal } from "@preact/signals";
import type { NumberRange } from "../../check.ts";
import { checkSpec } from "../../nn/check_spec.ts";
import * as constructors from "../../nn/layers.ts";
import type { Field as FieldSpec } from "../../nn/layers/layer.ts";
import { definitionOf, LAYER_KINDS, type LayerSpec } from "../../nn/layers/table.ts";
import { outputShapeOf, type Shape } from "../../nn/sequential.ts";
import { type LayerSummary, summarize } from "../../nn/summary.ts";
import { MODEL_NAMES, type ModelName } from "../../nn/zoo.ts";
import { texts } from "./language.ts";
import { chooseZoo, data, edited, experiment, reset } from "./state.ts";
import { count, NumberField } from "./widgets.tsx";

/** Sizes that a new layer begins with, whichever of them it has. */
const BEGINNING = {
  ...{ outChannels: 8, outFeatures: 64, kernelSize: 3, poolSize: 2 },
};

/** The card of the network. */
export function NetworkCard() {
  const t = texts.value;
  const { model, layers } = experiment.value;
  const facts = edited.value;
  const specs = "model" in facts ? facts.model.specs : layers;
  const rows = "model" in facts ? summarize(facts.model) : [];
  const fault = "error" in facts && facts.error !== "" ? faultOf(specs, facts.error) : undefined;
  const change = (next: readonly LayerSpec[]) => void reset({ model: "own", layers: next });
  const total = (key: "parameters" | "forwardMacs") => rows.reduce((sum, row) => sum + row[key], 0);
  const zooNames = [...MODEL_NAMES, ...(model === "own" ? ["own"] : [])];
  return (
    <section class="card" id="network" aria-labelledby="network-title">
      <div class="card-head">
        <h2 id="network-title">{t.network}</h2>
        <label class="inline">
          <span>{t.zoo}</span>
          <select
            id="zoo"
            value={model}
            onChange={({ currentTarget: { value } }) =>
              value === "empty"
                ? change(emptyModel())
                : value !== "own" && void chooseZoo(value as ModelName)}
          >
            {zooNames.map((name) => (
              <option key={name} value={name}>{name === "own" ? t.ownModel : name}</option>
            ))}
            <option value="empty">{t.emptyModel}</option>
          </select>
        </label>
      </div>
      <div class="layers">
        <div class="layer-head" aria-hidden="true">
          <span>{t.layer}</span>
          <span>{t.output}</span>
          <span>{t.parameters}</span>
          <span>{t.macs}</span>
          <span>{t.sees}</span>
        </div>
        <LayerList specs={specs} prefix="" rows={rows} fault={fault} onChange={change} />
        {rows.length > 0 && (
          <div class="layer-head total">
            <span>{t.total}</span>
            <span />
            <span id="parameter-count">{count(total("parameters"))}</span>
            <span>{count(total("forwardMacs"))}</span>
            <span />
          </div>
        )}
      </div>
      {fault && <p class="notice" role="alert" id="network-error">{t.doesNotFit}{fault.message}</p>}
    </section>
  );
}

/** Why a network is none, and at which of its layers that shows. */
interface Fault {
  readonly index: number;
  readonly message: string;
}

function LayerList({ specs, prefix, rows, fault, onChange }: {
  specs: readonly LayerSpec[];
  /** Of the names of its layers. */
  prefix: string;
  rows: readonly LayerSummary[];
  fault?: Fault;
  onChange: (specs: readonly LayerSpec[]) => void;
}) {
  const t = texts.value;
  const kind = useSignal<string>(LAYER_KINDS[0]);
  const replace = (index: number, ...next: LayerSpec[]) =>
    onChange(specs.toSpliced(index, 1, ...next));
  const swap = (index: number) =>
    onChange(specs.toSpliced(index, 2, specs[index + 1], specs[index]));
  // Behind the last layer, which gives the logits, hardly anything makes sense.
  const place = prefix === "" ? Math.max(0, specs.length - 1) : specs.length;
  return (
    <>
      <ol class="layer-list">
        {specs.map((spec, index) => {
          const name = `${prefix}${spec.name ?? index}`;
          const own = rows.filter((row) => row.name === name || row.name.startsWith(`${name}.`));
          return (
            <LayerRow
              key={`${index} ${spec.type}`}
              spec={spec}
              name={name}
              rows={own}
              isWrong={fault?.index === index}
              onChange={(next) => replace(index, next)}
              onRemove={() => replace(index)}
              onUp={index > 0 ? () => swap(index - 1) : undefined}
              onDown={index < specs.length - 1 ? () => swap(index) : undefined}
            />
          );
        })}
      </ol>
      <div class="row">
        <select
          aria-label={t.addLayer}
          value={kind.value}
          onChange={({ currentTarget }) => kind.value = currentTarget.value}
        >
          {LAYER_KINDS.map((one) => <option key={one} value={one}>{one}</option>)}
        </select>
        <button
          type="button"
          onClick={() => onChange(specs.toSpliced(place, 0, newLayer(kind.value)))}
        >
          {t.add}
        </button>
      </div>
    </>
  );
}

function LayerRow({ spec, name, rows, isWrong, onChange, onRemove, onUp, onDown }: {
  spec: LayerSpec;
  name: string;
  /** Of the layer, and of those that stand in it. */
  rows: readonly LayerSummary[];
  isWrong: boolean;
  onChange: (spec: LayerSpec) => void;
  onRemove: () => void;
  onUp?: () => void;
  onDown?: () => void;
}) {
  const t = texts.value;
  const last = rows.at(-1);
  const sum = (key: "parameters" | "forwardMacs") =>
    rows.reduce((total, row) => total + row[key], 0);
  const amount = (value: number) => value === 0 ? "" : count(value);
  const fields = Object.entries<FieldSpec>(definitionOf(spec).fields);
  return (
    <li class={isWrong ? "wrong" : ""}>
      <details>
        <summary data-layer={name}>
          <span>{/\D/.test(name) ? <b>{name}</b> : <b class="soft">{name}</b>} {spec.type}</span>
          <span>{last?.outputShape.join("×") ?? "–"}</span>
          <span>{amount(sum("parameters"))}</span>
          <span>{amount(sum("forwardMacs"))}</span>
          <span>{last?.receptiveField.join("×")}</span>
        </summary>
        <div class="layer-fields">
          {fields.length === 0 && <p class="soft">{t.noFields}</p>}
          {fields.map(([key, field]) => (
            <SpecField
              key={key}
              name={key}
              layer={name}
              field={field}
              value={(spec as unknown as Record<string, unknown>)[key]}
              rows={rows}
              onChange={(value) => onChange(withField(spec, key, value))}
            />
          ))}
          <div class="row">
            <button type="button" disabled={!onUp} onClick={onUp} aria-label={t.moveUp(name)}>
              ↑
            </button>
            <button type="button" disabled={!onDown} onClick={onDown} aria-label={t.moveDown(name)}>
              ↓
            </button>
            <button type="button" onClick={onRemove} aria-label={t.remove(name)}>×</button>
          </div>
        </div>
      </details>
    </li>
  );
}

/** What a field of a layer holds; one of a type that is not known here is a number. */
function SpecField({ name, layer, field, value, rows, onChange }: {
  name: string;
  layer: string;
  field: FieldSpec;
  value: unknown;
  rows: readonly LayerSummary[];
  onChange: (value: unknown) => void;
}) {
  const type: string = field.type;
  const label = texts.value.field(name, layer);
  const { maximum, open } = field as FieldSpec & {
    readonly maximum?: number;
    readonly open?: boolean;
  };
  const range: NumberRange = {
    whole: type === "whole" || type === "pair",
    max: maximum,
    ...(open ? { above: field.minimum } : { min: field.minimum }),
  };
  if (type === "layers") {
    const specs = (value ?? []) as readonly LayerSpec[];
    return (
      <fieldset>
        <legend>{name}</legend>
        <LayerList specs={specs} prefix={`${layer}.${name}.`} rows={rows} onChange={onChange} />
      </fieldset>
    );
  }
  if (type === "flag" || typeof value === "boolean") {
    return (
      <label class="field">
        <span>{name}</span>
        <input
          type="checkbox"
          aria-label={label}
          checked={value !== false}
          onChange={({ currentTarget }) => onChange(currentTarget.checked)}
        />
      </label>
    );
  }
  if (type === "pair") {
    const pair = value as readonly [number, number];
    const input = (axis: 0 | 1) => (
      <NumberField
        plain
        label={`${label}, ${axis === 0 ? "height" : "width"}`}
        value={pair?.[axis] ?? field.minimum}
        range={range}
        onChange={(next) => onChange(axis === 0 ? [next, pair[1]] : [pair[0], next])}
      />
    );
    return (
      <span class="field">
        <span>{name}</span>
        <span class="pair">{input(0)}×{input(1)}</span>
      </span>
    );
  }
  return (
    <span class="field">
      <span>{name}</span>
      {field.optional
        ? (
          <input
            type="number"
            step={range.whole ? 1 : "any"}
            min={range.min}
            aria-label={label}
            value={value === undefined ? "" : String(value)}
            onChange={({ currentTarget: { value: text } }) =>
              onChange(text === "" ? undefined : Number(text))}
          />
        )
        : (
          <NumberField
            plain
            label={label}
            value={Number(value)}
            range={range}
            onChange={onChange}
          />
        )}
    </span>
  );
}

function withField(spec: LayerSpec, key: string, value: unknown): LayerSpec {
  const { [key]: _, ...rest } = spec as unknown as Record<string, unknown>;
  return { ...rest, ...(value !== undefined && { [key]: value }) } as unknown as LayerSpec;
}

/** A layer of a kind, made by the constructor of its name; a block begins with a convolution. */
function newLayer(kind: string): LayerSpec {
  const make = (constructors as unknown as Record<string, (options: unknown) => LayerSpec>)[kind];
  const fields = Object.values<FieldSpec>(definitionOf({ type: kind as LayerSpec["type"] }).fields);
  const holdsLayers = fields.some(({ type }) => type === "layers");
  if (!holdsLayers) {
    try {
      const spec = make(BEGINNING);
      checkSpec(spec, 0);
      return spec;
    } catch {
      return make(undefined); // of one number, which has a usual value
    }
  }
  const channels = BEGINNING.outChannels;
  return make(
    [constructors.conv2d({ outChannels: channels, kernelSize: 3, padding: 1 })] as unknown,
  );
}

/** The least that is a network. */
function emptyModel(): LayerSpec[] {
  const outFeatures = data.value?.classNames.length ?? 10;
  return [constructors.flatten(), constructors.linear({ outFeatures })];
}

/** At which layer a network stops fitting: the first that cannot take what those before it give. */
function faultOf(specs: readonly LayerSpec[], message: string): Fault {
  let shape: Shape = data.value?.shape ?? [1, 28, 28];
  for (const [index, spec] of specs.entries()) {
    try {
      shape = outputShapeOf(spec, shape);
    } catch {
      return { index, message };
    }
  }
  return { index: specs.length - 1, message };
}
