// What the checks say among themselves, and how it becomes the reply that the client sees (semantics section 13, values and texts).
// One place for what OK, REJECT, DISCARD, ERROR: and bare texts mean, so that connection, sender and recipient agree.

import { type Reply, reply } from "../mail/reply.ts";
import { errorReply, prefixed } from "../route/resolve.ts";
import type { Site } from "../route/site.ts";
import type { AccessAnswer } from "./access.ts";
import { OK, type Verdict } from "./policy.ts";

/** The result of one check: "pass" goes on with the next, "accept" ends all of its kind. */
export type Decision =
  | { readonly kind: "pass" }
  | { readonly kind: "accept" }
  | { readonly kind: "refuse"; readonly reply: Reply }
  | { readonly kind: "discard" }
  | { readonly kind: "quarantine"; readonly reason: string };

export const PASS: Decision = { kind: "pass" };
export const ACCEPT: Decision = { kind: "accept" };

export function refuse(code: number, enhanced: string, text: string): Decision {
  return { kind: "refuse", reply: reply(code, enhanced, text) };
}

/** `$#error $@ status $: text`: the text may begin with a code of its own. */
export function refuseWith(status: string, text: string): Decision {
  return { kind: "refuse", reply: errorReply(status, text).reply };
}

/** The lookup could not be made. */
export const UNREADABLE: Decision = refuse(451, "4.3.0", "Temporary system failure. Please try again later.");

const DEFAULT_REJECT = "550 Access denied";

/** confREJECT_MSG as a refusal: the built-in text has 5.7.1, one's own has what it says. */
export function rejected(site: Site): Decision {
  const text = site.config.rejectMessage;
  return refuseWith(
    text === "" || text === DEFAULT_REJECT ? "5.7.1" : "",
    text === "" ? DEFAULT_REJECT : text,
  );
}

/** `ERROR:x.y.z:text` and `ERROR:text` in a value; null when it is neither. */
function errorValue(value: string): Decision | null {
  if (!value.startsWith("ERROR:")) return null;
  const rest = value.slice(6);
  const coded = /^(\d)\.(\d{1,3})\.(\d{1,3}):([\s\S]+)$/.exec(rest);
  if (coded === null) return rest.trim() === "" ? null : refuseWith("", rest.trimStart());
  return refuseWith(`${coded[1]}.${coded[2]}.${coded[3]}`, (coded[4] ?? "").trimStart());
}

/** What an access value means; `reject` is the refusal that REJECT stands for here. */
export function fromAccess(answer: AccessAnswer, reject: () => Decision): Decision {
  if (answer.kind === "none") return PASS;
  if (answer.kind === "temp") return UNREADABLE;
  const value = answer.value.trim();
  if (value === "OK" || value === "RELAY") return ACCEPT;
  if (value === "REJECT") return reject();
  if (value === "DISCARD") return { kind: "discard" };
  if (value.startsWith("QUARANTINE:")) return { kind: "quarantine", reason: value.slice(11) };
  // Anything else is the text of a refusal.
  return errorValue(value) ?? refuseWith("", value);
}

/** Sendmail shows long addresses shortened (MAXSHORTSTR). */
const SHOWN_ADDRESS_CHARS_MAX = 203;

/** A long address as replies show it. */
export function shortened(typed: string): string {
  if (typed.length <= SHOWN_ADDRESS_CHARS_MAX) return typed;
  const half = Math.floor((SHOWN_ADDRESS_CHARS_MAX - 3) / 2);
  return `${typed.slice(0, half)}...${typed.slice(-half)}`;
}

/** The decision as smtpd/ takes it, with `<typed>... ` before the text where it belongs ("" for the connection as a whole). */
export function verdictOf(decision: Decision, typed: string): Verdict {
  switch (decision.kind) {
    case "refuse":
      return {
        kind: "reject",
        reply: prefixed(decision.reply, shortened(typed)),
        // Only a connection as a whole is ended by a 421; to MAIL and RCPT it is an answer like others, as Sendmail has it.
        close: decision.reply.code === 421 && typed === "",
      };
    case "discard":
      return { kind: "discard" };
    case "quarantine":
      return { kind: "quarantine", reason: decision.reason };
    default:
      return OK;
  }
}
