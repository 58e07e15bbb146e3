// sendmail -bv: where each address would go, without sending. The same expansion that delivery does.
// Lines, their order and the exit status as Sendmail prints them (semantics section 25): what is wrong first, then what is deliverable.

import { deliverableLine, errorLine, expandRecipient } from "../route/expand.ts";
import { systemClock } from "../sys/clock.ts";
import type { CommandLine } from "./commandline.ts";
import type { Job } from "./commands.ts";
import { openSiteHere, resolverFor, thisMachine } from "./site.ts";

/** Prints a line for every error and delivery; with -v also how each came about. The status is that of the first error. */
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
  const deliverable: string[] = [];
  const seen = new Set<string>();
  const complaints = new Set<string>();
  for (const address of line.recipients) {
    const said = new Set<string>();
    const expansion = await expandRecipient(
      opened.value.site,
      { address },
      {
        trace: (step) => {
          if (line.verbose && step.text !== undefined && STEPS.has(step.rule) && !said.has(step.text))
            print(step.text);
          if (step.text !== undefined) said.add(step.text);
        },
      },
    );
    // The same name reached twice is complained about once, as in Sendmail's one list of recipients.
    for (const text of expansion.errors.map(errorLine)) {
      if (!complaints.has(text)) print(text);
      complaints.add(text);
    }
    for (const d of expansion.deliveries) {
      if (d.wait !== "" && line.verbose)
        print(`${d.address}... Transient parse error -- message queued for future delivery`);
      // What two addresses of the command line lead to is one delivery.
      const key = `${d.mailer}\0${d.host}\0${d.user}`;
      if (!seen.has(key)) deliverable.push(deliverableLine(d));
      else if (line.verbose) print(`${d.address}... duplicate suppressed`);
      seen.add(key);
    }
    status ||= expansion.exit;
  }
  for (const text of deliverable) print(text);
  opened.value.close();
  return status;
}

/** Steps whose text is what Sendmail says with -v. */
const STEPS = new Set(["alias", "duplicate", "include", "forwarding"]);
