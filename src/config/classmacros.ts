// Directives that add names to classes, one line each: domains, users, relays, virtual hosts, and the files that hold them.
// Names are separated by blanks (C lines); a second argument is not read by Sendmail, so it is warned of.

import type { Place } from "./configuration.ts";
import type { Directive, McState } from "./mcstate.ts";

/** Directive, class, and whether the argument is a file. */
type Row = readonly [name: string, classes: readonly string[], file: boolean, doc: string];

// biome-ignore format: one directive a line.
const ROWS: readonly Row[] = [
  ["LOCAL_DOMAIN", ["w"], false, "Names that are us."],
  ["LOCAL_USER", ["L"], false, "Users who are never sent to MAIL_HUB."],
  ["LOCAL_USER_FILE", ["L"], true, "The same from a file."],
  ["EXPOSED_USER", ["E"], false, "Users whose address is never masqueraded."],
  ["EXPOSED_USER_FILE", ["E"], true, "The same from a file."],
  ["MASQUERADE_DOMAIN", ["M"], false, "Domains that are masqueraded."],
  ["MASQUERADE_DOMAIN_FILE", ["M"], true, "The same from a file."],
  ["MASQUERADE_EXCEPTION", ["N"], false, "Domains (with sub-domains) that are not masqueraded."],
  ["MASQUERADE_EXCEPTION_FILE", ["N"], true, "The same from a file."],
  ["RELAY_DOMAIN", ["R"], false, "Domains, hosts and networks that may relay and be relayed to."],
  ["RELAY_DOMAIN_FILE", ["R"], true, "The same from a file."],
  // Sendmail puts virtual hosts into class R as well: mail for them is relayed.
  ["VIRTUSER_DOMAIN", ["VirtHost", "R"], false, "Virtual domains for virtusertable."],
  ["VIRTUSER_DOMAIN_FILE", ["VirtHost", "R"], true, "The same from a file."],
  ["GENERICS_DOMAIN", ["G"], false, "Domains that genericstable applies to."],
  ["GENERICS_DOMAIN_FILE", ["G"], true, "The same from a file."],
  ["CANONIFY_DOMAIN", ["Canonify"], false, "Names to canonify in spite of nocanonify."],
  ["CANONIFY_DOMAIN_FILE", ["Canonify"], true, "The same from a file."],
  ["TRUST_AUTH_MECH", ["TrustAuthMech"], false, "AUTH mechanisms that permit relaying."],
];

export const CLASS_DIRECTIVES: readonly Directive[] = ROWS.map(([name, classes, file, doc]) => ({
  name,
  blind: true,
  usage: file ? "path" : "names",
  doc,
  run: (call, state) => {
    const text = call.args[0] ?? "";
    if (text.trim() === "") state.warn(call.place, `${name} without a name has no effect`);
    if (call.args.slice(1).some((more) => more.trim() !== ""))
      state.warn(call.place, `${name} reads its first argument only; separate names by blanks`);
    state.used.set(name, call.place);
    for (const target of classes) {
      if (file) {
        if (text.trim() !== "") state.addClassFile(target, text, call.place);
      } else state.addMembers(target, name === "TRUST_AUTH_MECH" ? text.replaceAll(",", " ") : text);
    }
    if (!file && name !== "TRUST_AUTH_MECH" && text.includes(","))
      state.warn(call.place, `${name}: names are separated by blanks, the comma becomes part of a name`);
    if (!file) warnMembers(state, call.place, name, text);
    return undefined;
  },
}));

/** Members that match nothing in Sendmail, because a class is a set of names and not of patterns. */
function warnMembers(state: McState, place: Place, name: string, text: string): void {
  for (const member of text.split(/\s+/)) {
    const network = /^(\d+(?:\.\d+)*)\/(\d+)$/.exec(member);
    if (network !== null) {
      const labels = (network[1] ?? "").split(".").slice(0, Math.floor(Number(network[2]) / 8));
      const instead = Number(network[2]) % 8 === 0 && labels.length > 0 ? `; write ${labels.join(".")}` : "";
      state.warn(
        place,
        `${name}: ${member} matches nothing, networks are written as leading numbers${instead}`,
      );
    } else if (member.includes("*"))
      state.warn(place, `${name}: ${member} matches nothing, there are no patterns in a class`);
  }
}
