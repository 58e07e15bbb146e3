// What SMTP and LMTP mailers have in common (RFC 5321, RFC 2033; semantics sections 6 and 20): hosts in order, one transaction per
// batch of recipients, kept connections. Promises one outcome per recipient in order, whatever the hosts do: 4xx goes to the next
// host of the list and is deferred after the last; 5xx is final; nothing is tried elsewhere once the message was sent.

import { CONNECT_ADDRESSES_MAX, CONNECT_HOSTS_MAX, CONNECTIONS_PER_HOST_MAX } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { MailerSpec } from "../config/configuration.ts";
import { type Outcome, outcome } from "../mail/outcome.ts";
import type { Attempt, Mailer } from "../spool/mailer.ts";
import { addressFamily, connectTcp, connectUnix, type Duplex, type NetFailure } from "../sys/net.ts";
import { connectProgram } from "../sys/spawn.ts";
import { limitMs } from "./deadlines.ts";
import { expandWord, wordsOf } from "./mailerargs.ts";
import type { Candidate, Hosts, SmtpNeeds } from "./needs.ts";
import { payloadSize } from "./payload.ts";
import { programEnvironment } from "./program.ts";
import { type Manner, type Opened, openSession, type Session } from "./session.ts";
import type { Connections } from "./shared.ts";
import { type Addressee, type Letter, type Transacted, transact } from "./transaction.ts";
import { declined, exited } from "./wording.ts";

const PORTS = new Map<string, number>([
  ["smtp", 25],
  ["submission", 587],
  ["lmtp", 24],
]);

/** Hosts remembered as unable to pipeline. */
const STEPWISE_HOSTS_MAX = 1000;

const AGAIN = { outcome: outcome("deferred", "4.4.2", "Deferred"), again: true };

/** The results of one attempt as they come. */
class Tally {
  readonly results: (Outcome | null)[];
  pending: readonly number[];

  constructor(count: number) {
    this.results = Array.from({ length: count }, () => null);
    this.pending = this.results.map((_, i) => i);
  }

  /** A result that stays open for another host. A deferral is not overwritten by a later host's failure to be reached. */
  keep(index: number, found: Outcome): void {
    const before = this.results[index];
    if (found.kind === "failed" && before?.kind === "deferred") return;
    this.results[index] = found;
  }

  /** No host was found or reached for what is left: it may be worth another one. */
  unreached(): boolean {
    return (
      this.pending.length > 0 &&
      this.pending.every((i) => {
        const result = this.results[i];
        if (result === null || result === undefined) return false;
        if (result.kind === "failed") return result.status === "5.1.2";
        return result.kind === "deferred" && result.status.startsWith("4.4.") && result.diagnostic === "";
      })
    );
  }
}

type Reachable = Extract<Hosts, { readonly kind: "hosts" }>;

/** One outcome for each recipient. */
function answersOf(tally: Tally, to: Attempt["recipients"]): readonly Outcome[] {
  return tally.results.map((result, i) => result ?? exited(75, to[i]?.address ?? ""));
}

export class HostMailer implements Mailer {
  readonly #needs: SmtpNeeds;
  readonly #spec: MailerSpec;
  readonly #shared: Connections;
  readonly #manner: Manner;
  readonly #perRecipient: boolean;
  readonly #stepwise = new Set<string>();

  constructor(needs: SmtpNeeds, spec: MailerSpec, shared: Connections, lmtp = false) {
    this.#needs = needs;
    this.#spec = spec;
    this.#shared = shared;
    this.#manner = { hello: lmtp ? "LHLO" : "EHLO", extended: lmtp || spec.flags.includes("a") };
    this.#perRecipient = lmtp;
  }

  async deliver(attempt: Attempt): Promise<readonly Outcome[]> {
    const to = attempt.recipients;
    const target = this.#target(attempt.host);
    const hosts =
      target.path === "" ? await this.#needs.hosts(target.host, this.#spec) : ofSocket(target.path);
    const fallback = target.path === "" && !this.#perRecipient ? this.#needs.options.FallbackSmartHost : "";
    const tally = new Tally(to.length);
    if (hosts.kind === "outcome") {
      to.forEach((r, i) => {
        tally.keep(i, hosts.outcome(r.address));
      });
      if (fallback === "" || !tally.unreached()) return answersOf(tally, to);
    }
    const letter = await this.#letter(attempt);
    const { sizeMax } = this.#spec;
    if (sizeMax > 0 && payloadSize(letter.payload) > sizeMax)
      return to.map((r) =>
        declined("failed", 552, "5.2.3", `Message is too large; ${sizeMax} bytes max`, r.address),
      );
    const addressees = await this.#addressees(attempt);
    const tryAll = async ({ candidates }: Reachable): Promise<void> => {
      const started = this.#needs.clock.monotonicMs();
      const patienceMs = limitMs(this.#needs.options["Timeout.aconnect"]);
      for (const [nth, candidate] of candidates.slice(0, CONNECT_HOSTS_MAX).entries()) {
        if (nth > 0 && this.#needs.clock.monotonicMs() - started > patienceMs) break;
        const port = candidate.port > 0 ? candidate.port : target.port;
        await this.#tryHost({ ...candidate, port }, nth === 0, letter, addressees, tally, attempt.signal);
        if (tally.pending.length === 0 || attempt.signal.aborted) break;
      }
    };
    if (hosts.kind === "hosts") await tryAll(hosts);
    if (fallback !== "" && tally.unreached() && !attempt.signal.aborted) {
      // Sendmail's FallbackSmartHost: for hosts that DNS does not know, or that nobody could reach.
      const last = await this.#needs.hosts(fallback, this.#spec);
      if (last.kind === "hosts") await tryAll(last);
    }
    return answersOf(tally, to);
  }

  close(): Promise<void> {
    this.#shared.pool.close();
    this.#needs.auth?.refusals.close();
    return Promise.resolve();
  }

  /** Host string and port that A= makes of the resolved host: `TCP $h 587`; or the socket of `FILE /path`; or the program P=. */
  #target(host: string): { readonly host: string; readonly port: number; readonly path: string } {
    const words = wordsOf(this.#spec.args);
    const macros = new Map([["h", host]]);
    if (!this.#spec.path.startsWith("[")) return { host: "", port: 0, path: this.#spec.path };
    if (words[0] === "FILE") return { host: "", port: 0, path: expandWord(words[1] ?? "", macros) };
    const named = words[1] === undefined ? host : expandWord(words[1], macros);
    const port = words[2] ?? "smtp";
    return { host: named, port: PORTS.get(port) ?? (Number(port) || 25), path: "" };
  }

  async #letter(attempt: Attempt): Promise<Letter> {
    const { message } = attempt;
    return {
      envelope: message.envelope,
      sender: await this.#needs.senderFor(this.#spec, attempt.sender),
      payload: {
        header: await this.#needs.header(this.#spec, message.header, message.envelope),
        body: message.body,
      },
      lineMax: this.#spec.lineMax,
      raw8Bit: this.#spec.flags.includes("8"),
      id: message.id,
      perRecipient: this.#perRecipient,
      ageMs: Math.max(0, this.#needs.clock.wallMs() - message.arrivedMs),
    };
  }

  async #addressees(attempt: Attempt): Promise<readonly Addressee[]> {
    const made: Addressee[] = [];
    for (const r of attempt.recipients)
      made.push({
        wire: await this.#needs.recipientFor(this.#spec, r.user),
        shown: r.address,
        notify: r.notify,
        orcpt: r.orcpt,
      });
    return made;
  }

  /** All pending recipients at one host, in batches of r=. */
  async #tryHost(
    candidate: Candidate,
    first: boolean,
    letter: Letter,
    to: readonly Addressee[],
    tally: Tally,
    signal: AbortSignal,
  ): Promise<void> {
    const known =
      this.#shared.status.known(candidate.name) ??
      (await this.#needs.auth?.refusals.known(candidate)) ??
      null;
    if (known !== null) {
      for (const i of tally.pending) tally.keep(i, known);
      return;
    }
    const most = this.#spec.recipientsMax > 0 ? this.#spec.recipientsMax : tally.pending.length;
    const left: number[] = [];
    for (let from = 0; from < tally.pending.length; from += most) {
      const batch = tally.pending.slice(from, from + most);
      const trials = await this.#batch(
        candidate,
        first,
        letter,
        batch.map((i) => to[i]).filter((a) => a !== undefined),
        signal,
      );
      batch.forEach((i, n) => {
        const trial = trials[n] ?? AGAIN;
        tally.keep(i, trial.outcome);
        if (trial.again) left.push(i);
        else tally.results[i] = trial.outcome;
      });
    }
    tally.pending = left;
  }

  /** One batch over one session; a kept session that turns out to be dead is replaced. */
  async #batch(
    candidate: Candidate,
    first: boolean,
    letter: Letter,
    to: readonly Addressee[],
    signal: AbortSignal,
  ): Promise<Transacted["trials"]> {
    const { pool } = this.#shared;
    const key = `${this.#spec.name}\0${candidate.name.toLowerCase()}\0${candidate.port}`;
    for (let tries = 0; tries <= CONNECTIONS_PER_HOST_MAX; tries++) {
      const lease = await pool.acquire(key, () => this.#open(candidate, first), signal);
      if (!lease.ok) return to.map(() => ({ outcome: lease.error, again: !signal.aborted }));
      const { session, reused } = lease.value;
      if (this.#stepwise.has(key)) session.pipelining = false;
      const done = await transact(this.#needs, session, letter, to, signal);
      pool.release(key, session, this.#usable(session));
      if (done.confused) this.#remember(key);
      else if (!done.stale || !reused) return done.trials;
      pool.closeIdle(key);
    }
    return to.map(() => AGAIN);
  }

  /** A host that said PIPELINING and could not: from now on it gets one command at a time. */
  #remember(key: string): void {
    this.#stepwise.add(key);
    const oldest = this.#stepwise.values().next();
    if (this.#stepwise.size > STEPWISE_HOSTS_MAX && oldest.done !== true) this.#stepwise.delete(oldest.value);
  }

  #usable(session: Session): boolean {
    const { messagesMax } = this.#spec;
    return (
      session.wire.broken === null && !session.spent && (messagesMax === 0 || session.messages < messagesMax)
    );
  }

  /** A session with the first address of the host that gives one. */
  async #open(candidate: Candidate, first: boolean): Promise<Opened> {
    const { status, watch } = this.#shared;
    if (candidate.name.startsWith("/")) return this.#openSocket(candidate);
    const addresses = await this.#addresses(candidate);
    if (!addresses.ok) return addresses;
    const options = this.#needs.options;
    const timeoutMs = limitMs(options[first ? "Timeout.iconnect" : "Timeout.connect"]);
    let failure: Outcome = exited(68, "");
    for (const address of addresses.value.slice(0, CONNECT_ADDRESSES_MAX)) {
      const connecting =
        this.#needs.dial?.(candidate, address, candidate.port) ??
        connectTcp({
          address,
          port: candidate.port,
          timeoutMs,
          localAddress: sameFamily(this.#needs.localAddress, address),
        });
      const opened = await openSession(this.#needs, watch, this.#manner, candidate, address, connecting);
      if (opened.ok) {
        status.reached(candidate.name);
        return opened;
      }
      failure = opened.error;
    }
    status.failed(candidate.name, failure);
    return err(failure);
  }

  /** A Unix socket, or a program that speaks LMTP on its standard streams. */
  #openSocket(candidate: Candidate): Promise<Opened> {
    const [name = "", ...args] = wordsOf(this.#spec.args);
    const environment = programEnvironment();
    const connecting: Promise<Result<Duplex, NetFailure>> =
      this.#needs.dial?.(candidate, "", 0) ??
      (this.#spec.path.startsWith("[")
        ? connectUnix(candidate.name, limitMs(this.#needs.options["Timeout.connect"]))
        : connectProgram({ file: this.#spec.path, args, name, environment, cwd: "/" }));
    return openSession(this.#needs, this.#shared.watch, this.#manner, candidate, "", connecting);
  }

  async #addresses(candidate: Candidate): Promise<Result<readonly string[], Outcome>> {
    if (addressFamily(candidate.name) !== 0) return ok([candidate.name]);
    const found = await this.#needs.addresses(candidate.name);
    if (found.kind === "found" && found.value.length > 0) return ok(found.value);
    const { shown, name } = candidate;
    if (found.kind === "tempfail")
      return err(
        outcome("deferred", "4.4.3", `Deferred: Name server: ${shown}: host name lookup failure`, {
          remote: name,
          transcript: [`451 ${name}: Name server timeout`],
        }),
      );
    return err(
      outcome("failed", "5.1.2", `Host unknown (Name server: ${name}: host not found)`, {
        diagnostic: "550 Host unknown",
        remote: name,
        transcript: [`550 5.1.2 ${name}: Host unknown (Name server: ${name}: host not found)`],
      }),
    );
  }
}

/** A Unix socket as the one host there is. */
function ofSocket(path: string): Hosts {
  return { kind: "hosts", candidates: [{ name: path, shown: path, port: 0 }] };
}

/** The local address when it can be used towards `address`. */
function sameFamily(local: string, address: string): string {
  return addressFamily(local) === addressFamily(address) ? local : "";
}
