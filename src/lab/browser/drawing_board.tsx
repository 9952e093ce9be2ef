/** A board to draw on, with mouse, pen, finger or keys. */

/// <reference lib="dom" />
import { useEffect, useRef } from "preact/hooks";
import type { RgbaPicture } from "../../data/picture.ts";
import { Board } from "../../page/browser/drawing.ts";
import { texts } from "./language.ts";

/** Pictures of a drawing come no faster than this. */
const INTERVAL_MS = 60;

/** The board.
 *
 * @param size Of the network's input.
 * @param onPicture Hears what is drawn, as it grows.
 */
export function DrawingBoard({ size: { width, height }, onPicture }: {
  size: { readonly width: number; readonly height: number };
  onPicture: (picture: RgbaPicture) => void;
}) {
  const t = texts.value;
  const canvas = useRef<HTMLCanvasElement>(null);
  const cursor = useRef<HTMLDivElement>(null);
  const board = useRef<Board | null>(null);
  const tell = useRef(onPicture);
  tell.current = onPicture;
  const show = () => {
    const { width, height } = canvas.current!;
    const context = canvas.current!.getContext("2d", { willReadFrequently: true })!;
    tell.current({ width, height, rgba: context.getImageData(0, 0, width, height).data });
  };
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const soon = () =>
      timer ??= setTimeout(() => {
        timer = undefined;
        show();
      }, INTERVAL_MS);
    const events = { onRestart: () => {}, onChange: soon };
    const elements = { canvas: canvas.current!, cursor: cursor.current! };
    board.current = new Board(elements, { width, height, channels: 1 }, events);
    show();
    return () => clearTimeout(timer);
  }, [width, height]);
  const clear = () => {
    board.current?.clear();
    show();
  };
  return (
    <div class="drawing">
      <div class="board">
        <canvas
          ref={canvas}
          id="board"
          tabIndex={0}
          role="application"
          aria-label={t.board}
          aria-describedby="board-help"
        />
        <div ref={cursor} id="cursor" hidden />
      </div>
      <button type="button" class="clear" onClick={clear}>{t.clear}</button>
      <p id="board-help" class="hidden-text">{t.boardHelp}</p>
    </div>
  );
}
