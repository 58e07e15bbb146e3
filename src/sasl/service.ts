// AUTH of the gateway's server side: which mechanisms a connection is offered, and who answers for passwords and credentials.
// A mechanism is offered when it is configured, built in, allowed by AuthOptions, and something here could answer for its users.

import { SCRAM_ITERATIONS_MADE } from "../base/limits.ts";
import { ABSENT, found, type Lookup, tempfail } from "../base/result.ts";
import type { Options } from "../config/options.ts";
import { sameBytes } from "../sys/crypto.ts";
import type { Entropy } from "../sys/entropy.ts";
import { statPath } from "../sys/files.ts";
import { checkAccount } from "./accounts.ts";
import type { Credential, Mechanism, ServerContext } from "./mechanism.ts";
import { foldRealm, prepareSecret } from "./names.ts";
import { serverMechanisms } from "./registry.ts";
import { askSaslauthd, socketPath } from "./saslauthd.ts";
import { checkVerifier, makeVerifier } from "./scramkeys.ts";
import type { PasswordSource, SaslConf } from "./sendmailconf.ts";
import { type CredentialStore, openStore } from "./store.ts";

export interface SaslSettings {
  readonly options: Options;
  readonly conf: SaslConf;
  /** $j */
  readonly host: string;
  /** sasldb.json */
  readonly storePath: string;
  /** Accounts for pwcheck_method pam on a board; null on a host, where saslauthd is asked. */
  readonly accounts: { readonly passwd: string; readonly shadow: string } | null;
  /** Is this name or address one of ours (class w)? */
  ownName(name: string): boolean;
  readonly entropy: Entropy;
}

/** What AUTH needs to know of a client; policy/'s Client has it. */
export interface AuthClient {
  readonly tls?: { readonly verify: string; readonly certSubject: string; readonly cnSubject?: string };
}

export interface SaslServer {
  /** Mechanisms to offer on this connection, in the order configured. */
  offered(client: AuthClient, encrypted: boolean): readonly Mechanism[];
  context(client: AuthClient): ServerContext;
}

/**
 * May PLAIN and LOGIN be used without TLS? Only when AuthOptions is set and leaves out p, as it then does with Sendmail; there, not
 * setting it allows the same, here it does not.
 */
export function plaintextWithoutTls(options: Pick<Options, "AuthOptions">): boolean {
  return options.AuthOptions.length > 0 && !options.AuthOptions.includes("p");
}

/** AuthOptions that demand a property, and the mechanisms that have it (the SASL library's security flags). */
const DEMANDS = new Map<string, ReadonlySet<string>>([
  ["a", new Set(["SCRAM-SHA-1", "SCRAM-SHA-256", "EXTERNAL"])],
  ["c", new Set(["PLAIN", "LOGIN"])],
  ["d", new Set(["EXTERNAL"])],
  ["f", new Set<string>()],
  ["m", new Set(["DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "EXTERNAL"])],
]);

function allowed(mechanism: Mechanism, letters: string): boolean {
  return [...letters].every((letter) => DEMANDS.get(letter)?.has(mechanism.name) ?? true);
}

/** The identity that TLS proved: the subject of a certificate that verifies. */
function externalIdentity(client: AuthClient): string {
  return client.tls?.verify === "OK" ? client.tls.certSubject : "";
}

async function checkCredential(credential: Credential, password: string): Promise<boolean> {
  if (credential.scramSha256 !== undefined) return checkVerifier("sha256", password, credential.scramSha256);
  if (credential.scramSha1 !== undefined) return checkVerifier("sha1", password, credential.scramSha1);
  const secret = credential.secret === undefined ? null : prepareSecret(credential.secret);
  const given = prepareSecret(password);
  return secret !== null && given !== null && sameBytes(Buffer.from(secret), Buffer.from(given));
}

/** Who answers for passwords: the sources of Sendmail.conf in order. */
class PasswordSources {
  readonly #settings: SaslSettings;
  readonly #store: CredentialStore;
  readonly #realm: string;
  readonly #decoyKey: Buffer;

  constructor(settings: SaslSettings, store: CredentialStore, realm: string, decoyKey: Buffer) {
    this.#settings = settings;
    this.#store = store;
    this.#realm = foldRealm(realm);
    this.#decoyKey = decoyKey;
  }

  /** The first yes counts; a source that could not answer makes a no uncertain. */
  async check(user: string, realm: string, password: string): Promise<Lookup<true>> {
    const reasons: string[] = [];
    for (const source of this.#settings.conf.sources) {
      const answer = await this.#ask(source, user, realm, password);
      if (answer.kind === "found") return answer;
      if (answer.kind === "tempfail") reasons.push(answer.reason);
    }
    return reasons.length === 0 ? ABSENT : tempfail(reasons.join("; "));
  }

  async #ask(source: PasswordSource, user: string, realm: string, password: string): Promise<Lookup<true>> {
    if (source === "sasldb") return this.#fromStore(user, realm, password);
    const { accounts, conf } = this.#settings;
    const own = foldRealm(realm) === this.#realm;
    // Accounts of the system have no realm: a stranger's realm is not theirs.
    if (source === "pam" && accounts !== null) return own ? checkAccount(accounts, user, password) : ABSENT;
    const question = { user, password, service: "smtp", realm: own ? "" : realm };
    return askSaslauthd(socketPath(conf.saslauthdPath), question);
  }

  async #fromStore(user: string, realm: string, password: string): Promise<Lookup<true>> {
    const credential = this.#store.find(user, realm);
    if (credential.kind === "tempfail") return credential;
    if (credential.kind === "absent") {
      // An unknown user takes as long as a wrong password.
      await makeVerifier("sha256", password, this.#decoyKey, SCRAM_ITERATIONS_MADE);
      return ABSENT;
    }
    return (await checkCredential(credential.value, password)) ? found(true) : ABSENT;
  }
}

/** Could anything answer? A store file that is broken could, tomorrow: its mechanisms stay and answer 454. */
function answerable(mechanisms: readonly Mechanism[], settings: SaslSettings): readonly Mechanism[] {
  const others = settings.conf.sources.some((source) => source !== "sasldb");
  const certain = (m: Mechanism): boolean => m.name === "EXTERNAL" || (m.plaintext && others);
  if (mechanisms.every(certain)) return mechanisms;
  const stored = statPath(settings.storePath).kind !== "absent";
  return stored ? mechanisms : mechanisms.filter(certain);
}

/** Our own names, bare or as an address in brackets, in any case. */
function isOwn(settings: SaslSettings, name: string): boolean {
  const folded = foldRealm(name);
  return settings.ownName(folded) || settings.ownName(`[${folded}]`);
}

export function makeSaslServer(settings: SaslSettings): SaslServer {
  const { options, conf, host } = settings;
  const realm = options.AuthRealm === "" ? host : options.AuthRealm;
  const decoyKey = settings.entropy.bytes(32);
  const store = openStore(settings.storePath, {
    groupReadable: options.DontBlameSendmail.some((w) => w.toLowerCase() === "groupreadablesasldbfile"),
  });
  const sources = new PasswordSources(settings, store, realm, decoyKey);
  const mechanisms = conf.mechanisms;
  const names = options.AuthMechanisms.filter(
    (n) => mechanisms === null || mechanisms.includes(n.toUpperCase()),
  );
  const letters = [...options.AuthOptions].join("");
  return {
    offered(client, encrypted) {
      const where = {
        tls: encrypted,
        plaintextWithoutTls: plaintextWithoutTls(options),
        external: externalIdentity(client) !== "",
      };
      const listed = serverMechanisms(names, where).filter((m) => allowed(m, letters));
      return answerable(listed, settings);
    },
    context: (client) => ({
      host,
      realm,
      service: "smtp",
      find: async (user, userRealm) => store.find(user, userRealm),
      checkPassword: (user, userRealm, password) => sources.check(user, userRealm, password),
      externalIdentity: externalIdentity(client),
      externalName: client.tls?.cnSubject ?? "",
      nonce: (bytes) => settings.entropy.bytes(bytes),
      ownName: (name) => isOwn(settings, name),
      decoyKey,
    }),
  };
}

/** Do the enabled mechanisms need the secret itself at rest? */
export function needsSecret(mechanisms: readonly string[]): boolean {
  return mechanisms.some((name) => /^(CRAM|DIGEST)-MD5$/i.test(name));
}
