/** Random integers by counter, as `src/random.ts` draws them. */

/** An integer that depends on nothing but the stream's key and where it is used. */
export function drawAt(key: u32, step: u32, image: u32, unit: u32): u32 {
  return follow(drawOfImage(key, step, image), unit);
}

/** What all draws of an image in a step begin with. */
export function drawOfImage(key: u32, step: u32, image: u32): u32 {
  return follow(follow(key, step), image);
}

// @ts-ignore: decorator
@inline
function follow(hash: u32, value: u32): u32 {
  hash += (value + 1) * 0x9e3779b9;
  hash = (hash ^ (hash >> 16)) * 0x85ebca6b;
  hash = (hash ^ (hash >> 13)) * 0xc2b2ae35;
  return hash ^ (hash >> 16);
}
