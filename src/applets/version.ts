// postern version: what this binary is.
// postern features has the long answer.

import { BUILD } from "../base/build.ts";
import { type Applet, EX } from "./applet.ts";

export const version: Applet = {
  names: ["version"],
  summary: "version and board of this binary",
  help: `usage: postern version [--json]

Prints version and board, one line; with --json as an object.
`,
  async run(args, io) {
    if (args.includes("--json"))
      io.out(`${JSON.stringify({ version: BUILD.version, board: BUILD.board })}\n`);
    else io.out(`Postern ${BUILD.version} (board ${BUILD.board})\n`);
    return EX.OK;
  },
};
