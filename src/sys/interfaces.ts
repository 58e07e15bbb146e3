// The names and addresses of this machine: interface addresses, and what the hosts file calls them.
// Sendmail puts them into class w at start (DontProbeInterfaces off).

import { networkInterfaces } from "node:os";
import { readFileLookup } from "./files.ts";

/** Lines of a hosts file that are read; more is somebody's block list. */
const HOSTS_LINES_MAX = 10_000;

/** Interface addresses as "[127.0.0.1]" ("[IPv6:::1]" for IPv6), then the names that `hostsFile` gives them and `hostName`. */
export function interfaceNames(hostsFile: string, hostName: string): readonly string[] {
  const addresses = new Set<string>();
  for (const list of Object.values(networkInterfaces()))
    for (const entry of list ?? []) addresses.add((entry.address.split("%")[0] ?? "").toLowerCase());
  const names = [...addresses].map((a) => (a.includes(":") ? `[IPv6:${a}]` : `[${a}]`));
  const hosts = readFileLookup(hostsFile);
  if (hosts.kind !== "found") return names;
  for (const line of hosts.value.toString("latin1").split("\n").slice(0, HOSTS_LINES_MAX)) {
    const [address = "", ...given] = (line.split("#")[0] ?? "").trim().split(/\s+/);
    // Also the line of our own name, whose address (Debian's 127.0.1.1) no interface lists.
    const ours = given.some((n) => n.toLowerCase() === hostName.toLowerCase());
    if (ours || addresses.has(address.toLowerCase())) names.push(...given);
  }
  return [...new Set(names)];
}

/** The host's full name: the first name with a dot that the hosts file has for `short`, else `short` itself. */
export function fullHostName(short: string, hostsFile: string): string {
  if (short.includes(".")) return short;
  const hosts = readFileLookup(hostsFile);
  if (hosts.kind !== "found") return short;
  for (const line of hosts.value.toString("latin1").split("\n").slice(0, HOSTS_LINES_MAX)) {
    const names = (line.split("#")[0] ?? "").trim().split(/\s+/).slice(1);
    if (names.some((n) => n.toLowerCase() === short.toLowerCase())) {
      const full = names.find(
        (n) => n.includes(".") && n.toLowerCase().startsWith(`${short.toLowerCase()}.`),
      );
      if (full !== undefined) return full;
    }
  }
  return short;
}
