// SASL SCRAM-SHA-1 and SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding: the gs2 flags n and y are taken, p is refused.
// The server needs a verifier only, never the secret; a user that does not exist gets a challenge that looks like any other's.
// The client demands the server's signature before it calls the exchange finished, and rounds within bounds.

import {
  DIGEST_RESPONSE_BYTES_MAX,
  SCRAM_ITERATIONS_MADE,
  SCRAM_ITERATIONS_MAX,
  SCRAM_ITERATIONS_MIN,
} from "../base/limits.ts";
import { deriveKeyNow, digest, hmac, sameBytes } from "../sys/crypto.ts";
import { abort, admit, challenge, later, NOTHING, refuse, respond } from "./exchange.ts";
import type {
  ClientContext,
  ClientExchange,
  ClientStep,
  Mechanism,
  ScramVerifier,
  ServerContext,
  ServerExchange,
  ServerStep,
} from "./mechanism.ts";
import { type Account, decodeUtf8, prepareName, prepareSecret, splitAccount } from "./names.ts";
import { fromBase64, keysOf, SCRAM_KEY_BYTES, type ScramDigest, verifierOf, xor } from "./scramkeys.ts";

/** A nonce: printable ASCII but the comma. */
const NONCE = /^[\x21-\x2b\x2d-\x7e]+$/;

/** saslname (RFC 5802 section 5.1): "=2C" and "=3D" stand for comma and equals sign, no other "=" occurs. */
function decodeName(text: string): string | null {
  if (/=(?!2C|3D)/.test(text)) return null;
  return text.replaceAll("=2C", ",").replaceAll("=3D", "=");
}

function encodeName(name: string): string {
  return name.replaceAll("=", "=3D").replaceAll(",", "=2C");
}

/** `x=value` with the letter asked for, or null. */
function attribute(text: string | undefined, letter: string): string | null {
  return text?.startsWith(`${letter}=`) ? text.slice(2) : null;
}

interface ClientFirst {
  readonly header: string;
  readonly bare: string;
  readonly account: Account;
  readonly authorizationId: string;
  readonly nonce: string;
}

function readClientFirst(context: ServerContext, message: Buffer): ClientFirst | string {
  if (message.length > DIGEST_RESPONSE_BYTES_MAX) return "message too long";
  const text = decodeUtf8(message);
  if (text === null || text.includes("\0")) return "message is not UTF-8";
  const [flag, authz, ...rest] = text.split(",");
  if (flag?.startsWith("p=")) return "channel binding asked for, none offered";
  if (flag !== "n" && flag !== "y") return "no gs2 header";
  const authorizationId = authz === "" ? "" : decodeName(attribute(authz, "a") ?? "=");
  if (authorizationId === null || authz === undefined) return "bad authorization identity";
  if (rest[0]?.startsWith("m=")) return "a mandatory extension is asked for";
  const name = decodeName(attribute(rest[0], "n") ?? "=");
  const account = name === null ? null : splitAccount(name, context.realm);
  if (account === null) return "not a user name";
  const nonce = attribute(rest[1], "r");
  if (nonce === null || !NONCE.test(nonce)) return "no nonce";
  return { header: `${flag},${authz},`, bare: rest.join(","), account, authorizationId, nonce };
}

/** A verifier that no proof fits, the same for a name at each try. */
function decoy(context: ServerContext, algorithm: ScramDigest, account: Account): ScramVerifier {
  const key = context.decoyKey ?? Buffer.from(context.host);
  const seed = hmac("sha256", key, Buffer.from(`${algorithm}\0${account.user}\0${account.realm}`));
  const nothing = Buffer.alloc(SCRAM_KEY_BYTES[algorithm]);
  return {
    salt: seed.subarray(0, 16),
    iterations: SCRAM_ITERATIONS_MADE,
    storedKey: nothing,
    serverKey: nothing,
  };
}

/** Text of our nonce; replaced by tests that replay an RFC's exchange. */
export type NonceText = (context: { nonce(bytes: number): Buffer }) => string;
const randomNonce: NonceText = (context) => context.nonce(18).toString("base64");

function server(algorithm: ScramDigest, context: ServerContext, nonceText: NonceText): ServerExchange {
  let first: ClientFirst | null = null;
  let verifier: ScramVerifier | undefined;
  let refusal: string | null = null;
  let serverFirst = "";
  let nonce = "";
  let admitted: ServerStep | null = null;

  async function begin(message: Buffer): Promise<ServerStep> {
    const read = readClientFirst(context, message);
    if (typeof read === "string") return refuse(read);
    const credential = await context.find(read.account.user, read.account.realm);
    if (credential.kind === "tempfail") return later(credential.reason);
    verifier = credential.kind === "found" ? verifierOf(credential.value, algorithm) : undefined;
    if (verifier === undefined)
      refusal = credential.kind === "found" ? "no verifier is kept for this user" : "unknown user";
    first = read;
    nonce = read.nonce + nonceText(context);
    const shown = verifier ?? decoy(context, algorithm, read.account);
    serverFirst = `r=${nonce},s=${shown.salt.toString("base64")},i=${shown.iterations}`;
    return challenge(serverFirst);
  }

  function judge(message: Buffer, begun: ClientFirst): ServerStep {
    const text = message.length > DIGEST_RESPONSE_BYTES_MAX ? null : decodeUtf8(message);
    const cut = text?.lastIndexOf(",p=") ?? -1;
    if (text === null || cut < 0) return refuse("no proof");
    const bare = text.slice(0, cut);
    const proof = fromBase64(text.slice(cut + 3));
    const [binding, echoed, extension] = bare.split(",");
    if (extension?.startsWith("m=")) return refuse("a mandatory extension is asked for");
    if (attribute(binding, "c") !== Buffer.from(begun.header).toString("base64"))
      return refuse("channel binding is not the gs2 header");
    if (attribute(echoed, "r") !== nonce) return refuse("nonce is not ours");
    if (proof === null || proof.length !== SCRAM_KEY_BYTES[algorithm]) return refuse("proof is malformed");
    const known = verifier ?? decoy(context, algorithm, begun.account);
    const signed = Buffer.from(`${begun.bare},${serverFirst},${bare}`);
    const clientKey = xor(proof, hmac(algorithm, known.storedKey, signed));
    const right = sameBytes(digest(algorithm, clientKey), known.storedKey);
    if (refusal !== null) return refuse(refusal);
    if (!right) return refuse("wrong proof");
    const answer = admit(context, begun.account, begun.authorizationId);
    if (answer.kind !== "success") return answer;
    admitted = answer;
    return challenge(`v=${hmac(algorithm, known.serverKey, signed).toString("base64")}`);
  }

  let judged = false;
  return {
    async step(message) {
      if (admitted !== null)
        return message === null || message.length === 0 ? admitted : refuse("data after the server's proof");
      if (first === null) return message === null ? challenge(NOTHING) : begin(message);
      if (judged || message === null) return refuse("no proof");
      judged = true;
      return judge(message, first);
    },
  };
}

/** What a client has said and may expect. */
interface ClientTalk {
  readonly header: string;
  readonly bare: string;
  readonly nonce: string;
}

/** The client's final message for the server's first, and the signature that the server must then show; a string: why not. */
function proof(
  algorithm: ScramDigest,
  context: ClientContext,
  talk: ClientTalk,
  message: Buffer,
): { readonly data: string; readonly expected: Buffer } | string {
  const text = message.length > DIGEST_RESPONSE_BYTES_MAX ? "" : message.toString("latin1");
  const [r, s, i] = text.split(",");
  const nonce = attribute(r, "r");
  const salt = fromBase64(attribute(s, "s") ?? "=");
  const rounds = attribute(i, "i") ?? "";
  if (nonce === null || !NONCE.test(nonce) || !nonce.startsWith(talk.nonce) || nonce === talk.nonce)
    return "the server's nonce does not extend ours";
  if (salt === null || salt.length === 0 || !/^[1-9][0-9]{0,9}$/.test(rounds))
    return "the server's salt or iteration count is malformed";
  const iterations = Number(rounds);
  if (iterations < SCRAM_ITERATIONS_MIN || iterations > SCRAM_ITERATIONS_MAX)
    return `the server asks for ${iterations} iterations`;
  const secret = Buffer.from(prepareSecret(context.secret) ?? context.secret);
  const salted = deriveKeyNow(algorithm, secret, salt, iterations, SCRAM_KEY_BYTES[algorithm]);
  const keys = keysOf(algorithm, salted);
  const final = `c=${Buffer.from(talk.header).toString("base64")},r=${nonce}`;
  const signed = Buffer.from(`${talk.bare},${text},${final}`);
  const shown = xor(keys.client, hmac(algorithm, keys.stored, signed));
  return {
    data: `${final},p=${shown.toString("base64")}`,
    expected: hmac(algorithm, keys.server, signed),
  };
}

function startTalk(context: ClientContext, nonce: string): ClientTalk {
  const other = context.authorizationId !== "" && context.authorizationId !== context.authenticationId;
  const name = prepareName(context.authenticationId) ?? context.authenticationId;
  return {
    header: `n,${other ? `a=${encodeName(context.authorizationId)}` : ""},`,
    bare: `n=${encodeName(name)},r=${nonce}`,
    nonce,
  };
}

/** Is the server's last message the signature we expect? null: yes; else why not. */
function serverRefusal(message: Buffer, expected: Buffer): string | null {
  const text = message.toString("latin1");
  if (text.startsWith("e=")) return `the server refuses: ${text.slice(2, 80)}`;
  const signature = fromBase64(attribute(text.split(",")[0], "v") ?? "=");
  return signature !== null && sameBytes(signature, expected)
    ? null
    : "the server does not know the secret (its signature is wrong)";
}

function client(algorithm: ScramDigest, context: ClientContext, nonceText: NonceText): ClientExchange {
  const talk = startTalk(context, nonceText(context));
  let stage: "first" | "final" | "proof" | "done" = "first";
  let repeated = false;
  let expected: Buffer = NOTHING;

  /** The server's first message, or an empty one when it wants ours again (it was not sent with the command). */
  function answerFirst(message: Buffer): ClientStep {
    if (message.length === 0) {
      if (repeated) return abort("the server asks for the first message again and again");
      repeated = true;
      return respond(`${talk.header}${talk.bare}`);
    }
    const shown = proof(algorithm, context, talk, message);
    if (typeof shown === "string") return abort(shown);
    expected = shown.expected;
    stage = "proof";
    return respond(shown.data);
  }

  return {
    initial() {
      stage = "final";
      return Buffer.from(`${talk.header}${talk.bare}`);
    },
    step(message) {
      switch (stage) {
        case "first":
          if (message.length > 0) return abort("the server begins a SCRAM exchange");
          stage = "final";
          return respond(`${talk.header}${talk.bare}`);
        case "final":
          return answerFirst(message);
        case "proof": {
          const refusal = serverRefusal(message, expected);
          if (refusal !== null) return abort(refusal);
          stage = "done";
          return respond(NOTHING);
        }
        case "done":
          return abort("data after the server's proof");
      }
    },
    finished: () => stage === "done",
  };
}

/** The mechanism over `algorithm`. */
export function scram(name: string, algorithm: ScramDigest, nonceText: NonceText = randomNonce): Mechanism {
  return {
    name,
    plaintext: false,
    needsSecret: false,
    server: (context) => server(algorithm, context, nonceText),
    client: (context) => client(algorithm, context, nonceText),
  };
}
