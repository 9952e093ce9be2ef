/** Network namespaces that stand for separate machines: a bridge, and a shaped link to each. */

/** A shaped link between hosts. */
export interface Link {
  readonly name: string;
  /** As `tc` writes it; undefined for as fast as it goes. */
  readonly rate?: string;
}

const BRIDGE = "lenet-br";
const NETWORK = "10.77.0";

/** Addresses of the first hosts. */
export function addressesOf(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `${NETWORK}.${n + 1}`);
}

/** Makes hosts; they are gone when the result is disposed.
 *
 * @throws {Error} If this user may not make network namespaces.
 */
export async function makeHosts(count: number, { rate }: Link): Promise<AsyncDisposable> {
  const hosts = {
    async [Symbol.asyncDispose]() {
      for (const address of addressesOf(count)) await attempt(`ip netns del lenet-${address}`);
      await attempt(`ip link del ${BRIDGE}`);
    },
  };
  await hosts[Symbol.asyncDispose](); // what an earlier run may have left
  try {
    await run(`ip link add ${BRIDGE} type bridge`);
    await run(`ip addr add ${NETWORK}.254/24 dev ${BRIDGE}`);
    await run(`ip link set ${BRIDGE} up`);
    for (const [n, address] of addressesOf(count).entries()) {
      const [outer, inner, space] = [`lenet-o${n}`, `lenet-i${n}`, `lenet-${address}`];
      await run(`ip netns add ${space}`);
      await run(`ip link add ${outer} type veth peer name ${inner}`);
      await run(`ip link set ${inner} netns ${space}`);
      await run(`ip link set ${outer} master ${BRIDGE} up`);
      await run(`ip -n ${space} addr add ${address}/24 dev ${inner}`);
      await run(`ip -n ${space} link set ${inner} up`);
      await run(`ip -n ${space} link set lo up`);
      if (rate === undefined) continue;
      const shape = `root tbf rate ${rate} burst 128kb latency 50ms`;
      await run(`tc qdisc add dev ${outer} ${shape}`);
      await run(`ip netns exec ${space} tc qdisc add dev ${inner} ${shape}`);
    }
    return hosts;
  } catch (error) {
    await hosts[Symbol.asyncDispose]();
    throw error;
  }
}

async function run(line: string): Promise<void> {
  const [program, ...args] = line.split(" ");
  const { success, stderr } = await new Deno.Command(program, { args }).output();
  if (success) return;
  throw new Error(`Cannot run "${line}": ${new TextDecoder().decode(stderr).trim()}`);
}

async function attempt(line: string): Promise<void> {
  const [program, ...args] = line.split(" ");
  await new Deno.Command(program, { args }).output();
}
