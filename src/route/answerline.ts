// The lines of sendmail -bv (semantics section 25): what is wrong with an address, and where mail to it would go.
// Hosts that the DNS or our own names made canonical are shown with the final dot, as Sendmail shows them.

import { joinTokens } from "../mail/address.ts";
import type { Delivery, ExpansionError } from "./expand.ts";
import { prefixed } from "./resolve.ts";

/** The line of -bv for an error: text without codes, with the address where Sendmail prints it. */
export function errorLine(error: ExpansionError): string {
  return `${error.where}${prefixed(error.reply, error.address).lines.join(" ")}`;
}

/** The line of -bv for a delivery. */
export function deliverableLine(delivery: Delivery): string {
  const dot = delivery.canonical ? "." : "";
  const host = delivery.host === "" ? "" : `, host ${delivery.host}${dot}`;
  return `${delivery.address}... deliverable: mailer ${delivery.mailer}${host}, user ${joinTokens([delivery.user])}`;
}
