// The remaining directives: FEATURE, OSTYPE, DOMAIN, VERSIONID, HACK, MASQUERADE_AS, queue groups, milters, the section words,
// and the names that are known and refused. One line each in the tables at the end.

import { ABSENT, type Lookup } from "../base/result.ts";
import { CLASS_DIRECTIVES } from "./classmacros.ts";
import type { Place } from "./configuration.ts";
import { FEATURES } from "./features.ts";
import type { M4Call } from "./m4.ts";
import { MAILER_DIRECTIVES } from "./mailers.ts";
import type { Directive, McState } from "./mcstate.ts";
import { suggestion } from "./nearest.ts";
import { DOMAIN_FILES, SYSTEM_TYPES } from "./ostypes.ts";
import { CONFIG_SECTION, MAILER_SECTION } from "./rawlines.ts";
import { SOCKET_DIRECTIVES } from "./sockets.ts";

/** Reads Sendmail's own m4 files that the administrator added: `domain/name.m4`, `feature/name.m4`. */
export type CfReader = (path: string, where: "beside" | "sendmail") => Lookup<{ file: string; text: string }>;

function unknown(state: McState, place: Place, kind: string, name: string, known: Iterable<string>): void {
  state.error(
    place,
    `${kind.toUpperCase()}(${name}) is unknown: cannot open '${kind}/${name}.m4': No such file or directory${suggestion(name, known)}`,
  );
}

/** Applies one FEATURE; `args` without its name. */
export function applyFeature(state: McState, name: string, args: readonly string[], place: Place): void {
  const entry = FEATURES.get(name);
  if (entry === undefined) {
    unknown(state, place, "feature", name, FEATURES.keys());
    return;
  }
  if (entry.symbol !== "" && !state.build.available(entry.symbol)) {
    state.error(place, state.build.missing(`FEATURE(${name})`));
    return;
  }
  // Red Hat writes FEATURE(`no_default_msa',`dnl').
  const extra = args.slice(entry.argumentsMax).find((text) => !["", "dnl"].includes(text.trim()));
  if (extra !== undefined)
    state.warn(place, `FEATURE(\`${name}') does not read its argument "${extra.trim()}"`);
  entry.apply({ name, argument: (index) => args[index] ?? "", count: args.length, place, state });
  state.used.set(name, place);
}

function feature(call: M4Call, state: McState): undefined {
  const [name = "", ...args] = call.args;
  if (name.trim() === "") state.error(call.place, "FEATURE() names no feature");
  else {
    if (state.mailersBegan !== null) state.error(call.place, "FEATURE() should be before MAILER()");
    applyFeature(state, name.trim(), args, call.place);
  }
  return undefined;
}

/** What Sendmail's ostype/unknown.m4 says. */
const UNKNOWN_SYSTEM =
  "You have not specified a valid operating system type. Use the OSTYPE macro to select a valid system type.";

function osType(call: M4Call, state: McState): undefined {
  const name = (call.args[0] ?? "").trim();
  const type = SYSTEM_TYPES.get(name);
  if (state.ostype !== null) state.error(call.place, `duplicate OSTYPE(${name})`);
  else if (name === "unknown") state.error(call.place, UNKNOWN_SYSTEM);
  else if (type === undefined) unknown(state, call.place, "ostype", name, SYSTEM_TYPES.keys());
  // An unknown type counts as said, so that there is one error and not two.
  state.ostype ??= call.place;
  if (type === undefined) return undefined;
  for (const [macro, value] of type.settings)
    if (macro === "PROCMAIL_MAILER_PATH") state.defineDefault(macro, value, call.place);
    else state.m4.define(macro, `\`${value}'`, call.place);
  for (const [macro, value] of type.defaults ?? []) state.defineDefault(macro, `\`${value}'`, call.place);
  for (const [group, change] of type.flags ?? []) state.changeFlags(group, change);
  state.fromOstype = true;
  if (type.local === "procmail") applyFeature(state, "local_procmail", [], call.place);
  if (type.local === "lmtp" && state.build.available("MAILER_LMTP"))
    applyFeature(state, "local_lmtp", [], call.place);
  state.fromOstype = false;
  return undefined;
}

function domainDirective(readCf: CfReader): Directive["run"] {
  return (call, state) => {
    const name = (call.args[0] ?? "").trim();
    const file = `domain/${name}.m4`;
    const domain = DOMAIN_FILES.get(name);
    const plain = /^[\w.-]+$/.test(name);
    let own = plain ? readCf(file, "beside") : ABSENT;
    // The administrator may have put his file among Sendmail's own, where a host has those.
    if (own.kind === "absent" && domain === undefined && plain) own = readCf(file, "sendmail");
    if (own.kind === "found") {
      // Its text goes nowhere until it says divert(0), and afterwards ours goes where it went before.
      state.m4.input.push(`divert(${state.m4.diversion})`, call.place);
      state.m4.diversion = -1;
      state.m4.input.open(own.value.file, own.value.text);
      return undefined;
    }
    if (own.kind === "tempfail") state.error(call.place, own.reason);
    if (domain === undefined) {
      unknown(state, call.place, "domain", name, DOMAIN_FILES.keys());
      return undefined;
    }
    for (const [macro, value] of domain.settings) state.m4.define(macro, `\`${value}'`, call.place);
    for (const word of domain.features) applyFeature(state, word, [], call.place);
    if (name === "generic") state.addMembers("E", "root");
    return undefined;
  };
}

function hack(call: M4Call, state: McState): undefined {
  const name = (call.args[0] ?? "").trim();
  if (name === "nodns") applyFeature(state, "nodns", [], call.place);
  else state.error(call.place, state.build.missing(`HACK(${name})`));
  return undefined;
}

function queueGroup(call: M4Call, state: McState): undefined {
  const [name = "", ...equates] = call.args.map((text) => text.trim());
  if (!/^[A-Za-z][\w-]*$/.test(name)) state.error(call.place, `QUEUE_GROUP: "${name}" is not a name`);
  else if (state.queueGroups.some((group) => group.name === name))
    state.error(call.place, `QUEUE_GROUP(${name}) already included`);
  else {
    state.queueGroups.push({ name, equates: equates.join(", ") });
    state.warn(call.place, `QUEUE_GROUP(${name}) has no effect: there is one queue, for all mail alike`);
  }
  return undefined;
}

function inputMailFilter(call: M4Call, state: McState): undefined {
  const name = (call.args[0] ?? "").trim();
  state.error(
    call.place,
    `INPUT_MAIL_FILTER(${name}): milters are not in this build; without its filter mail would pass unchecked, so take the line out only if that is meant`,
  );
  return undefined;
}

function mailFilter(call: M4Call, state: McState): undefined {
  const name = (call.args[0] ?? "").trim();
  state.warn(call.place, `MAIL_FILTER(${name}) has no effect: milters are not in this build`);
  return undefined;
}

function versionId(call: M4Call, state: McState): undefined {
  // The main file says it first; files that it includes have their own.
  if (state.versionId === "") state.versionId = (call.args[0] ?? "").trim();
  return undefined;
}

function masqueradeAs(call: M4Call, state: McState): undefined {
  const name = (call.args[0] ?? "").trim();
  if (/[\s,@]/.test(name)) state.error(call.place, `MASQUERADE_AS: "${name}" is not one domain`);
  // m4's own definition, so that MASQUERADE_NAME can be asked for as in Sendmail.
  state.m4.define("MASQUERADE_NAME", name, call.place);
  return undefined;
}

/** A word that begins a section of raw lines. */
function section(name: string, diversion: number, doc: string): Directive {
  return {
    name,
    blind: false,
    usage: "",
    doc,
    run: (call, state) => {
      state.m4.diversion = diversion;
      if (!state.sections.has(diversion)) state.sections.set(diversion, { text: name, place: call.place });
      return undefined;
    },
  };
}

function refusal(name: string, instead: string): Directive {
  return {
    name,
    blind: true,
    usage: "",
    doc: "Not in this build.",
    run: (call, state) => {
      state.error(call.place, `${state.build.missing(name)}${instead}`);
      return undefined;
    },
  };
}

/** Diversions above Sendmail's own nine, so that each rule section keeps its name. */
// biome-ignore format: one word a line.
const SECTIONS: readonly Directive[] = [
  section("LOCAL_CONFIG", CONFIG_SECTION, "Lines of a sendmail.cf: O, C, F, D and T lines are honoured."),
  section("MAILER_DEFINITIONS", MAILER_SECTION, "M lines of network and program mailers."),
  section("LOCAL_RULE_0", 103, "Rules; cannot be honoured."),
  section("LOCAL_RULE_1", 101, "Rules; cannot be honoured."),
  section("LOCAL_RULE_2", 102, "Rules; cannot be honoured."),
  section("LOCAL_RULE_3", 104, "Rules; cannot be honoured."),
  section("LOCAL_RULESETS", 109, "Rules; cannot be honoured."),
  section("LOCAL_NET_CONFIG", 110, "Rules; cannot be honoured."),
  section("LOCAL_DNSBL", 111, "Rules; cannot be honoured."),
  section("LOCAL_UUCP", 112, "Rules; cannot be honoured."),
  section("LOCAL_SRV_FEATURES", 113, "Rules; cannot be honoured."),
  section("LOCAL_CLT_FEATURES", 114, "Rules; cannot be honoured."),
  section("LOCAL_TRY_TLS", 115, "Rules; cannot be honoured."),
  section("LOCAL_TLS_RCPT", 116, "Rules; cannot be honoured."),
  section("LOCAL_TLS_CLIENT", 117, "Rules; cannot be honoured."),
  section("LOCAL_TLS_SERVER", 118, "Rules; cannot be honoured."),
];

/** Every directive of the language; `readCf` reads m4 files beside the .mc. */
export function directives(readCf: CfReader): readonly Directive[] {
  const word = (name: string, usage: string, doc: string, run: Directive["run"]): Directive => ({
    name,
    blind: true,
    usage,
    doc,
    run,
  });
  // biome-ignore format: one directive a line.
  return [
    word("FEATURE", "name, argument, ...", "Turns a feature on.", feature),
    word("OSTYPE", "name", "The system type; linux makes procmail the local mailer.", osType),
    word("DOMAIN", "name", "Settings of a domain, from domain/name.m4.", domainDirective(readCf)),
    word("VERSIONID", "text", "A comment.", versionId),
    word("HACK", "name", "Temporary features; nodns only.", hack),
    word("MASQUERADE_AS", "domain", "The domain that senders appear to come from.", masqueradeAs),
    word("QUEUE_GROUP", "name, equates", "A queue group.", queueGroup),
    word("INPUT_MAIL_FILTER", "name, equates", "A milter; not in this build.", inputMailFilter),
    word("MAIL_FILTER", "name, equates", "A milter that nothing uses yet.", mailFilter),
    ...CLASS_DIRECTIVES,
    ...SOCKET_DIRECTIVES,
    ...MAILER_DIRECTIVES,
    ...SECTIONS,
    refusal("LDAPROUTE_DOMAIN", ""),
    refusal("LDAPROUTE_DOMAIN_FILE", ""),
    refusal("LDAPROUTE_EQUIVALENT", ""),
    refusal("LDAPROUTE_EQUIVALENT_FILE", ""),
    refusal("SITE", ": there is no UUCP; use mailertable"),
    refusal("SITECONFIG", ": there is no UUCP; use mailertable"),
    refusal("UUCPSMTP", ": there is no UUCP; use mailertable"),
  ];
}
