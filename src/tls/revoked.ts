// Serial numbers that revocation lists name, for sessions that were verified before their certificate was revoked.
// OpenSSL judges each handshake; this only asks again later. Lists come from trusted files that OpenSSL has accepted.

import { children, DER, type Element, elementAt } from "./der.ts";
import { readName } from "./distinguished.ts";

/** Entries of one list. */
const ENTRIES_MAX = 200_000;
const FIELDS_MAX = 16;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;

/** How a certificate is named in the set: issuer as the access table writes it, serial number in hex capitals. */
export function revocationKey(issuerLine: string, serial: string): string {
  return `${issuerLine} ${serial.toUpperCase().replace(/^0+/, "")}`;
}

function isTime(element: Element | undefined): boolean {
  return element?.tag === UTC_TIME || element?.tag === GENERALIZED_TIME;
}

/** The entries of a list, and its issuer's name. */
function readList(der: Buffer): { readonly issuer: string; readonly serials: readonly string[] } | null {
  const outer = elementAt(der, 0, der.length);
  const body = outer === null ? null : elementAt(der, outer.start, outer.end);
  const fields = body === null ? null : children(der, body, FIELDS_MAX);
  if (fields === null) return null;
  // version and nextUpdate may be missing, and so may the entries.
  let at = fields[0]?.tag === DER.integer ? 1 : 0;
  const issuer = fields[at + 1];
  at += 3;
  if (isTime(fields[at])) at++;
  const list = fields[at];
  if (issuer === undefined) return null;
  const entries = list?.tag === DER.sequence ? children(der, list, ENTRIES_MAX) : [];
  if (entries === null) return null;
  const serials: string[] = [];
  for (const entry of entries) {
    const serial = elementAt(der, entry.start, entry.end);
    if (serial?.tag === DER.integer) serials.push(der.toString("hex", serial.start, serial.end));
  }
  return { issuer: readName(der, issuer).line, serials };
}

/** Every certificate that the lists (PEM) revoke. */
export function revokedIn(lists: readonly Buffer[]): ReadonlySet<string> {
  const revoked = new Set<string>();
  for (const pem of lists) {
    const read = readList(Buffer.from(pem.toString("latin1").replace(/-----[^-]+-----/g, ""), "base64"));
    for (const serial of read?.serials ?? []) revoked.add(revocationKey(read?.issuer ?? "", serial));
  }
  return revoked;
}
