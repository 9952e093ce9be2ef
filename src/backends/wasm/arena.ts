/** Memory handed out from one end to the other, in the units of the kernels. */

/** Images that go through the network side by side. */
export const BLOCK = 8;

/** Bytes of one element of a tensor: that element of the eight images of a block. */
export const ELEMENT_BYTES = 4 * BLOCK;

/** Bytes of one vector of four lanes. */
export const VECTOR_BYTES = 16;

/** Cache lines are not shared between two allocations. */
const ALIGNMENT = 64;

/** A range of addresses that grows as parts of it are allocated. */
export class Arena {
  #end: number;

  constructor(start: number) {
    this.#end = start;
  }

  /** First free address, a multiple of 64. */
  get end(): number {
    return this.#end;
  }

  /** Returns the address of `byteLength` bytes. */
  allocate(byteLength: number): number {
    const address = this.#end;
    this.#end += Math.ceil(byteLength / ALIGNMENT) * ALIGNMENT;
    return address;
  }
}
