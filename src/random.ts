/** The one source of randomness: independent, named streams of a seed. What is drawn before training comes
 * from a generator; what engines draw by themselves is a function of where it is used.
 */

/** A deterministic generator of uniform and normal numbers; see {@linkcode createRandom}. */
export interface Random {
  /** Next integer, uniform in 0 .. 2^32 - 1. */
  uint32(): number;
  /** Next integer, uniform in 0 .. limit - 1 (limit in 1 .. 2^32). */
  below(limit: number): number;
  /** Next number, uniform in [low, high). */
  uniform(low: number, high: number): number;
  /** Next number, normal with mean 0 and the given standard deviation. */
  normal(standardDeviation: number): number;
}

/** Returns the generator of one stream of a seed.
 *
 * Equal seed and stream give equal numbers on every machine; different streams of one seed (initial
 * weights, the order of epoch 3) are independent, so that drawing more from one never shifts another.
 * Source: xoshiro128** (Blackman and Vigna 2018), seeded by a 32-bit mix of the seed and the stream's
 * name.
 *
 * @param seed An integer in 0 .. 2^53 - 1.
 */
export function createRandom(seed: number, stream: string): Random {
  const [s0, s1, s2, s3] = seedState(seed, stream);
  const state = new Uint32Array([s0, s1, s2, s3 | 1]); // never all zero
  let spareNormal: number | undefined;

  function uint32(): number {
    const result = Math.imul(rotateLeft(Math.imul(state[1], 5), 7), 9) >>> 0;
    const shifted = state[1] << 9;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotateLeft(state[3], 11);
    return result;
  }

  function below(limit: number): number {
    // Numbers past the last full multiple of limit would favour small results: draw again.
    const end = 2 ** 32 - (2 ** 32 % limit);
    let drawn = uint32();
    while (drawn >= end) drawn = uint32();
    return drawn % limit;
  }

  function uniform(low: number, high: number): number {
    return low + (high - low) * (uint32() / 2 ** 32);
  }

  /** Box-Muller: two uniforms give two normals, the second is kept for the next call. */
  function normal(standardDeviation: number): number {
    if (spareNormal !== undefined) {
      const spare = spareNormal;
      spareNormal = undefined;
      return spare * standardDeviation;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - uint32() / 2 ** 32));
    const angle = 2 * Math.PI * (uint32() / 2 ** 32);
    spareNormal = radius * Math.sin(angle);
    return radius * Math.cos(angle) * standardDeviation;
  }

  return { uint32, below, uniform, normal };
}

/** Returns the numbers 0 .. count - 1 in random order (Fisher and Yates). */
export function permutation(count: number, random: Random): Uint32Array<ArrayBuffer> {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last--) {
    const chosen = random.below(last + 1);
    [order[last], order[chosen]] = [order[chosen], order[last]];
  }
  return order;
}

/** Where an engine uses a random number: which step, which image of the data set, which unit of it. */
export interface Counter {
  readonly step: number;
  readonly image: number;
  readonly unit: number;
}

/** What {@linkcode drawAt} needs to know of a seed and a stream: 32 bits. */
export function streamKey(seed: number, stream: string): number {
  return seedState(seed, stream)[0];
}

/** An integer in 0 .. 2^32 - 1 that depends on nothing but key and counter.
 *
 * So it is the same on every engine, for any number of threads and processes, and for a run that went
 * on. `drawAt` of the `wasm` kernels and `draw_at` of the WGSL give the same.
 *
 * @param key What {@linkcode streamKey} gave.
 */
export function drawAt(key: number, { step, image, unit }: Counter): number {
  return follow(follow(follow(key, step), image), unit);
}

function follow(hash: number, value: number): number {
  return mix(hash + Math.imul(value + 1, 0x9e3779b9));
}

function rotateLeft(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

/** Four words from the seed's 53 bits and the stream's name, by MurmurHash3's finalizer. */
function seedState(seed: number, stream: string): [number, number, number, number] {
  let hash = mix(seed >>> 0) ^ mix(Math.floor(seed / 2 ** 32) + 0x9e3779b9);
  for (let index = 0; index < stream.length; index++) {
    hash = mix(Math.imul(hash, 31) + stream.charCodeAt(index));
  }
  const word = (k: number) => mix(hash + Math.imul(k, 0x9e3779b9));
  return [word(1), word(2), word(3), word(4)];
}

function mix(value: number): number {
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
