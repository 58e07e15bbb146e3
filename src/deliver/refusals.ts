// Credentials that a next hop refuses. Sendmail goes on without AUTH and returns the mail that is then refused; here it waits: what is
// wrong is one password, not each message. Said once in the log and to the postmaster; the same credentials are tried again now and
// then, others at once, and what has waited goes out as soon as there are others.

import { LOGIN_LOOK_MS, LOGIN_RETRY_MS, REFUSED_LOGINS_MAX } from "../base/limits.ts";
import type { Lookup } from "../base/result.ts";
import { type Outcome, outcome } from "../mail/outcome.ts";
import type { Clock } from "../sys/clock.ts";
import type { Log } from "../sys/log.ts";
import type { AuthInfo, Soon } from "./needs.ts";
import { type PeerReply, replyClass, replyLine } from "./peerreply.ts";
import { conversation, type Scene, statusOf } from "./wording.ts";

/** Whom it concerns outside of the mailers. */
export interface LoginAlarm {
  /** A letter to the postmaster; false when it could not be stored. */
  tell(subject: string, lines: readonly string[]): Promise<boolean>;
  /** Other credentials are there: what waits is worth a try. */
  mended(): void;
}

/** Where nobody is to be told. */
export const SILENT_ALARM: LoginAlarm = { tell: async () => true, mended() {} };

export interface RefusalsDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly alarm: LoginAlarm;
  info(name: string, address: string): Soon<Lookup<AuthInfo>>;
}

/** One name may be several servers: a filter on this machine has a port of its own. */
export interface Server {
  readonly name: string;
  readonly port: number;
}

function keyOf({ name, port }: Server): string {
  return `${name.toLowerCase()} ${port}`;
}

interface Refusal extends Server {
  readonly address: string;
  readonly info: AuthInfo;
  readonly outcome: Outcome;
  triedMs: number;
  told: boolean;
}

/** RFC 4954 sections 4 and 6, and 432 of RFC 5248: replies to AUTH that are about the credentials, not the mechanism. */
const REFUSED = new Set([432, 454, 534, 535, 538]);
/** Enhanced codes that ask for (other) credentials: RFC 4954, RFC 5248 and those of Microsoft's servers (5.7.30: no passwords any more). */
const WANTED = new Set(["5.7.8", "5.7.9", "5.7.11", "5.7.14", "5.7.30", "5.7.57", "5.7.139"]);

/** Is this reply to AUTH, or to one of its lines, a judgement of our credentials? */
export function refusesLogin(reply: PeerReply): boolean {
  return REFUSED.has(reply.code) || (replyClass(reply) === 5 && reply.enhanced.startsWith("5.7."));
}

/** Is this reply to a mail command there for want of authentication? What is said to one who has authenticated is about more than that. */
export function wantsLogin(reply: PeerReply, authenticated: boolean): boolean {
  if (replyClass(reply) !== 5) return false;
  if (reply.code === 530 || (REFUSED.has(reply.code) && reply.code >= 500)) return true;
  if (WANTED.has(reply.enhanced)) return true;
  const policy = reply.enhanced === "" || reply.enhanced.startsWith("5.7.");
  return (
    policy &&
    !authenticated &&
    /\bauth(?:entica|oriza)?|\blog ?in\b|\bsmtp-?auth/i.test(reply.lines.join(" "))
  );
}

export class Refusals {
  readonly #deps: RefusalsDeps;
  /** By keyOf(). */
  readonly #hosts = new Map<string, Refusal>();
  #cancelLook: (() => void) | null = null;

  constructor(deps: RefusalsDeps) {
    this.#deps = deps;
  }

  /** Is there a host whose credentials are refused? */
  get any(): boolean {
    return this.#hosts.size > 0;
  }

  /** What mail for the host has to hear while its credentials are not worth another try; null: try. */
  async known(host: Server): Promise<Outcome | null> {
    const refusal = this.#hosts.get(keyOf(host));
    if (refusal === undefined) return null;
    if (!(await this.#unchanged(refusal))) return null;
    const now = this.#deps.clock.monotonicMs();
    if (now - refusal.triedMs < LOGIN_RETRY_MS) return refusal.outcome;
    // One tries for all.
    refusal.triedMs = now;
    return null;
  }

  async #unchanged({ name, address, info }: Refusal): Promise<boolean> {
    const now = await this.#deps.info(name, address);
    return now.kind === "found" && JSON.stringify(now.value) === JSON.stringify(info);
  }

  /** The host has refused `info` with `reply`; the outcome of all recipients that were to go there. */
  refused(
    host: Server & { readonly address: string },
    info: AuthInfo,
    scene: Scene,
    reply: PeerReply,
  ): Outcome {
    const said = replyLine(reply);
    const text = `Deferred: ${scene.shown} refuses our credentials: ${said}`;
    const status = statusOf(reply).replace(/^5/, "4");
    const result = outcome("deferred", status, text, {
      diagnostic: said,
      remote: scene.remote,
      relay: scene.relay,
      transcript: conversation(scene, reply, text),
    });
    const { name, port, address } = host;
    const key = keyOf(host);
    const before = this.#hosts.get(key);
    const same = before !== undefined && JSON.stringify(before.info) === JSON.stringify(info);
    const refusal: Refusal = {
      name,
      port,
      address,
      info,
      outcome: result,
      triedMs: this.#deps.clock.monotonicMs(),
      told: same && before.told,
    };
    this.#hosts.delete(key);
    this.#hosts.set(key, refusal);
    if (this.#hosts.size > REFUSED_LOGINS_MAX) {
      const [oldest] = this.#hosts.keys();
      if (oldest !== undefined) this.#hosts.delete(oldest);
    }
    if (!same)
      this.#deps.log.line(
        0,
        `AUTH=client, relay=${scene.relay}, user=${userOf(info)}, refused: ${said}; all mail for ${scene.shown} waits until its credentials are mended`,
        "alert",
      );
    if (!refusal.told) void this.#tell(refusal, scene, said);
    this.#look();
    return result;
  }

  async #tell(refusal: Refusal, scene: Scene, said: string): Promise<void> {
    refusal.told = true;
    const lines = [
      `The next hop ${scene.relay} does not accept the credentials that this gateway has for it:`,
      "",
      ...(scene.command === "" ? [] : [`   >>> ${scene.command}`]),
      `   <<< ${said}`,
      "",
      `They are those of the user ${userOf(refusal.info)} (AuthInfo: in the access or authinfo table, or the file of confDEF_AUTH_INFO).`,
      "",
      "All mail for this hop waits in the queue. None of it is returned before its time in the queue is over (confTO_QUEUERETURN).",
      "New credentials are tried as soon as they are there; those that were refused are tried again every few minutes.",
      ...(/\b5\.7\.30\b/.test(said)
        ? [
            "",
            "This server takes no passwords any more (basic authentication is switched off): ask its operator for another way in,",
            "for example a connector that knows this gateway by its address or by its certificate.",
          ]
        : []),
    ];
    const stored = await this.#deps.alarm.tell(`Mail waits: ${scene.shown} refuses our credentials`, lines);
    if (!stored) refusal.told = false;
  }

  /** The host has taken credentials, or mail without them. */
  accepted(host: Server): void {
    if (!this.#hosts.delete(keyOf(host))) return;
    this.#deps.log.line(1, `AUTH=client, ${host.name} accepts our credentials again`, "notice");
    this.#deps.alarm.mended();
  }

  /** Looks from time to time whether there are other credentials. */
  #look(): void {
    this.#cancelLook ??= this.#deps.clock.after(LOGIN_LOOK_MS, () => {
      this.#cancelLook = null;
      void this.#compare();
    });
  }

  async #compare(): Promise<void> {
    let mended = false;
    for (const refusal of [...this.#hosts.values()]) {
      const now = await this.#deps.info(refusal.name, refusal.address);
      if (now.kind === "tempfail" || (await this.#unchanged(refusal))) continue;
      this.#hosts.delete(keyOf(refusal));
      mended = true;
    }
    if (mended) this.#deps.alarm.mended();
    if (this.any) this.#look();
  }

  close(): void {
    this.#cancelLook?.();
    this.#cancelLook = null;
  }
}

function userOf(info: AuthInfo): string {
  return info.authenticationId === "" ? info.authorizationId : info.authenticationId;
}
