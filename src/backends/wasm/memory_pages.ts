/** Size of every session's memory: what kernels are compiled for. */

/** Pages of 64 KiB: 1 GiB of addresses. The size is fixed because V8 then loads it once instead of
 * after every loop iteration, a tenth of the speed; pages that are never touched cost no memory.
 */
export const MEMORY_PAGES = 16384;
