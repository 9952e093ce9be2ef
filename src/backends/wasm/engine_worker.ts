/** A thread of the team: waits for jobs until it is sent home. */

import { instantiateKernels } from "./kernels.ts";
import { layOut } from "./layout.ts";
import { readJob } from "./job.ts";
import { Runner } from "./runner.ts";
import { Team, TeamFailedError } from "./team.ts";
import type { WorkerReport, WorkerTask } from "./worker_pool.ts";

const scope = self as unknown as {
  onmessage: (event: MessageEvent<WorkerTask>) => void;
  postMessage(report: WorkerReport): void;
};

scope.onmessage = ({ data }) => {
  const { memory, model, threads } = data;
  let team: Team | undefined;
  try {
    const layout = layOut(model, data);
    team = new Team(memory, layout.control, threads);
    const kernels = instantiateKernels(data.module, memory);
    const runner = new Runner({ ...data, kernels, layout, team });
    scope.postMessage({ type: "ready" });
    while (team.awaitJob()) runner.run(readJob(memory, layout.job));
    scope.postMessage({ type: "closed" });
  } catch (error) {
    if (!(error instanceof TeamFailedError)) {
      scope.postMessage({ type: "failed", message: String(error) });
    }
    team?.fail();
  }
};
