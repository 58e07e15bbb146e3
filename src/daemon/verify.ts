// sendmail -bv: where each address would go, without sending. The same expansion that delivery does.
// Lines and exit status as Sendmail prints them (semantics section 25).

import { deliverableLine, errorLine, expandRecipient } from "../route/expand.ts";
import { systemClock } from "../sys/clock.ts";
import type { CommandLine } from "./commandline.ts";
import type { Job } from "./commands.ts";
import { openSiteHere, resolverFor, thisMachine } from "./site.ts";

/** Prints a line for every delivery and error; the status is that of the first error. */
export async function verifyAddresses(
  job: Job,
  line: CommandLine,
  print: (text: string) => void,
): Promise<number> {
  const { ready } = job;
  const machine = thisMachine(ready.found, job.environment);
  const resolver = resolverFor(ready.configuration, machine, systemClock);
  const opened = openSiteHere(ready.configuration, ready.found, machine, resolver);
  if (!opened.ok) {
    print(opened.error);
    return 71;
  }
  let status = 0;
  for (const address of line.recipients) {
    const expansion = await expandRecipient(opened.value.site, { address });
    for (const e of expansion.errors) print(errorLine(e));
    for (const d of expansion.deliveries) print(deliverableLine(d));
    status ||= expansion.exit;
  }
  opened.value.close();
  return status;
}
