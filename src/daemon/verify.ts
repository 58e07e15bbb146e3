// sendmail -bv: where each address would go, without sending. The same expansion that delivery does.
// Lines, their order and the exit status as Sendmail prints them (semantics section 25): what is wrong first, then what is deliverable.

import { recipientList } from "../mail/phrase.ts";
import { deliverableLine, errorLine } from "../route/answerline.ts";
import { type Delivery, expandRecipient } from "../route/expand.ts";
import type { Site } from "../route/site.ts";
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
  const status = await verifyOver(
    opened.value.site,
    recipientList(line.recipients, ready.configuration.options.OldStyleHeaders),
    line.verbose,
    print,
  );
  opened.value.close();
  return status;
}

/** The same over a site that is open. */
export async function verifyOver(
  site: Site,
  recipients: readonly string[],
  verbose: boolean,
  print: (text: string) => void,
): Promise<number> {
  let status = 0;
  const deliverable: Delivery[] = [];
  const seen = new Set<string>();
  const complaints = new Set<string>();
  for (const address of recipients) {
    const expansion = await expandRecipient(
      site,
      { address },
      {
        trace: (step) => {
          if (verbose && step.text !== undefined && STEPS.has(step.rule)) print(step.text);
        },
      },
    );
    // The same name reached twice is complained about once, as in Sendmail's one list of recipients.
    for (const text of expansion.errors.map(errorLine)) {
      if (!complaints.has(text)) print(text);
      complaints.add(text);
    }
    for (const d of expansion.deliveries) {
      if (d.wait !== "" && verbose)
        print(`${d.address}... Transient parse error -- message queued for future delivery`);
      // What two addresses of the command line lead to is one delivery.
      const key = `${d.mailer}\0${d.host}\0${d.user}`;
      if (!seen.has(key)) deliverable.push(d);
      seen.add(key);
    }
    status ||= expansion.exit;
  }
  for (const d of deliverable.sort(byHost)) print(deliverableLine(d));
  return status;
}

/** Steps whose text is what Sendmail says with -v. */
const STEPS = new Set(["alias", "duplicate", "include", "list"]);

/** Sendmail keeps its recipients by host, compared from the right: local ones first, `.com` before `.net`. */
function byHost(a: Delivery, b: Delivery): number {
  const [x, y] = [a, b].map((d) => [...d.host.toLowerCase()].reverse().join("")) as [string, string];
  return x < y ? -1 : x > y ? 1 : 0;
}
