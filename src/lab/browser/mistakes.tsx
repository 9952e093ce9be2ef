/** How the network does on the test set: what is taken for what, and the most wrong images. */

/// <reference lib="dom" />
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { classificationReport } from "../../train/metrics.ts";
import { texts } from "./language.ts";
import { assess, assessment, curve, data, isRunning, laboratory, look, tab } from "./state.ts";
import { count, percent, Picture } from "./widgets.tsx";

/** Images that are shown at a time. */
const MAX_SHOWN = 48;

/** Of the most wrong, fewer. */
const MAX_WRONG = 24;

/** A cell of the confusion matrix. */
interface Cell {
  readonly truth: number;
  readonly said: number;
}

/** The panel. */
export function Mistakes() {
  const t = texts.value;
  const cell = useSignal<Cell | undefined>(undefined);
  const result = assessment.value;
  const { step } = curve.value;
  const isOld = step > 0 && result?.step !== step;
  // What is shown is always of the network as it is, but for a training that goes on.
  useEffect(() => {
    if (isOld && !isRunning.value) void assess();
  }, [isOld, isRunning.value]);
  if (step === 0 || data.value === undefined) return <p class="soft">{t.noAssessment}</p>;
  const button = <button type="button" id="assess" onClick={() => void assess()}>{t.assess}
  </button>;
  if (result === undefined) return button;
  const { classNames } = data.value;
  const { predictions, labels, losses } = result;
  const { confusion, accuracy } = classificationReport(predictions, labels, classNames);
  const order = [...losses.keys()].sort((a, b) => losses[b] - losses[a]).slice(0, MAX_WRONG);
  const chosen = cell.value;
  const inCell = chosen && [...labels.keys()]
    .filter((n) => labels[n] === chosen.truth && predictions[n] === chosen.said);
  return (
    <>
      <div class="row">
        <p id="assessed">
          {t.correctOf(
            count(accuracy * labels.length),
            count(labels.length),
            percent(accuracy),
          )}
        </p>
        {isRunning.value && button}
      </div>
      <h3>{t.confusion}</h3>
      <p class="small soft">{t.confusionHelp}</p>
      <Confusion confusion={confusion} chosen={chosen} onChoose={(next) => cell.value = next} />
      {chosen && inCell && (
        <section id="cell-images">
          <h3>
            {t.cell(classNames[chosen.truth], classNames[chosen.said], inCell.length)}{" "}
            <span class="soft small">
              {inCell.length > MAX_SHOWN && t.showing(MAX_SHOWN, inCell.length)}
            </span>
          </h3>
          <Gallery indices={inCell.slice(0, MAX_SHOWN)} losses={losses} predictions={predictions} />
        </section>
      )}
      <h3>{t.mostWrong}</h3>
      <p class="small soft">{t.mostWrongHelp}</p>
      <div id="most-wrong">
        <Gallery indices={order} losses={losses} predictions={predictions} />
      </div>
    </>
  );
}

function Confusion({ confusion, chosen, onChoose }: {
  confusion: readonly (readonly number[])[];
  chosen?: Cell;
  onChoose: (cell: Cell) => void;
}) {
  const t = texts.value;
  const { classNames } = data.value!;
  const largest = Math.max(1, ...confusion.flat());
  return (
    <div class="scroll-x" tabIndex={0} role="region" aria-label={t.confusion}>
      <table class="confusion" aria-label={t.confusion}>
        <thead>
          <tr>
            <td />
            {classNames.map((name) => (
              <th key={name} scope="col">
                <span>{name}</span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {confusion.map((row, truth) => (
            <tr key={truth}>
              <th scope="row">{classNames[truth]}</th>
              {row.map((n, said) => (
                <td key={said} class={truth === said ? "right" : ""}>
                  <button
                    type="button"
                    disabled={n === 0}
                    aria-pressed={chosen?.truth === truth && chosen.said === said}
                    aria-label={t.cell(classNames[truth], classNames[said], n)}
                    style={{ "--share": Math.sqrt(n / largest) }}
                    onClick={() => onChoose({ truth, said })}
                  >
                    {n === 0 ? "" : n}
                  </button>
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Test images with truth, answer and loss; choosing one shows the network at work on it. */
function Gallery({ indices, losses, predictions }: {
  indices: readonly number[];
  losses: Float32Array;
  predictions: Uint8Array;
}) {
  const images = useSignal<readonly { pixels: Uint8Array; label: number; index: number }[]>([]);
  const key = indices.join();
  useEffect(() => {
    void laboratory.pictures("test", indices).then((pictures) => {
      images.value = pictures.map((picture, n) => ({ ...picture, index: indices[n] }));
    });
  }, [key]);
  const { classNames, shape } = data.value!;
  const show = (index: number) => {
    look({ from: "test", index });
    tab.value = "inside";
  };
  return (
    <ul class="gallery">
      {images.value.map(({ pixels, label, index }) => (
        <li key={index}>
          <button type="button" class="plain" data-index={index} onClick={() => show(index)}>
            <Picture pixels={pixels} shape={shape} />
            <span>
              {classNames[label]}
              {predictions[index] !== label && ` → ${classNames[predictions[index]]}`}
            </span>
            <span class="soft">{losses[index]?.toFixed(2)}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}
