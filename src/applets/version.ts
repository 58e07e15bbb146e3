// postern version: what this binary is.
// postern features has the long answer.

import { BUILD } from "../base/build.ts";
import { codeCache } from "../sys/codecache.ts";
import { type Applet, EX } from "./applet.ts";

export const version: Applet = {
  names: ["version"],
  summary: "version and board of this binary",
  help: `usage: postern version [--json]

Prints version and board, one line; with --json as an object, in which codeCache says whether this process could use the
compiled code that the binary carries ("used", "refused", or "none" when it runs from sources): without it all works, and
starts slower.
`,
  async run(args, io) {
    if (args.includes("--json"))
      io.out(`${JSON.stringify({ version: BUILD.version, board: BUILD.board, codeCache: codeCache() })}\n`);
    else io.out(`Postern ${BUILD.version} (board ${BUILD.board})\n`);
    return EX.OK;
  },
};
