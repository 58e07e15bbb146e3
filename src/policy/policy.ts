// What smtpd/ asks before it lets a client go on, in Sendmail's order of rule sets: check_relay, check_helo, check_mail, check_rcpt, ...
// One implementation (policy/ files behind it), made by makePolicy(site, ...); smtpd/ only words the answers.

import type { Reply } from "../mail/reply.ts";

/** The client as far as it is known when a question is asked. */
export interface Client {
  /** Address without brackets; "" for `-bs` on a terminal or pipe (a local process). */
  readonly address: string;
  /** Verified name, "[1.2.3.4]" without one; the unverified PTR name when forged. */
  readonly name: string;
  readonly resolve: "ok" | "fail" | "forged" | "temp";
  readonly helo: string;
  /** DaemonPortOptions of the listener: name and modifier letters. */
  readonly daemon: string;
  readonly modifiers: string;
  /** Address and port on our side. */
  readonly localAddress: string;
  readonly localPort: number;
  /** Set after AUTH: does the mechanism permit relaying is asked of TrustAuthMech. */
  readonly auth?: { readonly identity: string; readonly mechanism: string };
  readonly tls?: {
    readonly version: string;
    readonly cipher: string;
    readonly bits: number;
    /** Sendmail's ${verify}: "OK" | "NO" | "NOT" | "FAIL" | ... */
    readonly verify: string;
    /** ${cert_issuer}, ${cert_subject} in Sendmail's /C=../CN=.. form with +XX escapes, ${cn_subject}, ${cn_issuer}. */
    readonly certIssuer: string;
    readonly certSubject: string;
    readonly cnIssuer: string;
    readonly cnSubject: string;
    /** Serial number of the certificate, hex. */
    readonly serial?: string;
  };
}

export type Verdict =
  | { readonly kind: "ok" }
  /** `close`: the connection ends with this reply (421 and the `terminate` forms). */
  | { readonly kind: "reject"; readonly reply: Reply; readonly close: boolean }
  /** Accept what follows and drop the message. */
  | { readonly kind: "discard" }
  | { readonly kind: "quarantine"; readonly reason: string };

export const OK: Verdict = { kind: "ok" };

export interface Policy {
  /** Milliseconds to wait before the greeting (greet_pause with GreetPause: keys); 0 none. */
  greetPauseMs(client: Client): number;
  /** A connection begins: counts it for rates; pair with closed(). check_relay with ratecontrol, conncontrol, access, rdns, dnsbl. */
  connect(client: Client): Promise<Verdict>;
  closed(client: Client): void;
  helo(client: Client): Promise<Verdict>;
  /** `typed` is the argument as the client wrote it, "<a@b>"; `sender` without brackets. check_mail. */
  mail(client: Client, sender: string, typed: string): Promise<Verdict>;
  /** check_rcpt (with delay_checks: then check_mail and check_relay too), relaying, blocklist. Routing errors are not its business. */
  rcpt(client: Client, sender: string, recipient: string, typed: string): Promise<Verdict>;
  /** check_data / end of message hooks: nothing in plain Sendmail, kept for quarantine by content later. */
  data(client: Client, sender: string): Promise<Verdict>;
  /** TLS_Clt: rules after STARTTLS and before MAIL (section 22); its refusal is repeated by all commands. */
  tlsClient(client: Client): Verdict;
  /** Srv_Features: letters for this client, e.g. "S" no STARTTLS offered, "A" no AUTH, "V" no client certificate asked. */
  serverFeatures(client: Client): string;
  /** May the client use VRFY/EXPN/ETRN for this argument? */
  etrn(client: Client, host: string): Promise<Verdict>;
}
