/** What the operating system's errors mean to a user. */

/** What went wrong, and what to do about it. */
interface SystemReason {
  readonly found: string;
  readonly advice: string;
}

/** Whether an error is the operating system's, or a permission's, rather than a program's fault. */
export function isSystemError(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  // A full disk, among others, has no class of its own.
  const { code } = error as Error & { code?: unknown };
  return typeof code === "string" && /^E[A-Z0-9]+$/.test(code) ||
    Object.values(Deno.errors).some((kind) => error instanceof kind);
}

const DISK_FULL = { found: "The disk is full", advice: "free some space and run again" };

/** By the system's code, or the name of Deno's class. */
const REASONS: ReadonlyMap<string | undefined, SystemReason> = new Map([
  ["ENOSPC", DISK_FULL],
  ["EDQUOT", DISK_FULL],
  ["EROFS", { found: "The file system is read-only", advice: "choose another folder" }],
  ["PermissionDenied", {
    found: "Permission denied",
    advice: "check who owns it, or choose another folder",
  }],
  ["NotFound", { found: "No such file or folder", advice: "check the path" }],
  ["NotADirectory", { found: "Not a folder", advice: "check the path" }],
  ["IsADirectory", { found: "A folder, not a file", advice: "check the path" }],
  ["AlreadyExists", { found: "It exists already", advice: "choose another name" }],
]);

/** What an error of the file system means; undefined where its message says it best. */
export function systemReason(error: Error): SystemReason | undefined {
  const { code, name, message } = error as Error & { code?: string };
  // Deno gives this one no code.
  if (message.startsWith("File too large (os error")) {
    return { found: "The file is larger than may be", advice: "raise ulimit -f and run again" };
  }
  return REASONS.get(code) ?? REASONS.get(name);
}

/** The reason why a file cannot be read, to stand behind its name and a colon. */
export function readingReason(error: Error): string {
  if (error instanceof Deno.errors.NotCapable) {
    return "no permission to read it; run again with --allow-read";
  }
  const system = systemReason(error);
  if (system === undefined) return withoutNumber(error.message);
  return `${system.found.charAt(0).toLowerCase()}${system.found.slice(1)}; ${system.advice}`;
}

/** A message without the number that the system has for its error. */
export function withoutNumber(message: string): string {
  return message.replace(/ \(os error \d+\)/, "");
}
