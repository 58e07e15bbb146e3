// TLS of the gateway, what both sides share: contexts made from the configured files, and made anew when a file changes.
// Files that fail at start switch their side off and say why; a bad replacement later leaves the good old ones in use, and says so.
// Each listener has contexts of its own, so a session or ticket of one is worth nothing at another; new files make old tickets worthless.

import type { Result } from "../base/result.ts";
import { err, ok } from "../base/result.ts";
import type { Options } from "../config/options.ts";
import { namesHost } from "../sys/crypto.ts";
import type { Log } from "../sys/log.ts";
import { type Duplex, makeContext, optionBits, type SecureContext, type TLSSocket } from "../sys/tls.ts";
import { type Dated, validityWarnings } from "./expiry.ts";
import type { TlsFacts } from "./facts.ts";
import {
  bareMaterial,
  filesOf,
  type KnownFiles,
  type Material,
  type Pair,
  readMaterial,
  type Side,
  stampOf,
  type TlsFiles,
} from "./material.ts";
import { revocationKey, revokedIn } from "./revoked.ts";
import type { TrustRules } from "./trust.ts";

export interface TlsSurroundings {
  readonly log: Log;
  /** False while the clock has not been set since boot. */
  clockTrusted(): boolean;
  /** Users that may own the files besides root. */
  readonly owners: readonly number[];
  /** Wall clock, milliseconds: for warnings about certificates that end soon; without it there are none. */
  nowMs?(): number;
  /** What was read before, kept over reloads; without it the files are followed from here on. */
  readonly known?: KnownFiles;
}

/** An encrypted stream and what it proved. */
export interface Upgraded {
  readonly socket: TLSSocket;
  readonly facts: TlsFacts;
}

export interface ServerTls {
  /** "" when TLS can be offered, else the log line that says why not. */
  reason(): string;
  /** False with TLSSrvOptions V: no client is asked for a certificate. */
  readonly asksCertificate: boolean;
  /** Looks at the files again; true when TLS can be offered now. Called by each handshake, and by a reload. */
  refresh(): boolean;
  /** What an administrator should know about the validity of the files, one line each. */
  warnings(): readonly string[];
  /** The certificates shown to clients: the first is the default. */
  leaves(): readonly Pair["leaf"][];
  /** Has the certificate of an open session been revoked since its handshake? */
  isRevoked(certificate: { readonly certIssuer: string; readonly serial: string }): boolean;
  /** The context of a listener, for the certificate that fits `servername`; null when TLS is off. */
  context(listener: string, servername?: string): SecureContext | null;
  /** Handshake on a plain socket that nobody reads any more; on failure the socket is destroyed. */
  upgrade(
    socket: object,
    options: { readonly requestCert: boolean; readonly timeoutMs: number; readonly listener: string },
  ): Promise<Upgraded | { readonly failure: string }>;
}

export interface ClientTls {
  warnings(): readonly string[];
  /** "" when our own certificate (if any) and authorities could be read, else the log line that says why not. */
  reason(): string;
  refresh(): boolean;
  /** Handshake towards `name`; an error is one printable line, and the socket is destroyed. */
  upgrade(socket: object, name: string, timeoutMs: number): Promise<Result<Upgraded>>;
}

/** OpenSSL keeps one certificate of each kind of key in a context, the last: ours is the first. */
function onePerKeyType(pairs: readonly Pair[]): readonly Pair[] {
  const types = pairs.map((pair) => pair.leaf.publicKey.asymmetricKeyType);
  return pairs.filter((_, i) => types.indexOf(types[i]) === i);
}

/**
 * What is in use and has an end, by the file it came from. As it was read: the files themselves may be root's alone, and root was given up.
 */
function datedOf(material: Material): readonly Dated[] {
  const { files, pairs, authority } = material;
  const own = pairs.map((pair, i) => ({ file: files.certificates[i] ?? "", certificate: pair.leaf }));
  const all = authority === null ? own : [...own, { file: files.authorityFile, certificate: authority }];
  return [...new Map(all.map((dated) => [dated.file, dated])).values()];
}

/** The files of one side, followed through their changes. */
export class Keeper {
  readonly #side: Side;
  readonly #options: Options;
  readonly #rules: TrustRules;
  readonly #log: Log;
  readonly #around: TlsSurroundings;
  readonly #optionBits: number;
  readonly #known: KnownFiles;
  #material: Material | null = null;
  #revoked: { readonly of: Material | null; readonly keys: ReadonlySet<string> } = {
    of: null,
    keys: new Set(),
  };
  #reason = "";
  #seen: string | null = null;
  /** Some files cannot be looked at, and that was said. */
  #blind = false;
  #contexts = new Map<string, SecureContext>();

  constructor(options: Options, side: Side, around: TlsSurroundings) {
    this.#side = side;
    this.#options = options;
    this.#log = around.log;
    this.#around = around;
    this.#known = around.known ?? new Map();
    this.#rules = {
      groupReadableKey: options.DontBlameSendmail.some(
        (word) => word.toLowerCase() === "groupreadablekeyfile",
      ),
      owners: around.owners,
    };
    const bits = optionBits(filesOf(options, side).optionWords);
    for (const word of bits.unknown)
      this.#log.line(
        5,
        `STARTTLS=${side}: unknown option ${word} in ${side === "server" ? "Server" : "Client"}SSLOptions ignored`,
      );
    this.#optionBits = bits.bits;
    this.refresh();
  }

  get material(): Material | null {
    return this.#material;
  }

  get reason(): string {
    return this.#material === null || this.#side === "client" ? this.#reason : "";
  }

  /** What the files look like now; what cannot be looked at any more (root was given up) has not changed as far as we know. */
  #stamp(files: TlsFiles): string {
    const now = stampOf(files);
    if (!/ \?$/m.test(now)) return now;
    const before = this.#seen?.split("\n") ?? [];
    const lines = now.split("\n");
    if (!this.#blind) {
      this.#blind = true;
      const names = lines.filter((line) => line.endsWith(" ?")).map((line) => line.slice(0, -2));
      this.#log.line(
        5,
        `STARTTLS=${this.#side}: cannot look at ${names.join(" ")}: what changes there, a revocation too, counts after a restart`,
      );
    }
    return lines.map((line, i) => (line.endsWith(" ?") ? (before[i] ?? line) : line)).join("\n");
  }

  refresh(): boolean {
    const files = filesOf(this.#options, this.#side);
    const stamp = this.#stamp(files);
    if (stamp === this.#seen) return this.#material !== null;
    this.#seen = stamp;
    const read = readMaterial(files, this.#rules, this.#known);
    const usable: Result<Material> = read.ok ? this.#try(read.value) : read;
    if (!usable.ok) {
      this.#reason = usable.error;
      this.#log.line(5, usable.error);
      if (this.#material !== null)
        this.#log.line(5, `STARTTLS=${this.#side}: the files read before stay in use`);
      else if (this.#side === "client") {
        // Encryption without our certificate is better than none; rules that ask for verification still refuse.
        const bare = this.#try(bareMaterial(files));
        if (bare.ok) this.#material = bare.value;
      }
      return this.#material !== null;
    }
    for (const note of usable.value.notes) this.#log.line(8, note);
    const again = this.#material !== null;
    this.#reason = "";
    this.#material = usable.value;
    for (const warning of this.warnings()) this.#log.line(5, `STARTTLS=${this.#side}: ${warning}`);
    if (again) this.#log.line(8, `STARTTLS=${this.#side}: certificate files changed and were read again`);
    return true;
  }

  isRevoked(certificate: { readonly certIssuer: string; readonly serial: string }): boolean {
    this.refresh();
    if (this.#revoked.of !== this.#material)
      this.#revoked = { of: this.#material, keys: revokedIn(this.#material?.revocations ?? []) };
    return this.#revoked.keys.has(revocationKey(certificate.certIssuer, certificate.serial));
  }

  /** Certificates and authorities in use that have ended or will soon. */
  warnings(): readonly string[] {
    const { nowMs } = this.#around;
    if (nowMs === undefined || this.#material === null) return [];
    return validityWarnings(datedOf(this.#material), {
      ms: nowMs(),
      trusted: this.#around.clockTrusted(),
    });
  }

  /** Makes the first context, so that what OpenSSL dislikes is found now; the old contexts go only when that worked. */
  #try(material: Material): Result<Material> {
    const context = this.#make(material, onePerKeyType(material.pairs), "");
    if (!context.ok) return err(`STARTTLS=${this.#side}, error: ${context.error}`);
    this.#contexts = new Map();
    return ok(material);
  }

  #make(material: Material, pairs: readonly Pair[], purpose: string): Result<SecureContext> {
    return makeContext({
      pairs,
      authorities: material.authorities,
      revocations: material.revocations,
      ciphers: material.files.ciphers,
      dhParameters: material.dhParameters,
      options: this.#optionBits,
      purpose,
      side: this.#side,
    });
  }

  /** The context for `purpose` with the pairs that fit `servername`, all of them when none does. */
  context(purpose: string, servername: string): SecureContext | null {
    const material = this.#material;
    if (material === null) return null;
    const fitting = servername === "" ? [] : material.pairs.filter((p) => namesHost(p.leaf, servername));
    const pairs = onePerKeyType(fitting.length === 0 ? material.pairs : fitting);
    const key = `${purpose}\0${pairs.map((p) => material.pairs.indexOf(p)).join(",")}`;
    const known = this.#contexts.get(key);
    if (known !== undefined) return known;
    const made = this.#make(material, pairs, purpose);
    if (!made.ok) {
      this.#log.line(5, `STARTTLS=${this.#side}, error: ${made.error}`);
      return null;
    }
    // Bounded by the listeners times the configured pairs.
    this.#contexts.set(key, made.value);
    return made.value;
  }
}

/** A socket from the caller, who knows it only as an object. */
export function isDuplex(socket: object): socket is Duplex {
  return "pipe" in socket && "write" in socket && "destroy" in socket;
}

/** Says that a certificate could not be judged because the clock is not set. */
export function tellTime(around: TlsSurroundings, side: Side, facts: TlsFacts): void {
  if (facts.verify === "TEMP")
    around.log.line(
      5,
      `STARTTLS=${side}: certificate of ${facts.certSubject} cannot be judged, the clock is not set (${facts.verifyError})`,
    );
}
