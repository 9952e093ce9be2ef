/** Calls of an object in another thread, and what it tells by itself. */

/// <reference lib="dom" />

interface Call {
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: { readonly name: string; readonly message: string };
}

/** The methods of an object as they are from another thread. */
export type Remote<Target> = {
  readonly [Name in keyof Target]: Target[Name] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Promise<Awaited<Result>>
    : never;
};

/** Calls the methods of the object that a worker serves.
 *
 * @param onEvent Hears what the object tells by itself.
 */
export function callWorker<Target, Event>(
  worker: Worker,
  onEvent: (event: Event) => void,
): Remote<Target> {
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let lastId = 0;
  worker.addEventListener(
    "message",
    ({ data }: MessageEvent<Answer | { readonly event: Event }>) => {
      if ("event" in data) return onEvent(data.event);
      const answer = waiting.get(data.id);
      waiting.delete(data.id);
      if (data.error === undefined) return answer?.resolve(data.result);
      answer?.reject(Object.assign(new Error(data.error.message), { name: data.error.name }));
    },
  );
  worker.addEventListener("error", (event) => {
    for (const { reject } of waiting.values()) reject(new Error(event.message));
    waiting.clear();
  });
  const call = (method: string) => (...args: unknown[]) => {
    const answer = Promise.withResolvers<unknown>();
    waiting.set(++lastId, answer);
    worker.postMessage({ id: lastId, method, args } satisfies Call);
    return answer.promise;
  };
  return new Proxy({}, { get: (_, method) => call(String(method)) }) as Remote<Target>;
}

/** Serves an object's methods to the thread that started this worker; returns what tells it events. */
export function serveWorker<Event>(
  make: (emit: (event: Event) => void) => object,
): void {
  const scope = self as unknown as Worker;
  const target = make((event) => scope.postMessage({ event })) as Readonly<
    Record<string, (...args: readonly unknown[]) => unknown>
  >;
  scope.addEventListener("message", async ({ data: { id, method, args } }: MessageEvent<Call>) => {
    try {
      scope.postMessage({ id, result: await target[method](...args) } satisfies Answer);
    } catch (error) {
      const { name, message } = error instanceof Error ? error : new Error(String(error));
      scope.postMessage({ id, error: { name, message } } satisfies Answer);
    }
  });
}
