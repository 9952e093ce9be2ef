/** A thread that decodes pictures; see `picture_pool.ts`. */

/// <reference lib="deno.worker" />
import { fitFile, type FitReport, type FitTask } from "./picture_file.ts";

self.onmessage = ({ data: task }: MessageEvent<FitTask>) => {
  let report: FitReport;
  try {
    report = { fitted: fitFile(task) };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    report = { fault: error.message };
  }
  self.postMessage(report);
};
