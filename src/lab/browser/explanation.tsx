/** How the number under the pointer is made, written out. */

/// <reference lib="dom" />
import { type Explanation, positionOf, type Term } from "../inside.ts";
import { IMAGE, type Model } from "../../nn/sequential.ts";
import { explain, receptiveField } from "../inside.ts";
import type { View } from "./laboratory.ts";
import { texts } from "./language.ts";
import { colourOf, palette } from "./maps.tsx";
import { isHeld, type Selection } from "./state.ts";
import { short } from "./widgets.tsx";

/** Channels whose windows are written out. */
const MAX_CHANNELS = 16;

/** Terms of a linear layer that are written out: those that weigh most. */
const MAX_TERMS = 10;

/** Explains a number of a view. */
export function ExplanationOf({ model, view, selection: { layer: index, place } }: {
  model: Model;
  view: View;
  selection: Selection;
}) {
  const t = texts.value;
  const layer = model.layers[index];
  const inputs = layer.inputs.map((input) => input === IMAGE ? view.image : view.outputs[input]);
  const { parameters, outputs } = view;
  const told = explain(layer, place, { inputs, parameters, output: outputs[index] });
  const { channel, y, x } = positionOf(layer.outputShape, place);
  const { top, left, bottom, right } = receptiveField(model, index, place);
  return (
    <div class="explanation" id="explanation">
      <p>
        <b>{/\D/.test(layer.name) ? layer.name : `${layer.name} ${layer.type}`}</b>,{" "}
        {layer.outputShape.length === 3 ? t.place(channel, y, x) : t.unit(place)}:{" "}
        <output id="value">{short(told.result)}</output>
        {isHeld.value && <span class="soft small">{` (${t.held})`}</span>}
      </p>
      <p class="small">
        <span class="soft">{t.fieldIs(bottom - top + 1, right - left + 1)}</span>{" "}
        {t.rules[told.rule]}
      </p>
      {told.window ? <Windows told={told} size={told.window.size} /> : <Terms told={told} />}
    </div>
  );
}

function Windows({ told, size }: { told: Explanation; size: readonly [number, number] }) {
  const t = texts.value;
  const area = size[0] * size[1];
  const groups = told.channels.map((channel, n) => (
    { channel, terms: told.terms.slice(n * area, (n + 1) * area) }
  ));
  const isProduct = told.rule === "products";
  const sums = groups.map(({ terms }) => sumOf(terms));
  return (
    <>
      {isProduct && <Sum parts={sums} told={told} />}
      <div class="windows">
        {groups.slice(0, MAX_CHANNELS).map(({ channel, terms }, n) => (
          <div key={channel} class="window-row">
            <Grid
              caption={`${t.patch}, ${t.ofChannel(channel)}`}
              width={size[1]}
              cells={terms.map(({ value, place }) => ({ value, isPadding: place === undefined }))}
            />
            {isProduct && <span class="sign">·</span>}
            {isProduct && (
              <Grid
                caption={t.kernel}
                width={size[1]}
                cells={terms.map(({ weight = 0 }) => ({ value: weight }))}
              />
            )}
            {isProduct && <span class="sign">=</span>}
            {isProduct && (
              <Grid
                caption={t.products}
                width={size[1]}
                cells={terms.map(({ value, weight = 0 }) => ({ value: value * weight }))}
              />
            )}
            {isProduct && <span class="sign">Σ {short(sums[n])}</span>}
          </div>
        ))}
        {groups.length > MAX_CHANNELS && (
          <p class="small soft">{t.rest(groups.length - MAX_CHANNELS)}</p>
        )}
      </div>
    </>
  );
}

/** `0.120 + 0.300 + bias 0.010 = 0.430`. */
function Sum({ parts, told }: { parts: readonly number[]; told: Explanation }) {
  const shown = parts.length > MAX_CHANNELS ? [parts.reduce((sum, part) => sum + part, 0)] : parts;
  return (
    <p class="sum" id="sum">
      {shown.map((part) => short(part)).join(" + ")}
      {told.bias !== undefined && ` + ${texts.value.bias} ${short(told.bias)}`}
      {" = "}
      <b>{short(told.result)}</b>
    </p>
  );
}

function Grid({ caption, width, cells }: {
  caption: string;
  width: number;
  cells: readonly { readonly value: number; readonly isPadding?: boolean }[];
}) {
  const colours = palette();
  const largest = Math.max(1e-12, ...cells.map(({ value }) => Math.abs(value)));
  const rows = Array.from(
    { length: cells.length / width },
    (_, y) => cells.slice(y * width, (y + 1) * width),
  );
  return (
    <table class="grid">
      <caption>{caption}</caption>
      <tbody>
        {rows.map((row, y) => (
          <tr key={y}>
            {row.map(({ value, isPadding }, x) => (
              <td
                key={x}
                class={isPadding ? "padding" : ""}
                title={isPadding ? texts.value.padding : undefined}
                style={isPadding ? {} : cellStyle(colourOf(colours, value / largest))}
              >
                {short(value)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Ink that can be read on a colour. */
function cellStyle([red, green, blue]: readonly [number, number, number]) {
  const light = (channel: number) => (channel / 255) ** 2.2;
  const luminance = 0.2126 * light(red) + 0.7152 * light(green) + 0.0722 * light(blue);
  const color = luminance > 0.18 ? "#000" : "#fff";
  return { background: `rgb(${red} ${green} ${blue})`, color };
}

function Terms({ told }: { told: Explanation }) {
  const t = texts.value;
  const isProduct = told.rule === "products";
  const weighed = isProduct
    ? told.terms.toSorted((a, b) => Math.abs(productOf(b)) - Math.abs(productOf(a)))
    : told.terms;
  const [first, others] = [weighed.slice(0, MAX_TERMS), weighed.slice(MAX_TERMS)];
  if (!isProduct) {
    const values = first.map(({ value }) => short(value));
    const text = told.rule === "add" ? values.join(" + ") : values.join(", ");
    return (
      <p class="sum">
        {text && `${text} → `}
        <b>{short(told.result)}</b>
      </p>
    );
  }
  return (
    <>
      <ul class="terms">
        {first.map((term) => (
          <li key={term.place}>
            <span class="soft">[{term.place}]</span> {short(term.value)} · {short(term.weight ?? 0)}
            {" "}
            = {short(productOf(term))}
          </li>
        ))}
        {others.length > 0 && <li>{t.rest(others.length)}: {short(sumOf(others))}</li>}
      </ul>
      <Sum parts={[sumOf(told.terms)]} told={told} />
    </>
  );
}

function productOf({ value, weight = 0 }: Term): number {
  return value * weight;
}

function sumOf(terms: readonly Term[]): number {
  return terms.reduce((sum, term) => sum + productOf(term), 0);
}
