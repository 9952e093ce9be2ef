/** Decoders of pictures, C libraries as WebAssembly: libjpeg-turbo, libwebp, LodePNG, NetSurf's GIF and BMP.
 *
 * Their programs come from npm packages `@cwasm/...`; they are called here rather than through these
 * packages' own functions, which know neither grey nor scaled JPEGs and always take this thread's files.
 */

import { readDecoder } from "./decoder_files.ts";
import type { Channels, Picture, RgbaPicture } from "./picture.ts";
import type { PictureHeader } from "./picture_header.ts";
import { PictureFault, type PictureKind } from "./picture_kind.ts";

type CFunction = (...args: number[]) => number;

/** What the libraries export: all but the memory are functions. */
interface CExports {
  readonly memory: WebAssembly.Memory;
  readonly malloc: CFunction;
  readonly free: CFunction;
  readonly [name: string]: WebAssembly.Memory | CFunction;
}

/** By kind: the package, and the function that decodes to red, green, blue and alpha. */
const LIBRARIES = {
  bmp: ["nsbmp", "decode_bmp"],
  gif: ["nsgif", "decode_gif"],
  jpeg: ["jpeg-turbo", "tjDecompress2"],
  png: ["lodepng", "lodepng_decode32"],
  webp: ["webp", "WebPDecodeRGBA"],
} as const satisfies { readonly [Kind in PictureKind]: readonly [string, string] };

/** An instance that has grown beyond this is let go of: its memory cannot shrink. */
const KEPT_BYTES = 32 * 2 ** 20;

const programs = new Map<PictureKind, WebAssembly.Module>();
const instances = new Map<PictureKind, CExports>();

/** Where libjpeg-turbo keeps its last message, which none of the functions gives out. */
let messageAt = -1;
const FIRST_MESSAGE = "\0\0No error\0\0";
const MAX_MESSAGE_BYTES = 200;

/** Calls a library's function with memory of its own; what it leaves behind when it fails is dropped. */
function withLibrary<Result>(kind: PictureKind, run: (library: CExports) => Result): Result {
  let library = instances.get(kind);
  instances.delete(kind);
  const program = programOf(kind);
  try {
    library ??= start(kind, program);
    const result = run(library);
    if (library.memory.buffer.byteLength <= KEPT_BYTES) instances.set(kind, library);
    return result;
  } catch (error) {
    if (error instanceof PictureFault) throw error;
    // A trap, or too little memory: what the library would have let the process die of.
    throw new PictureFault("it is damaged");
  }
}

function programOf(kind: PictureKind): WebAssembly.Module {
  let program = programs.get(kind);
  if (program === undefined) {
    program = new WebAssembly.Module(readDecoder(LIBRARIES[kind][0]));
    programs.set(kind, program);
  }
  return program;
}

function start(kind: PictureKind, program: WebAssembly.Module): CExports {
  const call = (returned: number) => () => returned;
  const fail = () => {
    throw new Error("Cannot go on");
  };
  const { exports } = new WebAssembly.Instance(program, {
    env: { setjmp: call(0), longjmp: fail },
    wasi_snapshot_preview1: {
      ...{ environ_sizes_get: call(0), environ_get: call(0), proc_exit: fail },
      ...{ fd_close: call(0), fd_seek: call(0), fd_write: call(0) },
    },
  });
  const library = exports as unknown as CExports;
  (library._initialize as CFunction | undefined)?.();
  if (kind === "jpeg" && messageAt < 0) {
    const memory = new TextDecoder("latin1").decode(new Uint8Array(library.memory.buffer));
    messageAt = memory.indexOf(FIRST_MESSAGE) + 2;
  }
  return library;
}

/** Copies bytes into a library's memory.
 *
 * @throws {PictureFault} If there is no room.
 */
function allocate(library: CExports, length: number, content?: Uint8Array): number {
  const at = library.malloc(length);
  if (at === 0) throw new PictureFault("this machine has too little memory for it");
  if (content !== undefined) new Uint8Array(library.memory.buffer, at, length).set(content);
  return at;
}

/** Decodes a file of any kind but JPEG.
 *
 * @param use Makes something of the picture, whose memory is gone afterwards.
 * @throws {PictureFault} If it is damaged, or another size than its header says.
 */
export function decodeRgba<Result>(
  kind: Exclude<PictureKind, "jpeg">,
  header: PictureHeader,
  use: (picture: RgbaPicture) => Result,
): Result {
  const bytes = header.content();
  return withLibrary(kind, (library) => {
    const decode = library[LIBRARIES[kind][1]] as CFunction;
    const input = allocate(library, bytes.length, bytes);
    const facts = allocate(library, 12);
    let failed: boolean;
    if (kind === "webp") {
      const pixels = decode(input, bytes.length, facts + 4, facts + 8);
      new DataView(library.memory.buffer).setUint32(facts, pixels, true);
      failed = pixels === 0;
    } else {
      failed = decode(facts, facts + 4, facts + 8, input, bytes.length) !== 0;
    }
    const [pixels, width, height] = new Uint32Array(library.memory.buffer, facts, 3);
    if (failed || width !== header.width || height !== header.height) {
      throw new PictureFault("it is damaged");
    }
    const rgba = new Uint8Array(library.memory.buffer, pixels, 4 * width * height);
    const result = use({ width, height, rgba });
    for (const at of [pixels, facts, input]) library.free(at);
    return result;
  });
}

/** TurboJPEG's formats of pixels, and the first of its colour spaces that are of ink. */
const [COLOR, GREY, INK] = [0, 6, 11];
const FIRST_INK_SPACE = 3;
/** Warnings of files that all viewers show: what is between segments, and unusual headers. */
const HARMLESS = /extraneous bytes before marker|unknown (Adobe|JFIF)/;

/** Decodes a JPEG in a size divided by 1, 2, 4 or 8, to its brightness, by ITU-R BT.601 as stored, or to
 * its colours.
 *
 * @returns Width and height are rounded up.
 * @throws {PictureFault} If it is damaged.
 */
export function decodeJpeg(
  { width, height, content }: PictureHeader,
  { divisor, channels }: { readonly divisor: 1 | 2 | 4 | 8; readonly channels: Channels },
): Picture {
  const bytes = content();
  return withLibrary("jpeg", (library) => {
    const call = (name: string, ...args: number[]) => (library[name] as CFunction)(...args);
    const message = () => new Uint8Array(library.memory.buffer, messageAt, MAX_MESSAGE_BYTES);
    const words = () => new TextDecoder("latin1").decode(message()).split("\0")[0];
    message().fill(0);
    try {
      const input = allocate(library, bytes.length, bytes);
      const facts = allocate(library, 16);
      const handle = call("tjInitDecompress");
      const places = [0, 4, 8, 12].map((offset) => facts + offset);
      const isRead = call("tjDecompressHeader3", handle, input, bytes.length, ...places) === 0;
      const [foundWidth, foundHeight, , space] = new Uint32Array(library.memory.buffer, facts, 4);
      // A second header would be believed by the decoder, and has not been checked by the caller.
      if (!isRead || foundWidth !== width || foundHeight !== height) {
        throw new PictureFault("its header is damaged");
      }
      const size = { width: Math.ceil(width / divisor), height: Math.ceil(height / divisor) };
      const [format, samples] = space >= FIRST_INK_SPACE
        ? [INK, 4]
        : channels === 3
        ? [COLOR, 3]
        : [GREY, 1];
      const length = size.width * size.height * samples;
      const output = allocate(library, length);
      const target = [output, size.width, 0, size.height];
      const status = call("tjDecompress2", handle, input, bytes.length, ...target, format, 0);
      if (status !== 0 && !HARMLESS.test(words())) throw new Error("a warning");
      const decoded = new Uint8Array(library.memory.buffer, output, length);
      const pixels = samples === 4
        ? ofInk(decoded, channels)
        : samples === 3
        ? planar(decoded)
        : decoded.slice();
      call("tjDestroy", handle);
      for (const at of [output, facts, input]) library.free(at);
      return { ...size, pixels };
    } catch (error) {
      if (error instanceof PictureFault) throw error;
      const said = words();
      const isCut = /Premature end|no image|Empty input/i.test(said);
      throw new PictureFault(isCut ? "the file is cut off" : said === "" ? "it is damaged" : said);
    }
  });
}

/** Brightness or colours of cyan, magenta, yellow and black, each stored as what is left of the light. */
function ofInk(inks: Uint8Array, channels: Channels): Uint8Array {
  const area = inks.length / 4;
  const pixels = new Uint8Array(channels * area);
  for (let n = 0; n < area; n++) {
    const [red, green, blue, light] = inks.subarray(4 * n, 4 * n + 4);
    if (channels === 3) {
      [red, green, blue].forEach((tone, k) =>
        pixels[k * area + n] = Math.round(tone * light / 255)
      );
    } else pixels[n] = Math.round((0.299 * red + 0.587 * green + 0.114 * blue) * light / 255);
  }
  return pixels;
}

/** Planes of red, green and blue, of pixels of all three. */
function planar(colors: Uint8Array): Uint8Array {
  const area = colors.length / 3;
  const pixels = new Uint8Array(colors.length);
  for (let k = 0; k < 3; k++) {
    for (let n = 0; n < area; n++) pixels[k * area + n] = colors[3 * n + k];
  }
  return pixels;
}
