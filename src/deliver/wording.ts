// Outcomes in Sendmail's words: what sysexits and reply codes become in stat=, in dsn= and in the transcript of a bounce
// (Sendmail's giveresponse, sm_sysexmsg and smtptodsn; semantics sections 19-21 and 25).

import { type Outcome, outcome } from "../mail/outcome.ts";
import { EX_NOUSER } from "./exits.ts";
import { type PeerReply, replyClass, replyLine } from "./peerreply.ts";
import type { Broken } from "./wire.ts";

/** One line of Sendmail's table of exit statuses. */
interface ExitWords {
  readonly code: number;
  readonly status: string;
  readonly text: string;
}

const EXITS = new Map<number, ExitWords>([
  [64, { code: 500, status: "5.0.0", text: "Bad usage" }],
  [65, { code: 501, status: "5.6.0", text: "Data format error" }],
  [66, { code: 550, status: "5.3.0", text: "Cannot open input" }],
  [67, { code: 550, status: "5.1.1", text: "User unknown" }],
  [68, { code: 550, status: "5.1.2", text: "Host unknown" }],
  [69, { code: 554, status: "5.0.0", text: "Service unavailable" }],
  [70, { code: 554, status: "5.3.0", text: "Internal error" }],
  [71, { code: 451, status: "4.0.0", text: "Operating system error" }],
  [72, { code: 554, status: "5.3.5", text: "System file missing" }],
  [73, { code: 550, status: "5.0.0", text: "Can't create output" }],
  [74, { code: 451, status: "4.0.0", text: "I/O error" }],
  [75, { code: 450, status: "4.0.0", text: "Deferred" }],
  [76, { code: 554, status: "5.5.0", text: "Remote protocol error" }],
  [77, { code: 550, status: "5.0.0", text: "Insufficient permission" }],
  [78, { code: 554, status: "5.3.5", text: "Local configuration error" }],
]);

/** Exit statuses after which the message stays queued. */
const TEMPORARY = new Set([71, 74, 75]);

export function exitWords(status: number): ExitWords {
  return EXITS.get(status) ?? { code: 554, status: "5.3.0", text: `unknown mailer error ${status}` };
}

/** The RFC 3463 status for a reply without one. */
export function statusOf(reply: PeerReply): string {
  return reply.enhanced !== "" ? reply.enhanced : (STATUS.get(reply.code) ?? `${replyClass(reply)}.0.0`);
}

const STATUS = new Map<number, string>([
  [450, "4.2.0"],
  [451, "4.3.0"],
  [452, "4.3.1"],
  [500, "5.5.2"],
  [501, "5.5.4"],
  [502, "5.5.1"],
  [503, "5.5.1"],
  [504, "5.5.4"],
  [550, "5.1.1"],
  [551, "5.1.6"],
  [552, "5.2.2"],
  [553, "5.1.3"],
  [554, "5.0.0"],
]);

/** Where a message was when something happened: who was talked to, and what was said last. */
export interface Scene {
  /** Name of the next hop as shown, without the trailing dot (`[1.2.3.4]` keeps its brackets). */
  readonly remote: string;
  /** Name as shown, with trailing dot where DNS gave it. */
  readonly shown: string;
  /** `name [address]` for the log's relay=. */
  readonly relay: string;
  /** The command that was answered, "" for the greeting. */
  readonly command: string;
}

/** Lines for a bounce: whom we talked to, what was said, what it means. */
export function conversation(scene: Scene, reply: PeerReply | null, verdict: string): readonly string[] {
  return [
    `... while talking to ${scene.shown}:`,
    ...(scene.command === "" ? [] : [`>>> ${scene.command}`]),
    ...(reply === null ? [] : reply.lines.slice(0, 20).map((_, i) => `<<< ${lineOf(reply, i)}`)),
    verdict,
  ];
}

function lineOf(reply: PeerReply, index: number): string {
  const mark = index === reply.lines.length - 1 ? " " : "-";
  return `${reply.code}${mark}${reply.lines[index] ?? ""}`.trimEnd();
}

/** 2xx to the final dot. */
export function sent(scene: Scene, reply: PeerReply, kind: "delivered" | "relayed"): Outcome {
  const said = reply.lines[0] ?? "";
  return outcome(
    kind,
    reply.enhanced === "" ? "2.0.0" : reply.enhanced,
    said === "" ? "Sent" : `Sent (${said})`,
    {
      diagnostic: replyLine(reply),
      remote: scene.remote,
      relay: scene.relay,
    },
  );
}

/** A refusal that says something: 4xx is deferred with the reply's words, 5xx failed with those of `exit`. */
export function refused(scene: Scene, reply: PeerReply, exit: number, address: string): Outcome {
  const more = { diagnostic: replyLine(reply), remote: scene.remote, relay: scene.relay };
  const status = statusOf(reply);
  if (replyClass(reply) === 4) {
    const text = `Deferred: ${replyLine(reply)}`;
    return outcome("deferred", status, text, {
      ...more,
      transcript: conversation(scene, reply, `${prefix(address)}${text}`),
    });
  }
  const words = exitWords(exit);
  // Sendmail's line has the status of its own table, whatever the host said; only "User unknown" names the address.
  const named = exit === EX_NOUSER ? prefix(address) : "";
  const verdict = `${words.code} ${words.status} ${named}${words.text}`;
  return outcome("failed", status, words.text, { ...more, transcript: conversation(scene, reply, verdict) });
}

function prefix(address: string): string {
  return address === "" ? "" : `<${address}>... `;
}

/** The connection broke, or never was. `phase`: "client RCPT" and the like. */
export function lost(scene: Scene, broken: Broken): Outcome {
  const more = { remote: scene.remote, relay: scene.relay };
  if (broken.broken === "timeout") {
    const text = `Deferred: Connection timed out with ${scene.shown}`;
    return outcome("deferred", "4.4.2", text, { ...more, transcript: conversation(scene, null, text) });
  }
  if (broken.broken === "closed") {
    const text = `Deferred: Connection reset by ${scene.shown}`;
    return outcome("deferred", "4.4.2", text, { ...more, transcript: conversation(scene, null, text) });
  }
  const text = `Deferred: ${scene.shown}: ${broken.why}`;
  const status = broken.broken === "garbage" ? "4.5.0" : "4.4.2";
  return outcome("deferred", status, text, { ...more, transcript: conversation(scene, null, text) });
}

/** No connection: the errno in Sendmail's words. */
export function unreachable(scene: Scene, code: string): Outcome {
  const text = `Deferred: ${connectWords(scene.shown, code)}`;
  return outcome("deferred", "4.4.1", text, { remote: scene.remote, relay: scene.relay, transcript: [text] });
}

function connectWords(shown: string, code: string): string {
  switch (code) {
    case "ECONNREFUSED":
      return `Connection refused by ${shown}`;
    case "ETIMEDOUT":
      return `Connection timed out with ${shown}`;
    case "ECONNRESET":
      return `Connection reset by ${shown}`;
    case "EHOSTUNREACH":
      return `${shown}: No route to host`;
    case "ENETUNREACH":
      return `${shown}: Network is unreachable`;
    case "ENOENT":
      return `${shown}: No such file or directory`;
    case "EACCES":
      return `${shown}: Permission denied`;
    case "EHOSTDOWN":
      return `${shown}: Host is down`;
    default:
      return `${shown}: ${code}`;
  }
}

/** An outcome that rests on an exit status alone, or on a reason of our own in place of its text. */
export function exited(status: number, address: string, reason = "", more: Partial<Outcome> = {}): Outcome {
  const words = exitWords(status);
  const text = reason === "" ? words.text : reason;
  const kind = TEMPORARY.has(status) ? "deferred" : "failed";
  return outcome(kind, words.status, text, {
    diagnostic: "",
    transcript: [`${words.code} ${words.status} ${prefix(address)}${text}`],
    ...more,
  });
}

/** A failure that we found ourselves, as an SMTP reply that the next hop would give. */
export function declined(
  kind: "failed" | "deferred",
  code: number,
  status: string,
  text: string,
  address: string,
  scene: Scene | null = null,
): Outcome {
  const shown = kind === "deferred" ? `Deferred: ${code} ${status} ${text}` : text;
  return outcome(kind, status, shown, {
    diagnostic: `${code} ${status} ${text}`,
    remote: scene?.remote ?? "",
    relay: scene?.relay ?? "",
    transcript: [`${code} ${status} ${prefix(address)}${text}`],
  });
}
