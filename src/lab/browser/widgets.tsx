/** Small parts of the page that many others are made of. */

/// <reference lib="dom" />
import type { ComponentChildren } from "preact";
import { useSignal } from "@preact/signals";
import { isNumber, type NumberRange } from "../../check.ts";
import { texts } from "./language.ts";

/** A name beside what it names. */
export function Field(
  { label, children, hint }: { label: string; children: ComponentChildren; hint?: string },
) {
  return (
    <label class="field">
      <span>{label}</span>
      {children}
      {hint && <small class="soft">{hint}</small>}
    </label>
  );
}

/** A number that is taken when it is complete and one of its range. */
export function NumberField({ label, value, range, onChange, plain = false }: {
  label: string;
  value: number;
  range: NumberRange;
  onChange: (value: number) => void;
  /** Whether its label is for screen readers alone. */
  plain?: boolean;
}) {
  const isWrong = useSignal(false);
  const input = (
    <input
      type="number"
      step={range.whole ? 1 : "any"}
      min={range.min}
      max={range.max}
      value={value}
      aria-label={plain ? label : undefined}
      aria-invalid={isWrong.value}
      onChange={({ currentTarget }) => {
        const number = currentTarget.value === "" ? NaN : Number(currentTarget.value);
        isWrong.value = !isNumber(number, range);
        if (!isWrong.value && number !== value) onChange(number);
      }}
    />
  );
  return plain ? input : <Field label={label}>{input}</Field>;
}

/** A choice of some words. */
export function SelectField({ label, value, options, onChange, isDisabled = false }: {
  label: string;
  value: string;
  options: readonly (readonly [value: string, name: string])[];
  onChange: (value: string) => void;
  isDisabled?: boolean;
}) {
  return (
    <Field label={label}>
      <select
        value={value}
        disabled={isDisabled}
        onChange={({ currentTarget }) => onChange(currentTarget.value)}
      >
        {options.map(([one, name]) => <option key={one} value={one}>{name}</option>)}
      </select>
    </Field>
  );
}

/** A picture as the network takes it: [channels, height, width] of bytes. */
export function Picture({ pixels, shape, label, scale = 2 }: {
  pixels: Uint8Array;
  shape: readonly [channels: number, height: number, width: number];
  label?: string;
  scale?: number;
}) {
  const [channels, height, width] = shape;
  const draw = (canvas: HTMLCanvasElement | null) => {
    const context = canvas?.getContext("2d");
    if (!context) return;
    const image = new ImageData(width, height);
    const area = width * height;
    for (let n = 0; n < area; n++) {
      const at = (channel: number) => pixels[(channels === 3 ? channel * area : 0) + n];
      image.data.set([at(0), at(1), at(2), 255], 4 * n);
    }
    context.putImageData(image, 0, 0);
  };
  return (
    <canvas
      class="pixels"
      ref={draw}
      width={width}
      height={height}
      style={{ width: `${scale * width}px`, height: `${scale * height}px` }}
      role={label === undefined ? "presentation" : "img"}
      aria-label={label}
    />
  );
}

/** A button that copies a text, and says so. */
export function CopyButton({ label, text }: { label: string; text: () => string }) {
  const isDone = useSignal(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text());
    isDone.value = true;
    setTimeout(() => isDone.value = false, 1500);
  };
  return <button type="button" onClick={copy}>{isDone.value ? texts.value.copied : label}</button>;
}

/** 60,000. */
export function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** 83.4%. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`;
}

/** A number in as few digits as tell it apart: 0.413, -12.4, 0.00031. */
export function short(value: number): string {
  const size = Math.abs(value);
  const text = !Number.isFinite(value)
    ? String(value)
    : size >= 100
    ? value.toFixed(0)
    : size >= 10
    ? value.toFixed(1)
    : size >= 0.0005 || value === 0
    ? value.toFixed(3)
    : value.toExponential(0);
  return text.replace("-", "\u2212");
}
