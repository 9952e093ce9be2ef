/** A thread of the team: waits for tasks until it is sent home. */

import { instantiateKernels } from "./kernels.ts";
import { layOut } from "./layout.ts";
import { readTask } from "./task.ts";
import { Executor } from "./executor.ts";
import { Team, TeamFailedError } from "./team.ts";
import type { WorkerReport, WorkerSetup } from "./worker_pool.ts";

const scope = self as unknown as {
  onmessage: (event: MessageEvent<WorkerSetup>) => void;
  postMessage(report: WorkerReport): void;
};

scope.onmessage = ({ data }) => {
  const { memory, model, threads } = data;
  let team: Team | undefined;
  try {
    const layout = layOut(model, data);
    team = new Team(memory, layout.control, threads);
    const kernels = instantiateKernels(data.module, memory);
    const executor = new Executor({ ...data, kernels, layout, team });
    scope.postMessage({ type: "ready" });
    while (team.awaitTask()) executor.run(readTask(memory, layout.task));
    scope.postMessage({ type: "closed" });
  } catch (error) {
    if (!(error instanceof TeamFailedError)) {
      scope.postMessage({ type: "failed", message: String(error) });
    }
    team?.fail();
  }
};
