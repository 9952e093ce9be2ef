/** The thread of a page's laboratory. */

/// <reference lib="dom" />
import { type LabEvent, Laboratory } from "./laboratory.ts";
import { serveWorker } from "./remote.ts";

// Browsers of before September 2025 lack them; kernels and pages are base64.
Uint8Array.fromBase64 ??= (text: string) =>
  Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
Uint8Array.prototype.toBase64 ??= function (this: Uint8Array) {
  let text = "";
  for (const byte of this) text += String.fromCharCode(byte);
  return btoa(text);
};

serveWorker<LabEvent>((emit) => new Laboratory(emit));
