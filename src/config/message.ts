// How a message about a configuration is printed: `file:line:column: reason`, one line, control bytes replaced.
// The one form that postern check, m4 and the daemon use.

import type { Place } from "./configuration.ts";

/** `file:line:column: text`, or the text alone when it has no place. */
export function formatMessage(place: Place | null, message: string): string {
  const clean = message.replace(/[\x00-\x1f\x7f]+/g, " ");
  return place === null ? clean : `${place.file}:${place.line}:${place.column}: ${clean}`;
}
