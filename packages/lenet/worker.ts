/** A thread of the `wasm` engine, as the npm package starts it. */

import "./worker_scope.ts";
import "../../src/backends/wasm/engine_worker.ts";
