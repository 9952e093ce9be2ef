/** The network at work on one picture: maps, kernels, and how each number is made. */

/// <reference lib="dom" />
import { useCallback, useEffect, useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { topClasses } from "../../train/metrics.ts";
import type { Model, Parameter } from "../../nn/sequential.ts";
import type { RgbaPicture } from "../../data/picture.ts";
import { receptiveField } from "../inside.ts";
import { DrawingBoard } from "./drawing_board.tsx";
import { ExplanationOf } from "./explanation.tsx";
import type { View } from "./laboratory.ts";
import { texts } from "./language.ts";
import { Kernels, Maps } from "./maps.tsx";
import { data, inspected, isHeld, laboratory, look, opened, selection, view } from "./state.ts";
import { short } from "./widgets.tsx";

/** The panel. */
export function Inside() {
  const model = opened.value;
  const seen = view.value;
  const width = useSignal(480);
  const sizes = useRef<ResizeObserver | null>(null);
  const measure = useCallback((element: HTMLElement | null) => {
    sizes.current?.disconnect();
    if (element === null) return;
    sizes.current = new ResizeObserver(() => width.value = element.clientWidth - 8);
    sizes.current.observe(element);
  }, []);
  if (model === undefined || seen === undefined) return <p class="soft">…</p>;
  return (
    <>
      <div class="subject">
        <PictureColumn model={model} view={seen} />
        <Answer view={seen} />
      </div>
      <Explained model={model} view={seen} />
      <div class="all-maps" ref={measure}>
        {model.layers.map((_, index) => (
          <LayerMaps key={index} model={model} view={seen} index={index} width={width.value} />
        ))}
      </div>
    </>
  );
}

function Explained({ model, view }: { model: Model; view: View }) {
  const chosen = selection.value;
  const isChosen = chosen !== undefined && chosen.layer < model.layers.length;
  return (
    <div class="explained scroll" tabIndex={0} role="region" aria-label={texts.value.inside}>
      {isChosen && <FramedPicture model={model} view={view} side={84} />}
      {isChosen
        ? <ExplanationOf model={model} view={view} selection={chosen} />
        : <p class="small soft">{texts.value.hint}</p>}
    </div>
  );
}

/** Screen pixels of the large picture, about. */
const PICTURE_SIDE = 196;

/** Rows and columns of padding that are drawn around the picture. */
const MARGIN = 2;

function PictureColumn({ model, view }: { model: Model; view: View }) {
  const t = texts.value;
  const isDrawing = useSignal(false);
  const { value: now } = inspected;
  const facts = data.value!;
  const countOf = (from: "train" | "test") => from === "train" ? facts.trainCount : facts.testCount;
  const from = now.from === "own" ? "test" : now.from;
  const index = now.from === "own" ? -1 : now.index;
  const go = (next: number) => {
    isDrawing.value = false;
    look({ from, index: (next + countOf(from)) % countOf(from) });
  };
  const [, height, width] = model.inputShape;
  const show = async (picture: RgbaPicture) =>
    look({ from: "own", pixels: await laboratory.fit(picture) });
  const open = async (files: FileList | null) => {
    if (files?.[0] === undefined) return;
    isDrawing.value = false;
    look({ from: "own", pixels: await laboratory.fit(files[0]) });
  };
  return (
    <div class="picture-column">
      {isDrawing.value
        ? <DrawingBoard size={{ width, height }} onPicture={show} />
        : <FramedPicture model={model} view={view} />}
      <div class="row">
        <button type="button" aria-label={t.previous} onClick={() => go(index - 1)}>‹</button>
        <button
          type="button"
          id="any"
          onClick={() => go(Math.floor(Math.random() * countOf(from)))}
        >
          {t.random}
        </button>
        <button type="button" aria-label={t.next} onClick={() => go(index + 1)}>›</button>
        <button
          type="button"
          id="draw"
          aria-pressed={isDrawing.value}
          onClick={() => isDrawing.value = !isDrawing.value}
        >
          {t.drawing}
        </button>
        <label class="button">
          {t.openFile}
          <input
            id="open-picture"
            type="file"
            accept="image/*"
            onChange={({ currentTarget }) => void open(currentTarget.files)}
          />
        </label>
      </div>
    </div>
  );
}

/** The picture with padding around it, and the part that the chosen number sees. */
function FramedPicture({ model, view, side = PICTURE_SIDE }: {
  model: Model;
  view: View;
  /** Screen pixels of the picture, about. */
  side?: number;
}) {
  const t = texts.value;
  const canvas = useRef<HTMLCanvasElement>(null);
  const [channels, height, width] = model.inputShape;
  const scale = Math.max(1, Math.round(side / Math.max(height, width)));
  useEffect(() => {
    const context = canvas.current!.getContext("2d")!;
    const area = height * width;
    const image = new ImageData(width, height);
    for (let n = 0; n < area; n++) {
      const at = (channel: number) => view.pixels[(channels >= 3 ? channel * area : 0) + n];
      image.data.set([at(0), at(1), at(2), 255], 4 * n);
    }
    context.clearRect(0, 0, width + 2 * MARGIN, height + 2 * MARGIN);
    context.putImageData(image, MARGIN, MARGIN);
  });
  const chosen = selection.value;
  const field = chosen && chosen.layer < model.layers.length
    ? receptiveField(model, chosen.layer, chosen.place)
    : undefined;
  const { label } = view;
  return (
    <figure class="framed">
      <div class="frame-box">
        <canvas
          ref={canvas}
          data-seen={side}
          class="pixels padded"
          width={width + 2 * MARGIN}
          height={height + 2 * MARGIN}
          style={{
            width: `${scale * (width + 2 * MARGIN)}px`,
            height: `${scale * (height + 2 * MARGIN)}px`,
          }}
          role="img"
          aria-label={t.asTaken}
        />
        {field && (
          <i
            class="field-frame"
            data-field={`${field.bottom - field.top + 1}x${field.right - field.left + 1}`}
            style={{
              left: `${scale * (Math.max(-MARGIN, field.left) + MARGIN)}px`,
              top: `${scale * (Math.max(-MARGIN, field.top) + MARGIN)}px`,
              width: `${
                scale *
                (Math.min(width - 1 + MARGIN, field.right) - Math.max(-MARGIN, field.left) + 1)
              }px`,
              height: `${
                scale *
                (Math.min(height - 1 + MARGIN, field.bottom) - Math.max(-MARGIN, field.top) + 1)
              }px`,
            }}
          />
        )}
      </div>
      {side === PICTURE_SIDE && (
        <figcaption class="small soft">
          {inspected.value.from !== "own" &&
            `${
              inspected.value.from === "test" ? t.fromTest : t.fromTrain
            } ${inspected.value.index}`}
          {label !== undefined && `: ${data.value?.classNames[label] ?? label}`}
        </figcaption>
      )}
    </figure>
  );
}

/** Classes that are listed. */
const MAX_CLASSES = 10;

/** Logits, softmax and loss of the picture, in numbers. */
function Answer({ view: { outputs, label } }: { view: View }) {
  const t = texts.value;
  const logits = Float32Array.from(outputs.at(-1)!);
  const names = data.value!.classNames;
  const all = topClasses(logits, names, names.length);
  const top = all.slice(0, MAX_CLASSES);
  const truth = label === undefined ? undefined : all.find((one) => one.label === label);
  return (
    <div class="answer">
      <h3>{t.says}</h3>
      <table aria-label={t.says}>
        <thead>
          <tr>
            <th scope="col">
              <span class="hidden-text">{t.className}</span>
            </th>
            <th scope="col">{t.logit}</th>
            <th scope="col">{t.probability}</th>
          </tr>
        </thead>
        <tbody>
          {top.map(({ className, probability, label: one }) => (
            <tr key={one} class={one === label ? "truth" : ""}>
              <th scope="row">
                <bdi>{className}</bdi>
                {one === label && <span class="hidden-text">{`(${t.truth})`}</span>}
                <i class="bar" style={{ width: `${100 * probability}%` }} />
              </th>
              <td>{short(logits[one])}</td>
              <td>{probability.toFixed(3)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {truth && (
        <p class="small" id="picture-loss">
          {t.lossIs(truth.probability.toPrecision(3), (-Math.log(truth.probability)).toFixed(3))}
        </p>
      )}
    </div>
  );
}

function LayerMaps({ model, view, index, width }: {
  model: Model;
  view: View;
  index: number;
  /** Screen pixels that there are. */
  width: number;
}) {
  const t = texts.value;
  const layer = model.layers[index];
  const values = view.outputs[index];
  const isVector = layer.outputShape.length === 1;
  const side = layer.outputShape[2] ?? 1;
  // About six maps of 28 columns side by side.
  const scale = isVector ? 9 : Math.max(1, Math.min(8, Math.round(72 / side)));
  const available = Math.floor(width / scale);
  const { weight } = layer as { readonly weight?: Parameter };
  const isConvolution = weight?.shape.length === 4;
  const name = /\D/.test(layer.name) ? `${layer.name} ${layer.type}` : layer.type;
  const choose = (place: number) => selection.value = { layer: index, place };
  return (
    <section class="layer-maps" aria-label={name}>
      <h3>
        {name} <span class="soft">{layer.outputShape.join("×")}</span>
      </h3>
      <div class="scroll-x">
        <Maps
          shape={layer.outputShape}
          values={values}
          label={layer.name}
          available={available}
          scale={scale}
          selected={selection.value?.layer === index ? selection.value.place : undefined}
          onPoint={(place) => {
            if (!isHeld.value) choose(place);
          }}
          onHold={(place) => {
            const isSame = isHeld.value && selection.value?.layer === index &&
              selection.value.place === place;
            choose(place);
            isHeld.value = !isSame;
          }}
        />
      </div>
      {isConvolution && (
        <details>
          <summary class="small">{t.kernelsShort} {weight.shape.join("×")}</summary>
          <div class="scroll-x">
            <Kernels
              shape={weight.shape}
              values={view.parameters.subarray(weight.offset, weight.offset + weight.size)}
              label={layer.name}
              scale={Math.max(2, Math.round(24 / weight.shape[3]))}
            />
          </div>
        </details>
      )}
    </section>
  );
}
