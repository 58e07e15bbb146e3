// compat_check: pairs of sender and recipient that may not write to each other, asked at delivery (keys `Compat:sender<@>recipient`,
// semantics section 15, end). Values DISCARD, TEMP:text and ERROR:text; others have no effect.

import type { Site } from "../route/site.ts";
import { lookupExact, tagOnly } from "./access.ts";
import { type Decision, PASS, refuseWith, UNREADABLE } from "./decision.ts";

/** May mail of `sender` be delivered to `recipient`? Addresses without brackets. */
export function checkCompat(site: Site, sender: string, recipient: string): Decision {
  if (!site.config.features.compatCheck || site.tables.access === null) return PASS;
  const answer = lookupExact(site, `${sender}<@>${recipient}`, tagOnly("Compat"));
  if (answer.kind === "temp") return UNREADABLE;
  if (answer.kind === "none") return PASS;
  const [, word = "", text = ""] = /^([A-Z]+)(?::(.*))?$/s.exec(answer.value.trim()) ?? [];
  switch (word) {
    case "DISCARD":
      return { kind: "discard" };
    case "TEMP":
      return refuseWith("tempfail", `451 ${text} error from check_compat. Try again later`);
    case "ERROR":
      return refuseWith("unavailable", `${text} error from check_compat`);
    default:
      return PASS;
  }
}
