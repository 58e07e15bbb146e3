// The lines of sendmail -bv (semantics section 25): what is wrong with an address, and where mail to it would go.
// Hosts that the DNS or our own names made canonical are shown with the final dot, as Sendmail shows them.

import { joinTokens } from "../mail/address.ts";
import type { Delivery, ExpansionError } from "./expansion.ts";
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

/** An address, program, path or list as people write them into such files. */
const WRITTEN = /^(?:"?[|/]|:include:|\\?<?[\w!#$%&'*+\-/=?^`{|}~.]{1,64}(?:@[\w.\-:[\]]{1,255})?>?$)/i;

/**
 * What strangers may hear of an error: words of a file that are no address stay in the file, whatever it was that somebody took for a
 * list. Its place and the name that it came through say enough to whoever may read it.
 */
export function discreet(error: ExpansionError): ExpansionError {
  if (error.where === "" || WRITTEN.test(error.address)) return error;
  return { ...error, address: error.via };
}
