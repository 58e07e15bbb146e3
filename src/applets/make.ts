// postern make: rebuilds tables that are older than their text, as `make` in /etc/mail does.
// The work is in prepare/make.ts.

import { readyConfiguration } from "../daemon/load.ts";
import { makeTables } from "../prepare/make.ts";
import { absolutePath } from "../sys/path.ts";
import { type Applet, EX } from "./applet.ts";

export const make: Applet = {
  names: ["make"],
  summary: "rebuild tables that are older than their text",
  help: `usage: postern make [-C DIR] [TABLE ...]

Rebuilds the tables of DIR (default: /etc/mail): all whose text is newer than their .db, or those that are
named, up to date or not. Tables are those that the configuration names, and access, aliases, authinfo,
domaintable, genericstable, mailertable, userdb, virtusertable where their text is there. A compiled
sendmail.cf whose sources were changed is compiled again ("postern make sendmail.cf": in any case).

A Makefile of three lines in that folder lets make do it:

    %: FORCE
    <TAB>postern make $@
    FORCE:

exit status: 0; 65 lines were refused (the others are stored); 66 no such text; 73 a table cannot be written;
78 sendmail.mc is wrong.
`,
  async run(args, io) {
    let directory = "/etc/mail";
    const names: string[] = [];
    for (let i = 0; i < args.length; i++) {
      const word = args[i] ?? "";
      if (word.startsWith("-C")) directory = word.length > 2 ? word.slice(2) : (args[++i] ?? "");
      else if (word.startsWith("-")) {
        io.err(`make: invalid option -- '${word[1] ?? ""}'\nusage: postern make [-C DIR] [TABLE ...]\n`);
        return EX.USAGE;
      } else if (word !== "all") names.push(word);
    }
    const folder = absolutePath(io.cwd, directory);
    const loaded = readyConfiguration(folder);
    const made = makeTables({
      folder: loaded.ok ? loaded.value.found.mail : folder,
      configuration: loaded.ok ? loaded.value.configuration : null,
      locate: (path) => path,
      names,
    });
    for (const line of made.out) io.out(`${line}\n`);
    for (const line of made.err) io.err(`${line}\n`);
    return made.exit;
  },
};
