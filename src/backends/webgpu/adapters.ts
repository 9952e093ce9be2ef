/** GPU adapters: choosing one, and describing all for people to read. */

import { type AdapterChoice, BackendUnavailableError } from "../backend.ts";

/** An adapter as the `devices` command shows it. */
export interface AdapterDescription {
  /** Name of the device, and of its driver where WebGPU says it. */
  readonly name: string;
  readonly vendor: string;
  readonly architecture: string;
  /** True for a GPU emulated by the CPU, such as llvmpipe. */
  readonly software: boolean;
  /** True where it is reached through OpenGL, for want of a better driver. */
  readonly openGl: boolean;
  /** In alphabetical order. */
  readonly features: readonly string[];
  /** The limits that this engine obeys, by WebGPU's names. */
  readonly limits: Readonly<Record<AdapterLimit, number>>;
}

const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxUniformBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupsPerDimension",
] as const;

/** A limit that this engine obeys. */
export type AdapterLimit = typeof LIMITS[number];

const REQUESTS: readonly GPURequestAdapterOptions[] = [
  { powerPreference: "high-performance" },
  { powerPreference: "low-power" },
  { forceFallbackAdapter: true },
];

const INSTALL = "install a Vulkan driver (on Debian: mesa-vulkan-drivers)";

/** All adapters that WebGPU gives, the fastest first; it has no list, so each kind is asked for. */
async function listAdapters(): Promise<GPUAdapter[]> {
  const adapters = new Map<string, GPUAdapter>();
  for (const options of REQUESTS) {
    const adapter = await requestAdapter(options);
    if (!adapter) continue;
    const key = JSON.stringify(describe(adapter));
    if (!adapters.has(key)) adapters.set(key, adapter);
  }
  return [...adapters.values()];
}

/** The adapter asked for; without a choice the fastest.
 *
 * @throws {BackendUnavailableError} If there is none.
 */
export async function chooseAdapter(choice: AdapterChoice = {}): Promise<GPUAdapter> {
  const { powerPreference = "high-performance", deviceIndex } = choice;
  if (deviceIndex !== undefined) {
    const adapters = await listAdapters();
    const adapter = adapters[deviceIndex];
    if (adapter) return adapter;
    throw new BackendUnavailableError(
      `no WebGPU adapter has index ${deviceIndex}: ` +
        (adapters.length === 0
          ? `none was found; ${INSTALL}`
          : `there are ${adapters.length}, counted from 0`),
    );
  }
  const adapter = await requestAdapter({ powerPreference });
  if (adapter) return adapter;
  throw new BackendUnavailableError(`no WebGPU adapter was found; ${INSTALL}`);
}

/** Describes the adapter asked for; without a choice the fastest.
 *
 * @throws {BackendUnavailableError} If there is none.
 */
export async function describeAdapter(choice?: AdapterChoice): Promise<AdapterDescription> {
  return describe(await chooseAdapter(choice));
}

/** Describes all adapters, the fastest first; an empty list where there is no WebGPU. */
export async function describeAdapters(): Promise<AdapterDescription[]> {
  return (await listAdapters()).map(describe);
}

/** An adapter's name for people to read. */
export function adapterName({ info }: GPUAdapter): string {
  const { description, device, vendor, architecture } = info; // browsers give only the last two
  return description || device || `${vendor} ${architecture}`.trim() || "an unnamed adapter";
}

function describe(adapter: GPUAdapter): AdapterDescription {
  const { vendor, architecture, device, isFallbackAdapter } = adapter.info;
  return {
    name: adapterName(adapter),
    vendor,
    architecture,
    software: isFallbackAdapter,
    // Deno does not say it. OpenGL alone knows neither the device's number, as Metal does not, nor this.
    openGl: device === "0" && !adapter.features.has("bgra8unorm-storage"),
    features: [...adapter.features].toSorted(),
    limits: Object.fromEntries(LIMITS.map((limit) => [limit, adapter.limits[limit]])) as Record<
      AdapterLimit,
      number
    >,
  };
}

async function requestAdapter(options: GPURequestAdapterOptions): Promise<GPUAdapter | null> {
  return await globalThis.navigator?.gpu?.requestAdapter(options) ?? null; // Node 20 has none
}

/** Limits that a device should have beyond WebGPU's defaults. */
export function requiredLimits({ limits }: GPUAdapter): Record<string, number> {
  return Object.fromEntries(LIMITS.map((limit) => [limit, limits[limit]]));
}
