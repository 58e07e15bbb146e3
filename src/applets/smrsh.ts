// smrsh: the restricted shell for programs that mail runs.
// The rules are deliver/smrsh.ts, the same that the gateway applies itself.

import { runPlan } from "../deliver/planrun.ts";
import { programEnvironment } from "../deliver/program.ts";
import { planCommand, SMRSH_DIRECTORIES } from "../deliver/smrsh.ts";
import { inspectProgram, runAttached } from "../sys/spawn.ts";
import { type Applet, EX } from "./applet.ts";

export const smrsh: Applet = {
  names: ["smrsh"],
  summary: "run a program that mail may run",
  help: `usage: smrsh -c COMMAND

Runs COMMAND, which may only name programs of the smrsh folder:

  ${SMRSH_DIRECTORIES.join("\n  ")}

The directory part of a program's name is not looked at. Commands may be joined by && and ||; exec, exit
and echo are allowed. Refused anywhere after a name: \` < > ; & | $ ( ) and line ends. No shell is started.

exit status: that of the last program; 64 usage; 69 the command is not allowed.
`,
  async run(args, io) {
    const [option, command] = args;
    if (args.length !== 2 || option !== "-c" || command === undefined) {
      io.err("Usage: smrsh -c command\n");
      return EX.USAGE;
    }
    const plan = planCommand(command, SMRSH_DIRECTORIES, inspectProgram);
    if (!plan.ok) {
      io.err(`${plan.message}\n`);
      return plan.status;
    }
    const end = await runPlan(
      plan.steps,
      (step) =>
        runAttached({ file: step.file, args: step.args, environment: programEnvironment(), cwd: io.cwd }),
      (line) => io.out(`${line}\n`),
    );
    if (end.kind === "status") return end.status;
    if (end.ran.kind === "failed") io.err(`smrsh: cannot run the program: ${end.ran.code}\n`);
    return end.ran.kind === "failed" ? EX.UNAVAILABLE : EX.TEMPFAIL;
  },
};
