// From a line to its verb: first word, without case, to the registry; what a refused connection may still say; what is no command.
// The texts are Sendmail's (semantics section 16).

import { LOAD_DELAY_MS } from "../policy/load.ts";
import type { Session } from "./session.ts";
import { type Verb, verbNamed } from "./verbs.ts";
import { isBlank, shortened } from "./wording.ts";

/** First words of other protocols: a browser or worm that was made to talk to us (reliability TLS-07). */
const FOREIGN_VERBS = new Set(["GET", "POST", "CONNECT", "USER"]);

/** Runs one command line; `first`: nothing was said before, since the greeting or since TLS began. */
export function dispatch(session: Session, line: string, first: boolean): Promise<void> | undefined {
  let p = 0;
  while (p < line.length && isBlank(line.charCodeAt(p))) p++;
  const from = p;
  while (p < line.length && !isBlank(line.charCodeAt(p))) p++;
  const word = line.slice(from, p);
  while (p < line.length && isBlank(line.charCodeAt(p))) p++;
  const verb = verbNamed(word);
  if (verb === undefined && first && FOREIGN_VERBS.has(word.toUpperCase())) return foreign(session, word);
  // Also a refused client hears that this is no command.
  if (verb === undefined) {
    if (session.countBad()) session.answer(500, "5.5.1", `Command unrecognized: "${shortened(line)}"`);
    return undefined;
  }
  if (session.refusal !== null && !verb.always) {
    if (session.countBad()) session.say(session.refusal);
    return undefined;
  }
  session.lastVerb = verb.name;
  const load = verb.name === "QUIT" ? null : (session.service.load?.delays(session.daemon.delayLA) ?? null);
  return load === null
    ? verb.run(session, line.slice(p), line)
    : delayed(session, verb, line.slice(p), line, load);
}

/** DelayLA: on a loaded machine each command but QUIT waits a second. */
async function delayed(
  session: Session,
  verb: Verb,
  argument: string,
  line: string,
  load: number,
): Promise<void> {
  session.log(9, `${session.who}: delaying=${verb.name}, load average=${load}`);
  await session.sleep(LOAD_DELAY_MS);
  if (!session.closed) await verb.run(session, argument, line);
}

function foreign(session: Session, word: string): undefined {
  session.log(1, `${session.who}: probable open proxy: command=${word.slice(0, 40)}`);
  session.answer(421, "4.7.0", `${session.hostName} Rejecting open proxy ${session.who}`);
  session.close();
  return undefined;
}
