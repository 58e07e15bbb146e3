// One SASL mechanism, server and client side (RFC 4422): bytes in, bytes out. The exchange's base64 is the SMTP side's business.
// Each mechanism is one file that exports a Mechanism; sasl/registry.ts lists them; a feature flag takes one away.

import type { Lookup } from "../base/result.ts";

/** What the store knows of a user. Never all at once: only what enabled mechanisms need is kept. */
export interface Credential {
  readonly user: string;
  readonly realm: string;
  /** The secret itself, only when CRAM-MD5 or DIGEST-MD5 are enabled. */
  readonly secret?: string;
  readonly scramSha1?: ScramVerifier;
  readonly scramSha256?: ScramVerifier;
}

export interface ScramVerifier {
  readonly salt: Buffer;
  readonly iterations: number;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

/** What a server exchange may ask. */
export interface ServerContext {
  /** Our host name ($j), for challenges and digest-uri. */
  readonly host: string;
  /** Realm: confAUTH_REALM or the host name. */
  readonly realm: string;
  readonly service: "smtp";
  find(user: string, realm: string): Promise<Lookup<Credential>>;
  /** PLAIN/LOGIN: is this the user's password (store, pam/saslauthd)? */
  checkPassword(user: string, realm: string, password: string): Promise<Lookup<true>>;
  /** EXTERNAL: the identity that TLS proved, "" when none. */
  readonly externalIdentity: string;
  /** EXTERNAL: another name of that identity that a client may ask for: the common name of its certificate. */
  readonly externalName?: string;
  /** Challenges' randomness. */
  nonce(bytes: number): Buffer;
  /** Is this one of our names or addresses (class w), for digest-uri? Absent: only `host` and `realm` are. */
  ownName?(name: string): boolean;
  /** Makes challenges for users that do not exist look like those of users who do, the same at each try. */
  readonly decoyKey?: Buffer;
}

export type ServerStep =
  | { readonly kind: "challenge"; readonly data: Buffer }
  /** `identity`: authorization identity for logs and relaying; `data`: last server message to send before success, if any. */
  | { readonly kind: "success"; readonly identity: string; readonly data?: Buffer }
  /** temporary: the store could not answer (454 4.7.0). `reason` is for the log, never for the client. */
  | { readonly kind: "failure"; readonly temporary: boolean; readonly reason: string };

export interface ServerExchange {
  /** First call: the initial response, or null when the client sent none. */
  step(response: Buffer | null): Promise<ServerStep>;
}

export interface ClientContext {
  readonly host: string;
  readonly service: "smtp";
  /** Authorization identity ("" for the same), authentication identity, secret, realm ("" when not given). */
  readonly authorizationId: string;
  readonly authenticationId: string;
  readonly secret: string;
  readonly realm: string;
  nonce(bytes: number): Buffer;
}

export type ClientStep =
  | { readonly kind: "response"; readonly data: Buffer }
  /** The server's message is wrong or its proof is bad: give up (`*`). */
  | { readonly kind: "abort"; readonly reason: string };

export interface ClientExchange {
  /** Initial response, or null when the mechanism lets the server begin. */
  initial(): Buffer | null;
  step(challenge: Buffer): ClientStep;
  /** Called at 235 with nothing more to come: was the server's own proof seen (SCRAM, DIGEST-MD5)? */
  finished(): boolean;
}

export interface Mechanism {
  /** IANA name, upper case. */
  readonly name: string;
  /** Password crosses the wire: only under TLS unless the configuration says otherwise. */
  readonly plaintext: boolean;
  /** Needs the secret at rest. */
  readonly needsSecret: boolean;
  server(context: ServerContext): ServerExchange;
  client(context: ClientContext): ClientExchange;
}
