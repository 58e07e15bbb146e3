// How a client is written wherever people or programs read of it: replies, log, Received, notices. One form, Sendmail's $_:
// `name [192.0.2.1]`, `name [IPv6:2001:db8::1]`, the address alone without a name, and "(may be forged)" where DNS contradicts.

export interface Peer {
  /** The name by DNS; "" or an address in brackets when there is none. */
  readonly name: string;
  /** "" for a local process. */
  readonly address: string;
  readonly resolve: "ok" | "fail" | "forged" | "temp";
}

/** "[192.0.2.1]" and "[IPv6:2001:db8::1]". */
export function bracketed(address: string): string {
  return address.includes(":") ? `[IPv6:${address}]` : `[${address}]`;
}

/** Of a client of the network. */
export function peerText({ name, address, resolve }: Peer): string {
  const literal = bracketed(address);
  if (name === "" || name.startsWith("[")) return literal;
  return `${name} ${literal}${resolve === "forged" ? " (may be forged)" : ""}`;
}
