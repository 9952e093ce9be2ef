// deno-lint-ignore-file no-console
/** Makes the runtime of compiled programs on networks that reach only npm: prints its path.
 *
 *     deno run --allow-read --allow-write=FOLDER --allow-run=npm,tar .ci/denort.ts FOLDER
 *
 * An npm package holds a program that `deno compile` made for Linux x64; what remains without what
 * was appended is the runtime, byte for byte, as its digest shows.
 */
import { createHash } from "node:crypto";

const PACKAGE = "@chelonia/cli-x64-linux@3.4.0";
const PROGRAM = "package/chel";
const SHA256 = "723d45cca4f68bd66652da1e0d45562b0700317c1535981035f50f078785a131";

/** ELF64: where its header holds what, and sizes. */
const HEADER = { programs: 0x20, sections: 0x28, programCount: 0x38, sectionCount: 0x3c };
const NAMES_INDEX = 0x3e;
const HEADER_BYTES = 64;
const SECTION_BYTES = 64;
const NO_BITS = 8;
/** Appending adds two sections, and the names of both to the table of names. */
const ADDED_SECTIONS = 2;
const ADDED_PROGRAMS = 2;
const ADDED_NAMES = ".note.sui\0.sui.phdrs\0";

const folder = Deno.args[0] ?? ".";
const path = `${folder}/denort`;
if (!await isRuntime(path)) await make();
console.log(await Deno.realPath(path));

async function make(): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  await run("npm", ["pack", PACKAGE, "--silent", "--ignore-scripts", "--pack-destination", folder]);
  const archive = (await Array.fromAsync(Deno.readDir(folder)))
    .find(({ name }) => name.endsWith(".tgz"))!.name;
  await run("tar", ["-xzf", `${folder}/${archive}`, "-C", folder, PROGRAM]);
  await Deno.writeFile(path, withoutProgram(await Deno.readFile(`${folder}/${PROGRAM}`)), {
    mode: 0o755,
  });
  if (!await isRuntime(path)) throw new Error(`Cannot use ${path}: its digest is not ${SHA256}`);
  await Deno.remove(`${folder}/${archive}`);
  await Deno.remove(`${folder}/package`, { recursive: true });
}

/** The file as it was before a program was appended: shorter, with its header restored.
 *
 * Appending left the old program headers behind the ELF header, and moved the section headers, which
 * were behind the table of names, which was behind all other sections.
 */
function withoutProgram(file: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const view = new DataView(file.buffer);
  const table = Number(view.getBigUint64(HEADER.sections, true));
  const count = view.getUint16(HEADER.sectionCount, true) - ADDED_SECTIONS;
  const names = view.getUint16(NAMES_INDEX, true);
  let end = 0;
  let namesBytes = 0;
  for (let index = 0; index < count; index++) {
    const section = table + index * SECTION_BYTES;
    const type = view.getUint32(section + 4, true);
    const offset = Number(view.getBigUint64(section + 24, true));
    const size = Number(view.getBigUint64(section + 32, true));
    if (index === names) namesBytes = size - ADDED_NAMES.length;
    else if (type !== NO_BITS) end = Math.max(end, offset + size);
  }
  const sections = Math.ceil((end + namesBytes) / 8) * 8;
  view.setBigUint64(HEADER.programs, BigInt(HEADER_BYTES), true);
  view.setBigUint64(HEADER.sections, BigInt(sections), true);
  view.setUint16(HEADER.sectionCount, count, true);
  view.setUint16(
    HEADER.programCount,
    view.getUint16(HEADER.programCount, true) - ADDED_PROGRAMS,
    true,
  );
  return file.subarray(0, sections + count * SECTION_BYTES);
}

async function isRuntime(file: string): Promise<boolean> {
  const bytes = await Deno.readFile(file).catch(() => new Uint8Array());
  return createHash("sha256").update(bytes).digest("hex") === SHA256;
}

async function run(program: string, args: string[]): Promise<void> {
  const { success } = await new Deno.Command(program, { args, stdout: "null" }).output();
  if (!success) throw new Error(`${program} ${args[0]} failed`);
}
