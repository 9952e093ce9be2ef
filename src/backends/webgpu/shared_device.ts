/** One device for all sessions on an adapter.
 *
 * To open a device and to compile for it takes longer than many a training, and what a device leaves
 * behind is freed late: garbage collectors do not see a driver's memory. So a device stays open until it
 * fails or the process ends.
 */

import type { AdapterChoice } from "../backend.ts";
import { adapterName, chooseAdapter, requiredLimits } from "./adapters.ts";

/** An open device. */
export interface SharedDevice {
  readonly device: GPUDevice;
  /** Name of the adapter for people to read. */
  readonly name: string;
  /** Whether the adapter is emulated by the CPU. */
  readonly software: boolean;
  /** What the device reported out of band since it was opened. */
  readonly reports: { readonly first?: string };
}

/** Open devices by the choice of their adapter. */
const devices = new Map<string, Promise<SharedDevice>>();

/** The device of an adapter, with all that the adapter allows; a new one where the last has failed.
 *
 * @throws {BackendUnavailableError} If there is no such adapter.
 * @throws {Error} If it gives no device.
 */
export function openDevice(choice: AdapterChoice): Promise<SharedDevice> {
  const key = JSON.stringify([choice.deviceIndex, choice.powerPreference]);
  const found = devices.get(key);
  if (found !== undefined) return found;
  const opened = requestDevice(choice, () => devices.delete(key));
  devices.set(key, opened);
  return opened;
}

async function requestDevice(choice: AdapterChoice, onFault: () => void): Promise<SharedDevice> {
  try {
    const adapter = await chooseAdapter(choice);
    const device = await requestAll(adapter);
    const reports: { first?: string } = {};
    const report = (message: string) => {
      if (reports.first !== undefined) return;
      reports.first = message;
      onFault();
    };
    device.addEventListener("uncapturederror", (event) => {
      report((event as GPUUncapturedErrorEvent).error.message);
    });
    device.lost.then(({ message, reason }) => report(`device lost: ${message || reason}`));
    return {
      device,
      name: adapterName(adapter),
      software: adapter.info.isFallbackAdapter,
      reports,
    };
  } catch (error) {
    onFault();
    throw error;
  }
}

async function requestAll(adapter: GPUAdapter): Promise<GPUDevice> {
  const features: GPUFeatureName[] = ["timestamp-query"];
  try {
    return await adapter.requestDevice({
      requiredFeatures: features.filter((feature) => adapter.features.has(feature)),
      requiredLimits: requiredLimits(adapter),
    });
  } catch (error) {
    throw new Error(`Cannot open ${adapterName(adapter)}: ${oneLine(error)}`);
  }
}

const LONGEST_MESSAGE = 300;

/** An error's message, which a driver may make go on for pages, as one line. */
export function oneLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const line = message.replace(/\s+/g, " ").trim();
  return line.length > LONGEST_MESSAGE ? `${line.slice(0, LONGEST_MESSAGE)}...` : line;
}
