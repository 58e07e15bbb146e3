// postern check [DIR]: every error of a configuration as file:line:column: reason, and warnings of what cannot be right.
// The work is in config/ (compiler, inspection); this is the command around it.

import { BUILD } from "../base/build.ts";
import { compileFound, formatMessage } from "../config/compile.ts";
import { parseCompiled } from "../config/compiled.ts";
import type { Configuration, Place } from "../config/configuration.ts";
import { type Found, findConfiguration, folderReader, realPathOf } from "../config/folder.ts";
import { type Finding, inspectFiles, inspectMailboxes } from "../config/inspect.ts";
import { relocate } from "../daemon/load.ts";
import { parseAliases } from "../map/aliases.ts";
import { inspectTables } from "../prepare/inspect.ts";
import { inspectSaslConf, type SaslFinding } from "../sasl/inspect.ts";
import { systemClock } from "../sys/clock.ts";
import { readFileLookup } from "../sys/files.ts";
import { absolutePath, joinPath } from "../sys/path.ts";
import { currentUser } from "../sys/process.ts";
import { inspectTls } from "../tls/inspect.ts";
import { type Applet, EX } from "./applet.ts";

interface Report {
  readonly errors: { readonly place: Place | null; readonly message: string }[];
  readonly warnings: { readonly place: Place | null; readonly message: string }[];
}

function at(file: string): Place {
  return { file, line: 1, column: 1 };
}

function compiledOnly(path: string, report: Report): Configuration | null {
  const text = readFileLookup(path);
  const parsed = text.kind === "found" ? parseCompiled(text.value.toString("utf8")) : null;
  if (parsed?.ok === true) return parsed.value;
  report.errors.push({ place: at(path), message: parsed === null ? "cannot be read" : parsed.error });
  return null;
}

/** Compiles what was found and notes everything about it. */
function inspect(found: Found, report: Report): void {
  const { mc } = found;
  let configuration: Configuration | null = null;
  if (mc !== null) {
    const result = compileFound({ ...found, mc }, readFileLookup);
    report.errors.push(...result.errors);
    report.warnings.push(...result.warnings);
    ({ configuration } = result);
  } else if (found.compiled !== null) configuration = compiledOnly(found.compiled, report);
  if (configuration === null) return;
  const reader = folderReader(found.mail, readFileLookup);
  const findings: Finding[] = inspectFiles(configuration, reader);
  // On an appliance (a folder with system/, or a board's own build) local mailboxes have no readers.
  const [aliasFile] = configuration.options.AliasFile;
  if ((found.root !== null || BUILD.board !== "host") && aliasFile !== undefined) {
    const text = reader(aliasFile);
    if (text.kind === "found") {
      const { entries } = parseAliases(text.value);
      findings.push(...inspectMailboxes(configuration, aliasFile, entries));
    }
  }
  for (const { fatal, file, line, message } of inspectTables(configuration, (p) => realPathOf(found.mail, p)))
    (fatal ? report.errors : report.warnings).push({ place: { file, line, column: 1 }, message });
  inspectSecurity(found, configuration, report);
  for (const { fatal, file, message } of findings)
    (fatal ? report.errors : report.warnings).push({ place: at(realPathOf(found.mail, file)), message });
}

/** AUTH and TLS: Sendmail.conf and certificate files. */
function inspectSecurity(found: Found, configuration: Configuration, report: Report): void {
  const note = (file: string, findings: readonly SaslFinding[]): void => {
    for (const { fatal, line, message } of findings)
      (fatal ? report.errors : report.warnings).push({
        place: { file, line: Math.max(line, 1), column: 1 },
        message,
      });
  };
  const source = found.mc ?? found.compiled ?? found.mail;
  const confPath = joinPath(found.mail, "Sendmail.conf");
  const conf = readFileLookup(confPath);
  if (conf.kind === "found") note(confPath, inspectSaslConf(conf.value.toString("utf8")));
  const ms = systemClock.wallMs();
  const here = relocate(configuration, found.mail).options;
  for (const message of inspectTls(here, [currentUser().uid], { ms, trusted: true }))
    report.warnings.push({ place: at(source), message });
}

export const check: Applet = {
  names: ["check"],
  summary: "say every error of a configuration",
  help: `usage: postern check [--json] [DIR | FILE]

Checks a configuration: a folder with mail/sendmail.mc, a folder with sendmail.mc, a
sendmail.mc, or a compiled sendmail.cf; /etc/mail when nothing is named. Prints every
error as file:line:column: reason, and warnings of what cannot be right. Exit status
78 when there is an error, 0 when there are warnings only.
`,
  async run(args, io) {
    const json = args.includes("--json");
    const rest = args.filter((arg) => arg !== "--json");
    const [given = "/etc/mail"] = rest;
    if (rest.length > 1 || given.startsWith("-")) {
      io.err(`${check.help.split("\n")[0]}\n`);
      return EX.USAGE;
    }
    const path = absolutePath(io.cwd, given);
    const report: Report = { errors: [], warnings: [] };
    const found = findConfiguration(path, readFileLookup);
    if (found.ok) inspect(found.value, report);
    else report.errors.push({ place: at(path), message: found.error });
    if (json) io.out(`${JSON.stringify(report)}\n`);
    else {
      for (const { place, message } of report.errors) io.out(`${formatMessage(place, message)}\n`);
      for (const { place, message } of report.warnings)
        io.out(`${formatMessage(place, `warning: ${message}`)}\n`);
      if (report.errors.length === 0 && report.warnings.length === 0) io.out(`${given}: no errors\n`);
    }
    return report.errors.length === 0 ? EX.OK : EX.CONFIG;
  },
};
