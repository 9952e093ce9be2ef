/** Pictures of one's own: dropped, chosen, drawn or seen by a camera, each with its class. */

/// <reference lib="dom" />
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { RgbaPicture } from "../../data/picture.ts";
import { DrawingBoard } from "./drawing_board.tsx";
import { chosenFiles, type ClassedFile, droppedFiles } from "./dropped_files.ts";
import { texts } from "./language.ts";
import { chooseData, laboratory, reading } from "./state.ts";
import { count, Field, Picture, SelectField } from "./widgets.tsx";

/** Sides that pictures can be fitted to. */
const SIDES = [16, 28, 32, 48, 64];

type OwnClasses = Awaited<ReturnType<typeof laboratory.ownClasses>>;

/** The panel. */
export function OwnPictures() {
  const t = texts.value;
  const classes = useSignal<OwnClasses>([]);
  const side = useSignal(28);
  const isColour = useSignal(false);
  const name = useSignal("");
  const refused = useSignal<readonly string[]>([]);
  const isOver = useSignal(false);
  const source = useSignal<"none" | "drawing" | "camera">("none");
  const picture = useRef<RgbaPicture | null>(null);
  const refresh = async () => classes.value = await laboratory.ownClasses();
  useEffect(() => void refresh(), []);
  const addFiles = async (files: readonly ClassedFile[]) => {
    refused.value = await laboratory.addFiles(files);
    await refresh();
  };
  const setClass = async (className: string, isThere: boolean) => {
    if (className === "") return;
    await laboratory.setClass(className, isThere);
    await refresh();
  };
  const shape = async (next: { side: number; isColour: boolean }) => {
    side.value = next.side;
    isColour.value = next.isColour;
    await laboratory.setShape(next);
    await refresh();
  };
  const addPicture = async (className: string) => {
    if (picture.current === null) return;
    await laboratory.addPicture(className, picture.current);
    await refresh();
  };
  const usual = classes.value[0]?.name ?? "1";
  const isEmpty = classes.value.every((one) => one.count === 0);
  const isReady = classes.value.filter((one) => one.count >= 2).length >= 2;
  return (
    <div
      class={`own ${isOver.value ? "over" : ""}`}
      onDragOver={(event) => {
        event.preventDefault();
        isOver.value = true;
      }}
      onDragLeave={() => isOver.value = false}
      onDrop={async (event) => {
        event.preventDefault();
        isOver.value = false;
        if (event.dataTransfer) await addFiles(await droppedFiles(event.dataTransfer, usual));
      }}
    >
      <p>{t.ownLead}</p>
      <div class="drop" id="drop">
        <p>{t.drop}</p>
        <label class="button">
          {t.chooseFolder}
          <input
            id="folder"
            type="file"
            multiple
            ref={(input) => input?.setAttribute("webkitdirectory", "")}
            onChange={({ currentTarget: { files } }) =>
              files && void addFiles(chosenFiles(files, usual))}
          />
        </label>
      </div>
      {reading.value && (
        <p role="status">
          {t.reading(count(reading.value.done), count(reading.value.total))}{" "}
          <progress value={reading.value.done} max={reading.value.total} aria-label={t.own} />
        </p>
      )}
      {refused.value.length > 0 && (
        <p class="notice" role="alert">
          {t.refused(refused.value.length, refused.value.slice(0, 5).join(", "))}
        </p>
      )}
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          void setClass(name.value.trim(), true).then(() => name.value = "");
        }}
      >
        <Field label={t.newClass}>
          <input
            id="class-name"
            type="text"
            maxLength={60}
            value={name.value}
            onInput={({ currentTarget }) => name.value = currentTarget.value}
          />
        </Field>
        <button type="submit">{t.addClass}</button>
        <button
          type="button"
          aria-pressed={source.value === "drawing"}
          onClick={() => source.value = source.value === "drawing" ? "none" : "drawing"}
        >
          {t.drawing}
        </button>
        <button
          type="button"
          aria-pressed={source.value === "camera"}
          onClick={() => source.value = source.value === "camera" ? "none" : "camera"}
        >
          {source.value === "camera" ? t.cameraOff : t.camera}
        </button>
      </form>
      {source.value === "drawing" && (
        <DrawingBoard
          size={{ width: side.value, height: side.value }}
          onPicture={(drawn) => picture.current = drawn}
        />
      )}
      {source.value === "camera" && <Camera onPicture={(seen) => picture.current = seen} />}
      <ul class="classes">
        {classes.value.map((one) => (
          <li key={one.name}>
            <b>{one.name}</b> <span class="soft">{t.count(count(one.count))}</span>
            <div class="thumbs">
              {one.newest.map((pixels, n) => (
                <Picture
                  key={n}
                  pixels={pixels}
                  shape={[isColour.value ? 3 : 1, side.value, side.value]}
                  scale={32 / side.value}
                />
              ))}
            </div>
            <div class="row">
              <label class="button">
                {t.addFiles}
                <input
                  type="file"
                  multiple
                  accept="image/*"
                  onChange={({ currentTarget: { files } }) =>
                    files &&
                    void addFiles([...files].map((file) => ({ className: one.name, file })))}
                />
              </label>
              {source.value !== "none" && (
                <button
                  type="button"
                  onClick={() => void addPicture(one.name)}
                >
                  {source.value === "drawing" ? t.addDrawing : t.addPhoto}
                </button>
              )}
              <button
                type="button"
                class="plain"
                aria-label={t.remove(one.name)}
                onClick={() => void setClass(one.name, false)}
              >
                ×
              </button>
            </div>
          </li>
        ))}
      </ul>
      <div class="row">
        <SelectField
          label={t.size}
          value={String(side.value)}
          options={SIDES.map((one) => [`${one}`, `${one} × ${one}`] as const)}
          onChange={(value) => void shape({ side: Number(value), isColour: isColour.value })}
          isDisabled={!isEmpty}
        />
        <Field label={t.colour}>
          <input
            type="checkbox"
            id="colour"
            checked={isColour.value}
            onChange={({ currentTarget }) =>
              void shape({ side: side.value, isColour: currentTarget.checked })}
          />
        </Field>
        <button
          type="button"
          id="use-own"
          class="primary"
          disabled={!isReady}
          onClick={() => void chooseData("own")}
        >
          {t.useOwn}
        </button>
      </div>
      {!isReady && <p class="small soft">{t.tooFew}</p>}
    </div>
  );
}

/** How often a camera's picture is taken. */
const CAMERA_MS = 150;

/** Side of the square that is cut from its middle. */
const CAMERA_SIDE = 224;

function Camera({ onPicture }: { onPicture: (picture: RgbaPicture) => void }) {
  const t = texts.value;
  const video = useRef<HTMLVideoElement>(null);
  const reason = useSignal("");
  useEffect(() => {
    let stream: MediaStream | undefined;
    let isOver = false;
    const canvas = new OffscreenCanvas(CAMERA_SIDE, CAMERA_SIDE);
    const context = canvas.getContext("2d", { willReadFrequently: true })!;
    const timer = setInterval(() => {
      const { videoWidth, videoHeight } = video.current ?? { videoWidth: 0, videoHeight: 0 };
      const side = Math.min(videoWidth, videoHeight);
      if (side === 0) return;
      const [left, top] = [(videoWidth - side) / 2, (videoHeight - side) / 2];
      context.drawImage(video.current!, left, top, side, side, 0, 0, CAMERA_SIDE, CAMERA_SIDE);
      const { data: rgba } = context.getImageData(0, 0, CAMERA_SIDE, CAMERA_SIDE);
      onPicture({ width: CAMERA_SIDE, height: CAMERA_SIDE, rgba });
    }, CAMERA_MS);
    const begin = async () => {
      if (!navigator.mediaDevices) throw new Error("this page is not served securely");
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: 320 } });
      if (isOver) return stop();
      video.current!.srcObject = stream;
      await video.current!.play();
    };
    const stop = () => stream?.getTracks().forEach((track) => track.stop());
    begin().catch((error: Error) => reason.value = error.message);
    return () => {
      isOver = true;
      clearInterval(timer);
      stop();
    };
  }, []);
  return (
    <div>
      <video ref={video} class="camera" muted playsInline aria-label={t.camera} />
      {reason.value !== "" && <p class="notice" role="alert">{t.noCamera(reason.value)}</p>}
    </div>
  );
}
