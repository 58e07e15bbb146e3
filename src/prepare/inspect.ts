// Everything wrong with the tables of a configuration, with file and line: lines that makemap or newaliases would refuse are
// errors (nothing half goes into an image), duplicate aliases and lines that cannot do what they say are warnings.

import { ADVICE_MAX, MAP_TEXT_BYTES_MAX } from "../base/limits.ts";
import type { Configuration } from "../config/configuration.ts";
import { asText, foldCase } from "../map/bytestring.ts";
import { readClassFile } from "../map/classfile.ts";
import { SOURCE_DEFAULTS, SourceReader } from "../map/textmap.ts";
import { readBoundedFile } from "../sys/files.ts";
import { ADVISERS, adviseLine, type Surroundings } from "./advice.ts";
import { hasSource, type Locate, ownNames, readTable, type TableSource, tablesOf } from "./tables.ts";

export interface TableFinding {
  /** An error: the line is not stored. */
  readonly fatal: boolean;
  /** Real path. */
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

/** Members of a class as the configuration and its class files have them, in lower case. */
function members(configuration: Configuration, name: string, locate: Locate): ReadonlySet<string> {
  const names = [...(configuration.classes[name] ?? [])];
  for (const file of configuration.classFiles) {
    if (file.class !== name) continue;
    const read = readClassFile(locate(file.path), true);
    if (read.ok) names.push(...read.value);
  }
  return new Set(names.map(foldCase));
}

function isBelow(domain: string, domains: ReadonlySet<string>): boolean {
  for (let at = domain.indexOf("."); at >= 0; at = domain.indexOf(".", at + 1))
    if (domains.has(domain.slice(at + 1))) return true;
  return false;
}

function surroundings(configuration: Configuration, locate: Locate): Surroundings {
  const { features } = configuration;
  const virtual = members(configuration, "VirtHost", locate);
  const own = ownNames(configuration, locate);
  return {
    mailers: new Set(configuration.mailers.map((mailer) => foldCase(mailer.name))),
    isLocal: own,
    isVirtual: (domain) => virtual.has(domain) || (features.virtUserEntireDomain && isBelow(domain, virtual)),
    skip: features.accessDb?.skip === true,
    lookupDotDomain: features.lookupDotDomain || features.accessDb?.lookupDotDomain === true,
    blocklistRecipients: features.blocklistRecipients,
    delayChecks: features.delayChecks === "friend" || features.delayChecks === "hater",
  };
}

/** Advice on the lines of one map, ADVICE_MAX at most. */
function adviseTable(table: TableSource, around: Surroundings): readonly TableFinding[] {
  const text = readBoundedFile(table.path, MAP_TEXT_BYTES_MAX);
  if (text.kind !== "found") return [];
  const adviser = ADVISERS.get(table.purpose);
  const findings: TableFinding[] = [];
  const reader = new SourceReader(SOURCE_DEFAULTS, {
    entry(key, value, line) {
      if (findings.length >= ADVICE_MAX) return;
      const message = adviseLine(adviser, key, value, around);
      if (message !== "") findings.push({ fatal: false, file: table.path, line, message: asText(message) });
    },
    problem: () => undefined,
  });
  reader.push(text.value);
  reader.end();
  return findings;
}

/** Every finding, table by table, in the order of lines. */
export function inspectTables(configuration: Configuration, locate: Locate): readonly TableFinding[] {
  const findings: TableFinding[] = [];
  const isLocal = ownNames(configuration, locate);
  const around = surroundings(configuration, locate);
  for (const table of tablesOf(configuration, locate)) {
    if (!hasSource(table)) continue;
    const problems = readTable(table, isLocal).problems.map((problem) => ({
      fatal: !problem.warning,
      file: table.path,
      line: Math.max(problem.line, 1),
      message: problem.message.replace("... Warning: ", ": "),
    }));
    const advice = table.rules === "map" ? adviseTable(table, around) : [];
    findings.push(...[...problems, ...advice].sort((a, b) => a.line - b.line));
  }
  return findings;
}
