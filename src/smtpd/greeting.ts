// How a connection begins: who is it, check_relay, greet_pause, the greeting (semantics sections 14 and 16). The greeting is
// SmtpGreetingMessage with its macros, ESMTP as its second word. A refused client gets a normal greeting and no service.

import { formatDate } from "../mail/date.ts";
import { reply } from "../mail/reply.ts";
import { addressKey } from "../policy/access.ts";
import { identifyPeer } from "./peer.ts";
import type { Service } from "./service.ts";
import type { Session } from "./session.ts";

/** Longest greeting line, so that a configuration cannot make it endless. */
const GREETING_BYTES_MAX = 2000;

/** Values of the one-letter macros that a greeting may use; `$b` is the date, `$_` the client. */
function macros(session: Session): Map<string, string> {
  const { service, client } = session;
  const j = session.hostName;
  const dot = j.indexOf(".");
  return new Map([
    ["j", j],
    ["w", dot < 0 ? j : j.slice(0, dot)],
    ["m", dot < 0 ? j : j.slice(dot + 1)],
    ["v", service.version],
    ["Z", service.version],
    ["b", formatDate(service.clock.wallMs())],
    ["_", session.who],
    ["s", client.helo],
    ["{daemon_name}", session.daemon.name],
    ["{client_addr}", client.address],
    ["{client_name}", client.name],
    ["{if_name}", j],
  ]);
}

/** Configuration text with its macros; received text never goes through here. */
function expand(template: string, values: Map<string, string>): string {
  return template.replace(
    /\$(\$|&?([A-Za-z_]|\{[A-Za-z_]+\}))/g,
    (_all, whole: string, name: string | undefined) => (whole === "$" ? "$" : (values.get(name ?? "") ?? "")),
  );
}

/** The lines of the greeting, without the code. */
export function greetingLines(session: Session): readonly string[] {
  const text = expand(session.settings.greeting, macros(session)).trimStart().slice(0, GREETING_BYTES_MAX);
  const [first = "", ...more] = text.split("\n");
  const blank = first.indexOf(" ");
  const word = blank < 0 ? first : first.slice(0, blank);
  const rest = blank < 0 ? "" : first.slice(blank);
  return [`${word} ESMTP${rest}`, ...more];
}

/** Takes a session from accept to its first command. */
export async function greet(session: Session, service: Service): Promise<void> {
  if (!session.local) {
    const peer = await identifyPeer(service.resolver, session.client.address);
    if (session.closed) return;
    session.identify({ ...session.client, ...peer });
    if (session.daemon.modifiers.includes("h")) session.hostName = await interfaceName(session, service);
    if (session.closed) return;
  }
  session.counted();
  const verdict = await service.policy.connect(session.client);
  if (session.closed) return;
  if (verdict.kind === "reject") {
    const { name, address } = session.client;
    session.logRejection("check_relay", `${name}, arg2=${addressKey(address)}`, verdict.reply);
    if (verdict.close) {
      session.say(verdict.reply);
      session.close();
      return;
    }
    session.refusal = verdict.reply;
  } else {
    if (verdict.kind === "discard") session.fate.discard = true;
    if (verdict.kind === "quarantine") session.fate.quarantine = verdict.reason;
    if (await talksFirst(session, service)) return;
  }
  if (session.closed) return;
  session.say(reply(220, "", ...greetingLines(session)));
  session.open();
}

/** Modifier h: the name of the address that the client connected to, if it has a verified one. */
async function interfaceName(session: Session, service: Service): Promise<string> {
  const own = await identifyPeer(service.resolver, session.client.localAddress);
  return own.resolve === "ok" ? own.name : service.hostName;
}

/** greet_pause: a client that cannot wait is not served (rule 1 of section 14). */
async function talksFirst(session: Session, service: Service): Promise<boolean> {
  const pauseMs = session.local ? 0 : service.policy.greetPauseMs(session.client);
  if (pauseMs <= 0) return false;
  const startMs = service.clock.monotonicMs();
  if (!(await session.listen(pauseMs)) || session.closed) return false;
  const seconds = Math.floor((service.clock.monotonicMs() - startMs) / 1000);
  session.note(
    1,
    `rejecting commands from ${session.who} due to pre-greeting traffic after ${seconds} seconds`,
  );
  session.refusal = reply(550, "5.0.0", "Command rejected");
  session.say(reply(554, "", `${session.hostName} ESMTP not accepting messages`));
  session.open();
  return true;
}
