// makemap: builds lookup tables from text (makemap(8)); needs no configuration.
// The work is in map/makemap.ts.

import { asText } from "../map/bytestring.ts";
import { makemap as build, parseMakemapArguments } from "../map/makemap.ts";
import { type Applet, EX } from "./applet.ts";

export const makemap: Applet = {
  names: ["makemap"],
  summary: "build a lookup table from text",
  help: `usage: makemap [-NdeflorsuvC] [-D commentchar] [-t delimiter] [-i type] TYPE MAPNAME < TEXT
       makemap -l
       makemap -u TYPE MAPNAME

Reads lines "key value" from standard input and writes the table MAPNAME.db. The key is the first
word, the value is the rest of the line. Lines that begin with "#" and empty lines are skipped.
TYPE is hash, btree, dbm, cdb or implicit: all are stored as a constant database, which other
programs read with the cdb tool. The new table takes the place of the old one in one step; a
running gateway notices it within a second.

  -C FILE   accepted and not read: no configuration is needed
  -D CHAR   lines that begin with CHAR are comments (default #)
  -N        store keys and values with the NUL byte at their end
  -c SIZE   accepted: a constant database has no cache
  -d        allow repeated keys; the first is the one that is found
  -e        allow an empty value
  -f        do not fold keys to lower case
  -i TYPE   the type to use when TYPE is not known
  -l        list the types
  -o        add to the table that is there
  -r        a repeated key replaces the one before it
  -s        write through symbolic and hard links
  -t CHAR   what stands between key and value (default: white space)
  -u        print the table
  -v        print what is stored

Example: makemap hash /etc/mail/access < /etc/mail/access   (or: postern make access)

exit status: 0; 65 some lines were refused (told on standard error; the others are stored); 64 usage;
73 the table cannot be read or written; 74 an error while writing.
`,
  async run(args, io) {
    const request = parseMakemapArguments(args);
    if (!request.ok) {
      io.err(request.error);
      return EX.USAGE;
    }
    return build(request.value, io.stdin, {
      out: (text) => io.out(asText(text)),
      err: (text) => io.err(asText(text)),
    });
  },
};
