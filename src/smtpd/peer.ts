// Who is calling: the client's name by PTR and forward lookup, with Sendmail's four states (semantics section 14, end).
// Names come from whoever owns the address: what is not shaped like a host name is no name (reliability INJ-07).

import { bracketed } from "../mail/peer.ts";
import type { Resolver } from "../sys/resolver.ts";

export interface PeerName {
  /** Verified name, "[1.2.3.4]" without one; the unverified PTR name when forged. */
  readonly name: string;
  readonly resolve: "ok" | "fail" | "forged" | "temp";
}

/** An address of one interface can have more names than we care to verify. */
const PTR_NAMES_MAX = 4;
const HOST_NAME =
  /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?$/;

/** IPv4 in IPv6 clothing (::ffff:1.2.3.4, what a dual-stack socket reports) is IPv4; zone indices go. */
export function plainAddress(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  const plain = mapped?.[1] ?? address;
  const percent = plain.indexOf("%");
  return percent < 0 ? plain : plain.slice(0, percent);
}

/** The name of `address`. Never fails: what DNS cannot say is one of the states. */
export async function identifyPeer(resolver: Resolver, address: string): Promise<PeerName> {
  const unknown = bracketed(address);
  const pointers = await resolver.ptr(address);
  if (pointers.kind === "tempfail") return { name: unknown, resolve: "temp" };
  if (pointers.kind === "absent") return { name: unknown, resolve: "fail" };
  let forged = "";
  let doubt = false;
  for (const pointer of pointers.value.slice(0, PTR_NAMES_MAX)) {
    if (!HOST_NAME.test(pointer) || /^[0-9.]+$/.test(pointer)) continue;
    const name = pointer.replace(/\.$/, "");
    const forward = await (address.includes(":") ? resolver.aaaa(name) : resolver.a(name));
    if (forward.kind === "tempfail") doubt = true;
    else if (forward.kind === "found" && forward.value.includes(address)) return { name, resolve: "ok" };
    else if (forward.kind === "found") forged ||= name;
  }
  if (forged !== "") return { name: forged, resolve: "forged" };
  return { name: unknown, resolve: doubt ? "temp" : "fail" };
}
