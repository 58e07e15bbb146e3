// What the SMTP server is made of: the interfaces it asks (policy, intake, routes, TLS, AUTH) and the settings it takes from the
// configuration once, so that no command looks up an option. One Service is one configuration; a reload makes a new one, and
// sessions that are open finish under theirs (contract section 5).

import type { Configuration, DaemonSpec } from "../config/configuration.ts";
import type { Reply } from "../mail/reply.ts";
import type { LoadLimits } from "../policy/load.ts";
import type { Client, Policy } from "../policy/policy.ts";
import type { Mechanism, ServerContext } from "../sasl/mechanism.ts";
import type { Intake } from "../spool/intake.ts";
import type { Clock } from "../sys/clock.ts";
import type { Log } from "../sys/log.ts";
import type { Resolver } from "../sys/resolver.ts";

/** One line of a VRFY or EXPN answer. */
export interface VerifiedAddress {
  /** User part of the resolved triple: "mick", "mick@internalmail.example". */
  readonly user: string;
  /** Full name of the account, "" when there is none. */
  readonly fullName: string;
  /** True for a final delivery here: VRFY says 250, else 252. */
  readonly local: boolean;
}

/** What the conversation asks of routing; refusals come with their `<address>... ` prefix where Sendmail has it. */
export interface Routes {
  /** Sendmail's recipient(): parse errors and User unknown, after check_rcpt has passed. */
  check(
    address: string,
    typed: string,
  ): Promise<
    /** `target`: the same text for two spellings of one recipient, when that is known. */
    | { readonly kind: "ok"; readonly willQueue: boolean; readonly target?: string }
    | { readonly kind: "refused"; readonly reply: Reply }
  >;
  /**
   * What is wrong with an address before any rule is asked, with its prefix; null: nothing. Asked when a parameter is wrong, because
   * Sendmail judges the address first.
   */
  refusal?(typed: string, side: "sender" | "recipient"): Promise<Reply | null>;
  /** Full name of the account that `sender` is, "" when it is none of ours. */
  fullName?(sender: string): Promise<string>;
  /** VRFY (`expand` false) and EXPN (true: through aliases and lists). */
  verify(
    argument: string,
    expand: boolean,
  ): Promise<
    | { readonly kind: "found"; readonly entries: readonly VerifiedAddress[] }
    | { readonly kind: "refused"; readonly reply: Reply }
  >;
}

/** AUTH as smtpd/ sees it; null in the Service when nothing is configured. */
export interface ServerAuth {
  /** Mechanisms to offer, in EHLO order. `encrypted`: TLS is active; EXTERNAL only with a verified certificate. */
  offered(client: Client, encrypted: boolean): readonly Mechanism[];
  context(client: Client): ServerContext;
}

/** TLS facts after a handshake, as Client.tls has them. */
export type TlsFacts = NonNullable<Client["tls"]>;

/** An established TLS stream; `socket` is a tls.TLSSocket. */
export interface TlsUpgrade {
  readonly socket: object;
  readonly facts: TlsFacts;
}

/** TLS as smtpd/ sees it; null in the Service when no certificate could be loaded. */
export interface ServerTls {
  /**
   * Server handshake on a plain socket that nobody reads any more. Resolves with null when it failed (the reason is logged there
   * or given through `failed`); the socket is then to be destroyed.
   */
  upgrade(socket: object, options: TlsUpgradeOptions): Promise<TlsUpgrade | { readonly failure: string }>;
}

export interface TlsUpgradeOptions {
  readonly requestCert: boolean;
  readonly timeoutMs: number;
  /** Name of the listener; sessions and tickets of one listener are worth nothing at another. */
  readonly listener: string;
}

export interface Service {
  readonly config: Configuration;
  /** $j */
  readonly hostName: string;
  /** $v, what greeting, HELP and Received say. */
  readonly version: string;
  readonly policy: Policy;
  readonly intake: Intake;
  readonly routes: Routes;
  readonly resolver: Resolver;
  readonly clock: Clock;
  readonly log: Log;
  readonly tls: ServerTls | null;
  readonly auth: ServerAuth | null;
  /** DelayLA and RefuseLA; undefined: the machine's load does not matter. */
  readonly load?: LoadLimits;
  /** ETRN: runs the queue for `host` (or the queue group of `#name`: false when there is none). */
  etrn(host: string): boolean;
}

/** A daemon for sessions that no listener accepted (-bs, tests). */
export const NO_DAEMON: DaemonSpec = {
  name: "stdin",
  address: "",
  port: 0,
  family: "inet",
  listen: 0,
  modifiers: "",
  children: 0,
  deliveryMode: "",
  sendBufferSize: 0,
  receiveBufferSize: 0,
  delayLA: 0,
  queueLA: 0,
  refuseLA: 0,
};
