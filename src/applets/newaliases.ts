// newaliases: rebuilds the alias databases; which files, says the configuration.
// The work is in map/newaliases.ts.

import { readyConfiguration } from "../daemon/load.ts";
import { aliasSpec } from "../map/aliases.ts";
import { asText } from "../map/bytestring.ts";
import { buildAliases } from "../map/newaliases.ts";
import { ownNames } from "../prepare/tables.ts";
import { type Applet, EX } from "./applet.ts";

const DEFAULT_FILE = "/etc/mail/aliases";

export const newaliases: Applet = {
  names: ["newaliases"],
  summary: "rebuild the alias databases",
  help: `usage: newaliases [-C CONFIGURATION] [-oAFILE] [-v]

Reads the files of ALIAS_FILE (${DEFAULT_FILE} without a configuration) and writes FILE.db. Each line is
"name: value, value ..."; lines that begin with a blank go on with the line before; "#" begins a
comment line. The new database takes the place of the old one in one step.

  -C PATH         sendmail.mc, a compiled sendmail.cf or a configuration folder
  -oAFILE         rebuild FILE instead (also -OAliasFile=FILE)
  -v              accepted

Lines that are wrong are told and left out. A file that others may write is told and left alone.

exit status: 0; 64 or 70 some lines were wrong, or the database cannot be written; 78 the configuration is wrong.
`,
  async run(args, io) {
    let configuration: string | null = null;
    let files: readonly string[] = [];
    for (let i = 0; i < args.length; i++) {
      const word = args[i] ?? "";
      const attached = (length: number): string =>
        word.length > length ? word.slice(length) : (args[++i] ?? "");
      if (word.startsWith("-C")) configuration = attached(2);
      else if (word.startsWith("-oA")) files = attached(3).split(",");
      else if (/^-O\s*AliasFile=/i.test(word)) files = word.slice(word.indexOf("=") + 1).split(",");
      else if (word !== "-v" && word !== "-bi") {
        io.err(`newaliases: invalid option -- '${word}'\n`);
        return EX.USAGE;
      }
    }
    const loaded = readyConfiguration(configuration);
    if (!loaded.ok && configuration !== null) {
      io.err(`${loaded.error.lines.join("\n")}\n`);
      return loaded.error.exit;
    }
    const known = loaded.ok ? loaded.value.configuration : null;
    if (files.length === 0) files = known?.options.AliasFile ?? [DEFAULT_FILE];
    const built = buildAliases(
      files.map(aliasSpec),
      { dontBlame: known?.options.DontBlameSendmail ?? [] },
      ownNames(known, (path) => path),
    );
    for (const line of built.lines) io.out(`${asText(line)}\n`);
    return built.exit;
  },
};
