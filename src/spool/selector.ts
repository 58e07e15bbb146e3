// Which messages a queue run or a listing means: -qI -qR -qS -qQ with "!", as Sendmail's: substrings, and all that are
// given must hold (semantics section 19).

import type { Entry } from "./entry.ts";

export interface Selector {
  /** "id" -qI, "recipient" -qR, "sender" -qS, "reason" -qQ. */
  readonly kind: "id" | "recipient" | "sender" | "reason";
  /** A part of the value; "" matches every value. */
  readonly text: string;
  readonly negate: boolean;
}

/** Quarantined messages are meant only when a selector asks for a reason. */
export function selects(selectors: readonly Selector[], entry: Entry): boolean {
  const held = entry.hold !== "";
  if (held !== selectors.some((s) => s.kind === "reason" && !s.negate)) {
    if (held || selectors.length > 0) return false;
  }
  return selectors.every((selector) => matches(selector, entry) !== selector.negate);
}

function matches(selector: Selector, entry: Entry): boolean {
  const wanted = selector.text.toLowerCase();
  switch (selector.kind) {
    case "id":
      return entry.id.includes(selector.text);
    case "sender":
      return `<${entry.sender}>`.toLowerCase().includes(wanted);
    case "reason":
      return entry.hold.includes(selector.text);
    case "recipient":
      return recipientsOf(entry).some((address) => `<${address}>`.toLowerCase().includes(wanted));
  }
}

/** The addresses that a message still has to reach. */
export function recipientsOf(entry: Entry): readonly string[] {
  if (entry.deliveries === null) return entry.recipients.map((r) => r.address);
  return entry.deliveries.filter((d) => d.state === "waiting").map((d) => d.address);
}
