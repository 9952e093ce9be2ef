/** Augmentation: images of a training set, changed a little each time that they are trained on. */

import { checkNumber, checkObject, type NumberRange, showKind } from "../check.ts";
import { quote } from "../quote.ts";
import { drawAt, streamKey } from "../random.ts";

/** How images are changed while they are trained on; what is left out is not done.
 *
 * In this order: an image is flipped, turned, shifted, made lighter or darker, and a part of it erased.
 * What comes in from outside of it, or is erased, has the value 0 behind standardization, as a
 * convolution's padding has: the mean, or black where pixels are not standardized.
 */
export interface Augmentation {
  /** Mirrors left and right, with probability 1/2. */
  readonly flip?: boolean;
  /** Moves it by up to so many whole pixels each way, up or down and to either side; less than a side. */
  readonly shift?: number;
  /** Probability, 0 .. 1, that a rectangle is erased; its sides are 1/7 to 3/7 of the image's: 4 to
   * 12 pixels of 28.
   */
  readonly erase?: number;
  /** Turns it about its centre by up to so many degrees, 0 .. 180, either way; bilinear. */
  readonly rotate?: number;
  /** Multiplies pixel / 255 by a factor of 1 - brightness .. 1 + brightness, 0 .. 1, unclipped. */
  readonly brightness?: number;
}

type Name = keyof Augmentation;

/** What each may be; one without a range is a switch. */
const FIELDS: { readonly [Field in Name]-?: NumberRange | undefined } = {
  flip: undefined,
  shift: { whole: true, min: 0, max: 1_000 },
  erase: { min: 0, max: 1 },
  rotate: { min: 0, max: 180 },
  brightness: { min: 0, max: 1 },
};

/** Their names, in the order in which they are shown. */
export const AUGMENTATION_NAMES = Object.keys(FIELDS) as readonly Name[];

/** Checks an augmentation, which may come from a file, and leaves out what changes nothing.
 *
 * @param shape Of the images, [channels, height, width]; left out, they may be of any size.
 * @returns Nothing where there is nothing to do.
 * @throws {TypeError} If it is none, or names something that there is not.
 * @throws {RangeError} If a number is out of range, or images would be shifted out of sight.
 */
export function completeAugmentation(
  value: unknown,
  shape?: readonly number[],
): Augmentation | undefined {
  if (value === undefined) return undefined;
  checkObject("augmentation", value, "an object such as { flip: true, shift: 2 }");
  const given: Record<string, unknown> = { ...Object(value) };
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(FIELDS, name));
  if (unknown !== undefined) throw unknownName(unknown);
  for (const name of AUGMENTATION_NAMES) {
    if (given[name] === undefined) continue;
    const range = FIELDS[name];
    if (range !== undefined) checkNumber(`augmentation ${name}`, given[name], range);
    else if (typeof given[name] !== "boolean") {
      const found = showKind(given[name]);
      throw new TypeError(`Invalid augmentation ${name}: expected true or false, found ${found}`);
    }
  }
  const { shift } = given as Augmentation;
  const side = Math.min(...shape?.slice(1) ?? []);
  if (shift && shift >= side) {
    throw new RangeError(
      `Cannot shift images of ${shape!.slice(1).join("x")} by up to ${shift} pixels: expected ` +
        `less than a side, ${side - 1} at most`,
    );
  }
  const names = AUGMENTATION_NAMES.filter((name) => given[name]);
  if (names.length === 0) return undefined;
  return Object.fromEntries(names.map((name) => [name, given[name]]));
}

/** Parses `flip,shift=2,erase=0.25`; `+` separates as the comma does, `none` is nothing to do.
 *
 * @throws {TypeError} If a name is unknown or given twice, or its value is missing or too much.
 * @throws {RangeError} If a number is out of range.
 */
export function parseAugmentation(text: string): Augmentation | undefined {
  if (text.trim() === "none") return undefined;
  const found: Record<string, unknown> = {};
  for (const part of text.split(/[,+]/)) {
    const [name, number] = part.split(/=(.*)/s).map((word) => word.trim());
    if (!Object.hasOwn(FIELDS, name)) throw unknownName(name);
    if (Object.hasOwn(found, name)) throw new TypeError(`Augmentation ${name} is given twice`);
    const isSwitch = FIELDS[name as Name] === undefined;
    if (isSwitch !== (number === undefined)) {
      throw new TypeError(
        isSwitch
          ? `Augmentation ${name} takes no value, found ${quote(number)}`
          : `Augmentation ${name} needs a value, as in ${
            AUGMENTATION_EXAMPLES.find((example) => example.startsWith(name))
          }`,
      );
    }
    found[name] = isSwitch || (/^[-+\d.e]+$/i.test(number) ? Number(number) : number);
  }
  return completeAugmentation(found);
}

/** One of each, as {@linkcode parseAugmentation} reads them. */
export const AUGMENTATION_EXAMPLES = [
  "flip",
  "shift=2",
  "erase=0.25",
  "rotate=10",
  "brightness=0.2",
];

/** Whether a value from a file is an augmentation that does something. */
export function isAugmentation(value: unknown): value is Augmentation {
  try {
    return completeAugmentation(value) !== undefined;
  } catch {
    return false;
  }
}

/** `flip, shift 2, erase 0.25`. */
export function showAugmentation(augmentation: Augmentation): string {
  return Object.entries(augmentation)
    .map(([name, value]) => value === true ? name : `${name} ${value}`).join(", ");
}

function unknownName(name: string): TypeError {
  return new TypeError(
    `Unknown augmentation ${quote(name)}: expected one of ${AUGMENTATION_NAMES.join(", ")}`,
  );
}

/** What is drawn of each image, by its unit of the random numbers. */
export const UNITS = {
  ...{ flip: 0, down: 1, right: 2, erase: 3, eraseHeight: 4, eraseWidth: 5, eraseTop: 6 },
  ...{ eraseLeft: 7, turn: 8, brightness: 9 },
} as const;

/** Turns to choose from, evenly spaced; the middle one is none. */
const TURNS = 511;

/** Bits behind the point of a turn's cosine and sine, and of a place's distance to its pixel. */
export const [TURN_BITS, FRACTION_BITS] = [14, 8];

/** How one image is changed, in one step. */
export interface Change {
  readonly flip: boolean;
  /** Whole pixels. */
  readonly down: number;
  readonly right: number;
  /** Cosine and sine, times 2 ** TURN_BITS, whole numbers. */
  readonly cos: number;
  readonly sin: number;
  /** Of pixel / 255. */
  readonly factor: number;
  /** The rectangle that is erased; empty where top is bottom. */
  readonly erased: {
    readonly top: number;
    readonly left: number;
    readonly bottom: number;
    readonly right: number;
  };
}

const NOTHING = { top: 0, left: 0, bottom: 0, right: 0 };

/** Draws how each image is changed: the same for a seed, a step and an image on every engine.
 *
 * All choices are whole numbers, and so is the way of a turned pixel to its four neighbours: engines
 * differ in nothing but how they round a pixel's value.
 */
export class Augmenter {
  /** What is done. */
  readonly augmentation: Augmentation;
  /** Of the stream of random numbers. */
  readonly key: number;
  /** An image's part is erased where 24 random bits are below this. */
  readonly erasesBelow: number;
  /** Smallest sides of what is erased, and how many sizes there are to choose from. */
  readonly erasedHeight: readonly [least: number, sizes: number];
  readonly erasedWidth: readonly [least: number, sizes: number];
  /** Cosine and sine of each turn, times 2 ** TURN_BITS; empty where nothing turns. */
  readonly turns: Int32Array<ArrayBuffer>;
  readonly #height: number;
  readonly #width: number;

  /** @param shape Of an image, [channels, height, width]. */
  constructor(
    augmentation: Augmentation,
    { seed, shape: [, height, width] }: {
      readonly seed: number;
      readonly shape: readonly number[];
    },
  ) {
    const { erase = 0, rotate = 0 } = augmentation;
    this.augmentation = augmentation;
    this.key = streamKey(seed, "augment");
    this.erasesBelow = Math.round(erase * 2 ** 24);
    [this.erasedHeight, this.erasedWidth] = [height, width].map((side) => {
      const least = Math.max(1, Math.round(side / 7));
      return [least, Math.max(1, Math.round(3 * side / 7) - least + 1)] as const;
    });
    this.turns = Int32Array.from({ length: rotate > 0 ? 2 * TURNS : 0 }, (_, n) => {
      const place = Math.floor(n / 2) / ((TURNS - 1) / 2) - 1;
      const angle = place * rotate * Math.PI / 180;
      return Math.round(2 ** TURN_BITS * (n % 2 === 0 ? Math.cos(angle) : Math.sin(angle)));
    });
    [this.#height, this.#width] = [height, width];
  }

  /** How an image is changed.
   *
   * @param step Updates made before.
   * @param image Its place in the attached data set.
   */
  changeOf(step: number, image: number): Change {
    const { flip = false, shift = 0, brightness = 0 } = this.augmentation;
    const draw = (unit: number) => drawAt(this.key, { step, image, unit });
    const turn = this.turns.length > 0 ? 2 * pick(draw(UNITS.turn), TURNS) : undefined;
    return {
      flip: flip && draw(UNITS.flip) >>> 31 === 1,
      down: shift > 0 ? pick(draw(UNITS.down), 2 * shift + 1) - shift : 0,
      right: shift > 0 ? pick(draw(UNITS.right), 2 * shift + 1) - shift : 0,
      cos: turn === undefined ? 2 ** TURN_BITS : this.turns[turn],
      sin: turn === undefined ? 0 : this.turns[turn + 1],
      factor: brightness > 0
        ? 1 - brightness + 2 * brightness / 65_535 * (draw(UNITS.brightness) >>> 16)
        : 1,
      erased: this.erasesBelow > 0 && draw(UNITS.erase) >>> 8 < this.erasesBelow
        ? this.#rectangle(draw)
        : NOTHING,
    };
  }

  #rectangle(draw: (unit: number) => number): Change["erased"] {
    const [height, width] = ([
      [this.erasedHeight, UNITS.eraseHeight],
      [this.erasedWidth, UNITS.eraseWidth],
    ] as const).map(([[least, sizes], unit]) => least + pick(draw(unit), sizes));
    const top = pick(draw(UNITS.eraseTop), this.#height - height + 1);
    const left = pick(draw(UNITS.eraseLeft), this.#width - width + 1);
    return { top, left, bottom: top + height, right: left + width };
  }
}

/** A whole number below `count`, at most 65,536, of a random integer; kernels do the same. */
function pick(drawn: number, count: number): number {
  return Math.floor((drawn >>> 16) * count / 65_536);
}
