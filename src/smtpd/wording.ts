// Small pieces of the manner of speaking that Sendmail has:
// how a client is named in replies, logs and Received, and how long lines are shown back.

import { peerText } from "../mail/peer.ts";
import type { Client } from "../policy/policy.ts";

/** Sendmail's MAXSHORTSTR: what of a client's line is shown back. */
const SHOWN_CHARACTERS_MAX = 203;

/** Sendmail's shortenstring(): the middle of a long text goes. */
export function shortened(text: string): string {
  if (text.length <= SHOWN_CHARACTERS_MAX) return text;
  const half = Math.floor((SHOWN_CHARACTERS_MAX - 3) / 2);
  return `${text.slice(0, half)}...${text.slice(text.length - half)}`;
}

/** C's isspace() for ASCII. */
export function isBlank(code: number): boolean {
  return code === 32 || (code >= 9 && code <= 13);
}

/** A client of the network (mail/peer.ts); `root@localhost` for a local process. */
export function describe(client: Client, local: boolean): string {
  return local ? client.name : peerText(client);
}
