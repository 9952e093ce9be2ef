/** Files and folders that are dropped on the page or chosen: pictures, each with its class. */

/// <reference lib="dom" />

/** A file and the class that it is of. */
export interface ClassedFile {
  readonly className: string;
  readonly file: File;
}

/** The files of a drop, those of folders included. */
export async function droppedFiles(transfer: DataTransfer, usual: string): Promise<ClassedFile[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry())
    .filter((entry) => entry !== null);
  const found = entries.length > 0
    ? (await Promise.all(entries.map((entry) => filesOf(entry)))).flat()
    : [...transfer.files].map((file) => ({ path: file.name, file }));
  return classed(found, usual);
}

/** The files of a folder that was chosen. */
export function chosenFiles(files: FileList, usual: string): ClassedFile[] {
  return classed(
    [...files].map((file) => ({ path: file.webkitRelativePath || file.name, file })),
    usual,
  );
}

/** The innermost folder of a file is its class; a file in none is of the usual class. */
function classed(
  files: readonly { readonly path: string; readonly file: File }[],
  usual: string,
): ClassedFile[] {
  return files
    .filter(({ path }) => !path.split("/").some((part) => part.startsWith(".")))
    .map(({ path, file }) => ({ className: path.split("/").at(-2) ?? usual, file }));
}

async function filesOf(
  entry: FileSystemEntry,
  folder = "",
): Promise<{ path: string; file: File }[]> {
  const path = `${folder}${entry.name}`;
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject)
    );
    return [{ path, file }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const inside: FileSystemEntry[] = [];
  // A reader gives some at a time, until there are none.
  while (true) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject)
    );
    if (some.length === 0) break;
    inside.push(...some);
  }
  return (await Promise.all(inside.map((one) => filesOf(one, `${path}/`)))).flat();
}
