// What the mailers ask of the rest of the program: names, rewriting, TLS and AUTH rules, files, users.
// daemon/ fills it from route/, policy/, tls/ and sasl/; tests fill it with data. Answers may be given at once or later.

import type { Lookup, Result } from "../base/result.ts";
import type { MailerSpec } from "../config/configuration.ts";
import type { Options } from "../config/options.ts";
import type { Envelope } from "../mail/envelope.ts";
import type { Outcome } from "../mail/outcome.ts";
import type { Mechanism } from "../sasl/mechanism.ts";
import type { Clock } from "../sys/clock.ts";
import type { Entropy } from "../sys/entropy.ts";
import type { Log } from "../sys/log.ts";
import type { Duplex, NetFailure } from "../sys/net.ts";
import type { Runner } from "../sys/spawn.ts";
import type { Refusals } from "./refusals.ts";
import type { Inspect } from "./smrsh.ts";

export type Soon<T> = T | Promise<T>;

/** A host to try, in the order of the list (preference; random among equals is already done). */
export interface Candidate {
  /** Name for TLS rules, AUTH and Remote-MTA, without brackets and trailing dot; an address for `[1.2.3.4]`. */
  readonly name: string;
  /** As logs and "Connection refused by" show it: `mx.example.` when it came from DNS, else as written. */
  readonly shown: string;
  /** 0: the mailer's port. */
  readonly port: number;
}

/** Where the mail for a host goes; or the outcome that all recipients have (host unknown, null MX, loops back, DNS failure). */
export type Hosts =
  | { readonly kind: "hosts"; readonly candidates: readonly Candidate[] }
  | { readonly kind: "outcome"; readonly outcome: (recipientAddress: string) => Outcome };

/** What a handshake proved; the words of Sendmail's ${verify}, ${cn_issuer}, ... */
export interface TlsFacts {
  readonly version: string;
  readonly cipher: string;
  readonly bits: number;
  /** "OK", "NO", "FAIL", ...; without TLS: "NONE" (not offered), "CLEAR" (Try_TLS NO), "TEMP", "PROTOCOL", ... */
  readonly verify: string;
  readonly certIssuer: string;
  readonly certSubject: string;
  readonly cnIssuer: string;
  readonly cnSubject: string;
  /** The certificate names the host that was meant. Absent: not known, so no. */
  readonly nameMatches?: boolean;
}

/** A rule's refusal as a reply: 454 4.7.0 "authentication required". */
export interface TlsRefusal {
  readonly code: number;
  readonly status: string;
  readonly text: string;
}

/** The TLS side of the client (tls/ and policy/). */
export interface TlsNeeds {
  /** Try_TLS: false means that STARTTLS is not used with this host. A lookup failure is a refusal to go on. */
  wanted(name: string, address: string): Soon<Lookup<boolean>>;
  /** The handshake on a socket whose STARTTLS was answered with 220. An error is one printable line. */
  upgrade(
    socket: Duplex,
    name: string,
    timeoutMs: number,
  ): Promise<Result<{ readonly socket: Duplex; readonly facts: TlsFacts }>>;
  /** TLS_Srv for this host after EHLO (and after STARTTLS where it was used). */
  checkServer(name: string, address: string, facts: TlsFacts): Soon<TlsRefusal | null>;
  /** TLS_Rcpt for one recipient over this connection. null also when there are no such rules at all. */
  checkRecipient(recipient: string, name: string, facts: TlsFacts): Soon<TlsRefusal | null>;
  /** True when TLS_Rcpt rules exist, so that the mailer can save asking for each recipient. */
  readonly recipientRules: boolean;
}

/** Credentials for a next hop, from AuthInfo: keys or default-auth-info. */
export interface AuthInfo {
  readonly authorizationId: string;
  readonly authenticationId: string;
  readonly secret: string;
  /** "" when not given. */
  readonly realm: string;
  /** Mechanisms named with the credentials, empty: ours. */
  readonly mechanisms: readonly string[];
}

export interface AuthNeeds {
  /** AuthInfo:name, AuthInfo:address, AuthInfo: of the access table or authinfo map. */
  info(name: string, address: string): Soon<Lookup<AuthInfo>>;
  /** Our mechanisms in the order of AuthMechanisms (or of the credentials), those that `offered` has too. */
  mechanisms(ours: readonly string[], offered: readonly string[]): readonly Mechanism[];
  /** Hosts that have refused what info() gives. */
  readonly refusals: Refusals;
}

/** A connection to an address (port of the mailer or of the route) or, with port 0, to a Unix socket or program by its name. */
export type Dial = (
  candidate: Candidate,
  address: string,
  port: number,
) => Promise<Result<Duplex, NetFailure>>;

/** What the SMTP and LMTP mailers need. */
export interface SmtpNeeds {
  readonly options: Options;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  /** $j */
  readonly hostName: string;
  hosts(host: string, mailer: MailerSpec): Soon<Hosts>;
  /** Addresses of a candidate in the order to try them; IPv4 or IPv6 text. */
  addresses(name: string): Soon<Lookup<readonly string[]>>;
  /** The header as this mailer sends it; CRLF lines, no blank line. */
  header(mailer: MailerSpec, header: Buffer, envelope: Envelope): Soon<Buffer>;
  senderFor(mailer: MailerSpec, sender: string): Soon<string>;
  recipientFor(mailer: MailerSpec, user: string): Soon<string>;
  readonly tls: TlsNeeds | null;
  readonly auth: AuthNeeds | null;
  /** Address on our side for outgoing connections (CLIENT_OPTIONS), "" for the system's choice. */
  readonly localAddress: string;
  /** How connections are made, instead of over the network: the recording transport of postern trace. */
  readonly dial?: Dial;
}

/** What local, file, prog and procmail need besides. */
export interface LocalNeeds {
  /** The directory beneath which alone local mail is written (SafeFileEnvironment). */
  readonly jail: string;
  /** The mailbox of a user, a path beneath the jail: a file, or a Maildir when it ends in "/". */
  mailbox(user: string): string;
  /** Bytes that a mailbox file may have, 0: no limit. */
  readonly mailboxBytesMax: number;
  /** Where programs of aliases may be, in order. */
  readonly smrshDirectories: readonly string[];
  readonly run: Runner;
  readonly inspect: Inspect;
}

/** Everything that the registry hands to the mailers. */
export interface MailerNeeds extends SmtpNeeds, LocalNeeds {}
