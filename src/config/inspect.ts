// What cannot be right in a configuration that compiles: files that it wants and that are not there, and local mailboxes that
// nobody on an appliance reads. For postern check and for building config images; the daemon does not ask.

import type { Lookup } from "../base/result.ts";
import type { SourceReader } from "./compile.ts";
import type { Configuration, MapSpec } from "./configuration.ts";

/** Something found; `fatal` when the gateway would not start or would lose decisions. */
export interface Finding {
  readonly fatal: boolean;
  /** The file it is about, as the configuration names it. */
  readonly file: string;
  readonly message: string;
}

function reasonOf(lookup: Lookup<unknown>): string {
  if (lookup.kind === "found") return "";
  return lookup.kind === "absent" ? "cannot open: No such file or directory" : lookup.reason;
}

function mapsOf(configuration: Configuration): [name: string, map: MapSpec][] {
  const { features } = configuration;
  const maps: [string, MapSpec | null | undefined][] = [
    ["access_db", features.accessDb?.map],
    ["authinfo", features.authInfo],
    ["domaintable", features.domainTable],
    ["genericstable", features.genericsTable],
    ["mailertable", features.mailerTable],
    ["virtusertable", features.virtUserTable],
  ];
  return maps.flatMap(([name, map]) => (map === null || map === undefined ? [] : [[name, map]]));
}

/** Files that are named and missing. `reader` takes paths as the configuration writes them. */
export function inspectFiles(configuration: Configuration, reader: SourceReader): Finding[] {
  const findings: Finding[] = [];
  for (const { class: name, path, optional } of configuration.classFiles) {
    const reason = reasonOf(reader(path));
    if (reason !== "" && !optional)
      findings.push({ fatal: true, file: path, message: `${reason} (members of class ${name})` });
  }
  for (const [name, map] of mapsOf(configuration)) {
    const text = reader(map.path);
    const missing = text.kind !== "found" && reader(`${map.path}.db`).kind !== "found";
    if (missing && !map.optional)
      findings.push({
        fatal: true,
        file: map.path,
        message: `${reasonOf(text)} (FEATURE(\`${name}') wants it; write -o for an optional table)`,
      });
  }
  const { options } = configuration;
  for (const [conf, path, effect] of [
    ["confSERVER_CERT", options.ServerCertFile, "STARTTLS is not offered"],
    ["confSERVER_KEY", options.ServerKeyFile, "STARTTLS is not offered"],
    ["confCLIENT_CERT", options.ClientCertFile, "no certificate is shown to servers"],
    ["confCLIENT_KEY", options.ClientKeyFile, "no certificate is shown to servers"],
    ["confCACERT", options.CACertFile, "no certificate of a client or server is verified"],
    ["confDEF_AUTH_INFO", options.DefaultAuthInfo, "there are no credentials for servers"],
    ...options.AliasFile.map(
      (file) => ["ALIAS_FILE", file, "there are no aliases, not even postmaster"] as const,
    ),
  ] as const) {
    const reason = path === "" ? "" : reasonOf(reader(path));
    if (reason !== "") findings.push({ fatal: false, file: path, message: `${reason} (${conf}): ${effect}` });
  }
  return findings;
}

/** The parts of an alias value, cut at commas outside quotes. */
function partsOf(value: string): string[] {
  const parts: string[] = [];
  let part = "";
  let quoted = false;
  for (const char of value) {
    if (char === '"') quoted = !quoted;
    if (char === "," && !quoted) {
      parts.push(part.trim());
      part = "";
    } else part += char;
  }
  parts.push(part.trim());
  return parts.filter((word) => word !== "");
}

/**
 * Aliases that end in a mailbox on the box, for an appliance where nobody reads one. `aliases`: names (folded) and values.
 * Nothing is said when MAIL_HUB or a null client takes local mail elsewhere.
 */
export function inspectMailboxes(
  configuration: Configuration,
  file: string,
  aliases: ReadonlyMap<string, string>,
): Finding[] {
  if (configuration.mailHub !== null || configuration.features.nullClient !== null) return [];
  const findings: Finding[] = [];
  const remedy = "send it to an address elsewhere, or define MAIL_HUB";
  for (const [name, value] of aliases)
    for (const part of partsOf(value)) {
      const user = part.replace(/^\\/, "").toLowerCase();
      const local = !/[@|/:!%"]/.test(user);
      const ends = part.startsWith("\\") || !aliases.has(user);
      if (local && ends)
        findings.push({
          fatal: false,
          file,
          message: `mail for ${name} ends in the mailbox of ${user}, which nobody on this box reads; ${remedy}`,
        });
    }
  if (!aliases.has("postmaster"))
    findings.push({
      fatal: false,
      file,
      message: `there is no alias postmaster, and nobody on this box reads the mailbox of that name; ${remedy}`,
    });
  return findings;
}
