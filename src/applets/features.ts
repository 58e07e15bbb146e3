// postern features: what was left out of this binary when it was built, and its limits.
// The same words as src/Kconfig.

import { BUILD } from "../base/build.ts";
import { type Applet, EX } from "./applet.ts";

export const features: Applet = {
  names: ["features"],
  summary: "what this build contains and what it lacks",
  help: `usage: postern features [--json]

Lists the Kconfig symbols that are off in this build and the limits it was built with.
`,
  async run(args, io) {
    if (args.includes("--json")) {
      io.out(`${JSON.stringify({ board: BUILD.board, off: BUILD.off, limits: BUILD.limits })}\n`);
      return EX.OK;
    }
    io.out(`board: ${BUILD.board}\n`);
    io.out(BUILD.off.length === 0 ? "everything is built in\n" : `not built in: ${BUILD.off.join(" ")}\n`);
    for (const [name, value] of Object.entries(BUILD.limits)) io.out(`${name} = ${value}\n`);
    return EX.OK;
  },
};
