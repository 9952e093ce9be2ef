/** What there is to take home: files, and the experiment as code. */

/// <reference lib="dom" />
import { useSignal } from "@preact/signals";
import { commandOf } from "../code/command.ts";
import { pytorchOf } from "../code/pytorch.ts";
import { typescriptOf, type Written } from "../code/typescript.ts";
import type { ExportName } from "./exports.ts";
import { texts } from "./language.ts";
import { data, device, experiment, laboratory, opened, rates } from "./state.ts";
import { CopyButton } from "./widgets.tsx";

const CODES = { typescript: typescriptOf, command: commandOf, pytorch: pytorchOf };

/** The panel. */
export function TakeHome() {
  const t = texts.value;
  const message = useSignal("");
  const isWrong = useSignal(false);
  const language = useSignal<keyof typeof CODES>("typescript");
  const model = opened.value;
  const facts = data.value;
  if (model === undefined || facts === undefined) return null;
  const save = async (format: ExportName) => {
    try {
      const files = await laboratory.export(format);
      for (const { name, content } of files) saveFile(name, content);
      isWrong.value = false;
      message.value = t.saved(files.map(({ name }) => name).join(", "));
    } catch (error) {
      isWrong.value = true;
      message.value = (error as Error).message;
    }
  };
  const { learningRate } = experiment.value;
  const written: Written = {
    experiment: experiment.value,
    layers: model.specs,
    threads: device.value.threads,
    rates: rates.value.length > 0 ? rates.value : [{ step: 0, learningRate }],
    inputShape: facts.shape,
  };
  const code = CODES[language.value](written);
  return (
    <>
      <h3>{t.files}</h3>
      <ul class="files">
        {Object.entries(t.fileNames).map(([format, [name, purpose]]) => (
          <li key={format}>
            <button
              type="button"
              data-format={format}
              onClick={() => void save(format as ExportName)}
            >
              {name}
            </button>
            <span class="small soft">{purpose}</span>
          </li>
        ))}
      </ul>
      <p role="status" id="saved" class={isWrong.value ? "notice" : "small soft"}>
        {message.value}
      </p>
      <h3>{t.code}</h3>
      <div class="row tabs" role="tablist" aria-label={t.code}>
        {Object.entries(t.codeNames).map(([name, label]) => (
          <button
            key={name}
            type="button"
            role="tab"
            aria-selected={language.value === name}
            data-code={name}
            onClick={() => language.value = name as keyof typeof CODES}
          >
            {label}
          </button>
        ))}
      </div>
      <p class="small soft">
        {t.codeNote[language.value]} {experiment.value.data === "own" && t.ownCode}
      </p>
      <div class="code">
        <CopyButton label={t.copy} text={() => code} />
        <pre tabIndex={0} id="code">{code}</pre>
      </div>
    </>
  );
}

function saveFile(name: string, content: Uint8Array | string): void {
  const url = URL.createObjectURL(new Blob([content as BlobPart]));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
