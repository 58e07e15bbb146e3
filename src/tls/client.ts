// TLS towards next hops: the handshake of STARTTLS, with our certificate when there is one.
// What the other side must show is asked of the access table's rules, not here. Sessions are resumed per host: the certificate and
// the verdict on it are those of the first handshake, and a change of our files forgets them all.

import { err, ok } from "../base/result.ts";
import type { Options } from "../config/options.ts";
import { type SecureContext, startTls } from "../sys/tls.ts";
import { type ClientTls, isDuplex, Keeper, type TlsSurroundings, tellTime } from "./context.ts";
import { factsOf, type TlsFacts } from "./facts.ts";

/** Hosts whose last session is kept. */
const SESSIONS_MAX = 500;

/** A session with what the handshake that it began with proved: a resumed one shows no certificate again. */
interface Kept {
  readonly context: SecureContext;
  readonly session: Buffer;
  readonly facts: TlsFacts;
}

/** The last session of each host, worth something only with the context that it was made with. */
class Sessions {
  readonly #kept = new Map<string, Kept>();

  find(name: string, context: SecureContext): Kept | null {
    const kept = this.#kept.get(name);
    return kept !== undefined && kept.context === context ? kept : null;
  }

  keep(name: string, kept: Kept): void {
    this.#kept.delete(name);
    // A clock that could not judge then may be able to now.
    if (kept.facts.verify === "TEMP") return;
    this.#kept.set(name, kept);
    const oldest = this.#kept.keys().next();
    if (this.#kept.size > SESSIONS_MAX && oldest.done !== true) this.#kept.delete(oldest.value);
  }

  forget(name: string): void {
    this.#kept.delete(name);
  }
}

/** The client side; works without any file (then nothing verifies). */
export function loadClientTls(options: Options, around: TlsSurroundings): ClientTls {
  const keeper = new Keeper(options, "client", around);
  const sessions = new Sessions();
  return {
    reason: () => keeper.reason,
    refresh: () => keeper.refresh(),
    warnings: () => keeper.warnings(),
    async upgrade(socket, name, timeoutMs) {
      const context = keeper.refresh() ? keeper.context("client", "") : null;
      if (context === null || !isDuplex(socket))
        return err(keeper.reason === "" ? "not a socket" : keeper.reason);
      const kept = sessions.find(name, context);
      let facts: TlsFacts | null = null;
      let early: Buffer | null = null;
      const done = await startTls(socket, {
        context,
        servername: name,
        timeoutMs,
        session: kept?.session,
        onSession(session) {
          // TLS 1.2 gives it within the handshake, TLS 1.3 later and more than one.
          if (facts === null) early = session;
          else sessions.keep(name, { context, session, facts });
        },
      });
      if (!done.ok) {
        // Should the host have choked on the old session, the next attempt begins anew.
        sessions.forget(name);
        return done;
      }
      const shown = factsOf(done.value, {
        requested: true,
        clockTrusted: around.clockTrusted(),
        meant: name,
      });
      const { version, cipher, bits, resumed } = shown;
      facts = resumed && kept !== null ? { ...kept.facts, version, cipher, bits, resumed } : shown;
      if (early !== null) sessions.keep(name, { context, session: early, facts });
      tellTime(around, "client", facts);
      return ok({ socket: done.value, facts });
    },
  };
}
