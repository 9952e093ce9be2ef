/** What the operating system's errors mean to a user. */

/** What went wrong, and what to do about it. */
export interface SystemReason {
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

/** What an error of the file system means; undefined where its message says it best. */
export function systemReason(error: Error): SystemReason | undefined {
  const code = (error as Error & { code?: string }).code;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return { found: "The disk is full", advice: "free some space and run again" };
  }
  // Deno gives this one no code.
  if (error.message.startsWith("File too large (os error")) {
    return { found: "The file is larger than may be", advice: "raise ulimit -f and run again" };
  }
  if (code === "EROFS") {
    return { found: "The file system is read-only", advice: "choose another folder" };
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return { found: "Permission denied", advice: "check who owns it, or choose another folder" };
  }
  if (error instanceof Deno.errors.NotFound) {
    return { found: "No such file or folder", advice: "check the path" };
  }
  if (error instanceof Deno.errors.NotADirectory) {
    return { found: "Not a folder", advice: "check the path" };
  }
  if (error instanceof Deno.errors.IsADirectory) {
    return { found: "A folder, not a file", advice: "check the path" };
  }
  if (error instanceof Deno.errors.AlreadyExists) {
    return { found: "It exists already", advice: "choose another name" };
  }
  return undefined;
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
