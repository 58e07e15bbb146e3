// editmap: looks up, changes or deletes one record of a lookup table (editmap(8)).
// The work is in map/editmap.ts.

import { asText } from "../map/bytestring.ts";
import { editmap as edit, parseEditmapArguments } from "../map/editmap.ts";
import { type Applet, EX } from "./applet.ts";

export const editmap: Applet = {
  names: ["editmap"],
  summary: "query or edit one record of a lookup table",
  help: `usage: editmap [-C cffile] [-N] [-f] -q TYPE MAPNAME KEY
       editmap [-C cffile] [-N] [-f] -u TYPE MAPNAME KEY VALUE ...
       editmap [-C cffile] [-N] [-f] -x TYPE MAPNAME KEY

  -q   print the value of KEY
  -u   set KEY to VALUE, adding it when it is new
  -x   delete KEY
  -f   do not fold KEY to lower case
  -N   the table keeps NUL bytes at the end of keys and values

The source text of the table is not changed: the next makemap undoes what editmap did.

exit status: 0; 69 no such key (-q); 64 usage; 73 the table cannot be opened; 74 an error while writing.
`,
  async run(args, io) {
    const request = parseEditmapArguments(args);
    if (!request.ok) {
      io.err(request.error);
      return EX.USAGE;
    }
    const answer = edit(request.value);
    io.out(asText(answer.out));
    io.err(asText(answer.err));
    return answer.exit;
  },
};
