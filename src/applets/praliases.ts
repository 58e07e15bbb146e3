// praliases: prints the alias databases; which files, says the configuration.
// The work is in map/praliases.ts.

import { readyConfiguration } from "../daemon/load.ts";
import { aliasSpec } from "../map/aliases.ts";
import { asText, fromText } from "../map/bytestring.ts";
import { listAliases } from "../map/praliases.ts";
import { type Applet, EX } from "./applet.ts";

const DEFAULT_FILE = "/etc/mail/aliases";
const USAGE = "usage: praliases [-C cffile] [-f aliasfile] [key ...]\n";

export const praliases: Applet = {
  names: ["praliases"],
  summary: "print the alias databases",
  help: `${USAGE}
Prints the aliases as "name:value", all of them or those of the keys. Names are stored in lower case.
The line "@:@" shows that the database is complete.

  -C PATH   sendmail.mc, a compiled sendmail.cf or a configuration folder (its ALIAS_FILE is printed)
  -f FILE   print FILE instead

exit status: 0; 64 usage; 78 the configuration is wrong.
`,
  async run(args, io) {
    let configuration: string | null = null;
    let file: string | null = null;
    let at = 0;
    for (; at < args.length; at++) {
      const word = args[at] ?? "";
      if (!word.startsWith("-") || word === "-") break;
      if (!/^-[Cf]/.test(word)) {
        io.err(`praliases: invalid option -- '${word[1] ?? ""}'\n${USAGE}`);
        return EX.USAGE;
      }
      const value = word.length > 2 ? word.slice(2) : (args[++at] ?? "");
      if (word[1] === "C") configuration = value;
      else file = value;
    }
    let paths = [file ?? DEFAULT_FILE];
    if (file === null) {
      const loaded = readyConfiguration(configuration);
      if (loaded.ok)
        paths = loaded.value.configuration.options.AliasFile.map((element) => aliasSpec(element).path);
      else if (configuration !== null) {
        io.err(`${loaded.error.lines.join("\n")}\n`);
        return loaded.error.exit;
      }
    }
    const listing = listAliases(paths, args.slice(at).map(fromText));
    for (const line of listing.out) io.out(`${asText(line)}\n`);
    for (const line of listing.err) io.err(`${line}\n`);
    return EX.OK;
  },
};
