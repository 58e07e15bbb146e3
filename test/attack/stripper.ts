// TLS-11 (reliability 3.2): next hops that would keep mail out of TLS, or get words of their own into it. The behaviours are those that
// the authors of "Why TLS Is Better Without STARTTLS" (USENIX Security 2021) gave their fake mail server, 59 for SMTP and four
// certificates, as data of our own; and some more injections. The server does what a case says and remembers what came in the open.

import { createServer, type Server, type Socket } from "node:net";
import { TLSSocket } from "node:tls";

export interface Stripping {
  /** Where the behaviour is from, and what it is. */
  readonly name: string;
  readonly greeting?: string;
  /** EHLO keywords in the open; default STARTTLS. */
  readonly offers?: readonly string[];
  /** EHLO keywords inside TLS; default AUTH PLAIN. */
  readonly offersInside?: readonly string[];
  /** The answer to a verb, in the open and inside; CRLF between lines, none at the end. "": none at all. */
  readonly answers?: Readonly<Record<string, string>>;
  /** Answers inside TLS only. */
  readonly answersInside?: Readonly<Record<string, string>>;
  /** STARTTLS is followed by no handshake. */
  readonly noHandshake?: boolean;
  /** Where Sendmail throws away what came before TLS and goes on, we end the connection: the message waits. Why that is as good. */
  readonly stricter?: string;
  /** Whose certificate it shows. */
  readonly certificate?: Certificate;
}

export const CERTIFICATES = ["good", "selfsigned", "unknown", "other", "expired"] as const;
export type Certificate = (typeof CERTIFICATES)[number];

/** Every name that a server could mean, and some that none does. */
const MECHANISMS =
  "PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-512 SCRAM-MD5 EXTERNAL ANONYMOUS GSSAPI GS2-KRB5 GSS-SPNEGO " +
  "NTLM OTP SKEY SECURID KERBEROS_V4 XOAUTH XOAUTH2 OAUTHBEARER OAUTH10A ECDSA-NIST256P-CHALLENGE EAP-AES128 SRP LOGIN1 LOGIN_2 " +
  "PLAIN2 PLAIN_3 PLAIN-MD5 CRAM_MD5 CRAM-SHA1 CRAM-SHA256 APOP MD5 SHA-1 CRYPT HASH RPA MSN SSL-REQUIRED X-NONE";

const AUTH = ["AUTH PLAIN LOGIN"];
const TEXTS = new Map([
  [220, "hello there"],
  [221, "closing"],
  [354, "go on"],
  [421, "shutting down"],
  [454, "no TLS for now"],
  [500, "what?"],
  [501, "wrong argument"],
  [502, "not implemented"],
  [504, "not with this argument"],
  [530, "STARTTLS first"],
  [550, "no"],
  [554, "no mail here"],
]);
const line = (code: number): string => `${code} ${TEXTS.get(code) ?? ""}`;

/** One case for each code in the place of the answer to `verb`. */
function each(
  group: string,
  verb: string,
  codes: readonly number[],
  more: Partial<Stripping> = {},
): readonly Stripping[] {
  return codes.map((code) => ({
    name: `${group}/${code}`,
    ...more,
    ...(verb === "" ? { greeting: line(code) } : { answers: { ...more.answers, [verb]: line(code) } }),
  }));
}

const AFTER = [220, 221, 354, 421, 500, 501, 530];
const NO_EHLO = { answers: { EHLO: line(500) } };

const NEGOTIATION: readonly Stripping[] = [
  { name: "D1: neither EHLO nor STARTTLS is known", answers: { EHLO: line(502), STARTTLS: line(502) } },
  { name: "O1: AUTH is offered in the place of STARTTLS", offers: AUTH, answers: { STARTTLS: line(502) } },
  { name: "O2: STARTTLS is offered and 502", answers: { STARTTLS: line(502) } },
  { name: "O3: STARTTLS is offered and 454", answers: { STARTTLS: line(454) } },
  { name: "O4: STARTTLS is offered and 354", answers: { STARTTLS: line(354) } },
];

const BUFFERING: readonly Stripping[] = [
  { name: "B1, first step: inside TLS EHLO is not answered", answersInside: { EHLO: "" } },
  {
    name: "B1, second step: what EHLO will get comes with 220, and inside TLS EHLO is not answered",
    answers: { STARTTLS: "220 ready\r\n250-hop.test\r\n250 AUTH LOGIN" },
    answersInside: { EHLO: "" },
  },
];

const OTHERS: readonly Stripping[] = [
  {
    name: "X1: all mechanisms, no STARTTLS, and 502 to it",
    offers: [`AUTH ${MECHANISMS}`],
    answers: { STARTTLS: line(502) },
    offersInside: [],
  },
  ...each("EHLO", "EHLO", [220, 221, 354, 421, 500, 501, 502, 504, 530, 550]),
  { name: "EHLO/250, all mechanisms", offers: [`AUTH ${MECHANISMS}`, "STARTTLS"] },
  { name: "EHLO/250, all mechanisms, no STARTTLS", offers: [`AUTH ${MECHANISMS}`] },
  { name: "EHLO/250, nothing", offers: [] },
  ...each("greeting", "", [220, 221, 354, 421, 500, 501, 530, 554]),
  ...each("EHLO/500, HELO", "HELO", AFTER, NO_EHLO),
  ...each("greeting/500, QUIT", "QUIT", AFTER, { greeting: line(500) }),
  ...each("EHLO/500, RSET", "RSET", AFTER, NO_EHLO),
  // A 220 without a handshake behind it is among them.
  ...each("STARTTLS", "STARTTLS", [220, 221, 354, 421, 454, 500, 501, 530], { noHandshake: true }),
  { name: "as it should be" },
  { name: "as it should be, AUTH in the open too", offers: ["STARTTLS", "AUTH PLAIN"] },
];

/** Of the certificates that were tried with them. */
const SHOWN: readonly Stripping[] = [
  { name: "T1: a certificate that nobody signed", certificate: "selfsigned" },
  { name: "T2: a certificate of an unknown authority", certificate: "unknown" },
  { name: "T3: a certificate of another host", certificate: "other" },
  { name: "T4: a certificate that has expired", certificate: "expired" },
];

/** Words of somebody between the two, before TLS, for the time after it. */
const INJECTED: readonly Stripping[] = [
  ...(
    [
      ["I1: a reply behind 220, then a good handshake", "250 injected"],
      ["I2: half a reply behind 220, then a good handshake", "25"],
      [
        "I3: answers to all that will be said behind 220, then a good handshake",
        "250 hop.test\r\n250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 taken",
      ],
    ] as const
  ).map(([name, more]) => ({
    name,
    answers: { STARTTLS: `220 ready\r\n${more}` },
    stricter: "TLS-11: discarded or connection closed",
  })),
  {
    name: "I4: a 220 of several lines, the last of them EHLO's",
    answers: { STARTTLS: "220-ready\r\n220-250 AUTH LOGIN\r\n220 ready" },
  },
];

/** The 59, in the order of their folders. */
export const PUBLISHED: readonly Stripping[] = [...BUFFERING, ...NEGOTIATION, ...OTHERS];
export const STRIPPINGS: readonly Stripping[] = [...PUBLISHED, ...SHOWN, ...INJECTED];

/** A message that came, and whether it came inside TLS. */
export interface Message {
  readonly inside: boolean;
  readonly text: string;
}

export interface Pair {
  readonly key: Buffer;
  readonly cert: Buffer;
}

/** A next hop at one address that behaves as one case says. */
export class Stripper {
  readonly messages: Message[] = [];
  /** Every byte that the client said outside TLS, of all connections. */
  open = "";
  /** Command lines inside TLS. */
  readonly inside: string[] = [];
  readonly #case: Stripping;
  readonly #pair: Pair;
  readonly #sockets = new Set<Socket>();
  #server: Server | null = null;

  constructor(what: Stripping, pairs: ReadonlyMap<Certificate, Pair>) {
    this.#case = what;
    const pair = pairs.get(what.certificate ?? "good");
    if (pair === undefined) throw new Error(`no certificate ${what.certificate}`);
    this.#pair = pair;
  }

  listen(port: number, address: string): Promise<void> {
    const server = createServer({ noDelay: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => socket.destroy());
      socket.write(`${this.#case.greeting ?? "220 hop.test ESMTP"}\r\n`);
      this.#converse(socket, false);
    });
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, address, resolve);
    });
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => {
      if (this.#server === null) resolve();
      else this.#server.close(() => resolve());
    });
  }

  #usual(verb: string, inside: boolean): string {
    switch (verb) {
      case "EHLO": {
        const offers = inside
          ? (this.#case.offersInside ?? ["AUTH PLAIN"])
          : (this.#case.offers ?? ["STARTTLS"]);
        return ["hop.test", ...offers]
          .map((l, n, all) => `250${n + 1 < all.length ? "-" : " "}${l}`)
          .join("\r\n");
      }
      case "DATA":
        return "354 go on";
      case "STARTTLS":
        return "220 ready";
      case "AUTH":
        return "235 2.7.0 welcome";
      case "QUIT":
        return "221 bye";
      case "HELO":
      case "MAIL":
      case "RCPT":
      case "RSET":
      case "NOOP":
        return "250 ok";
      default:
        // What is no command gets no answer: a handshake that was not agreed upon among it.
        return "";
    }
  }

  /** Speaks with a client until it leaves or asks for TLS. */
  #converse(socket: Socket, inside: boolean): void {
    const { answers = {}, answersInside = {}, noHandshake = false } = this.#case;
    let text = "";
    let data = false;
    const take = (chunk: Buffer): void => {
      if (!inside) this.open += chunk.toString("latin1");
      text += chunk.toString("latin1");
      for (;;) {
        const mark = data ? "\r\n.\r\n" : "\r\n";
        const end = text.indexOf(mark);
        if (end < 0) return;
        const said = text.slice(0, end);
        text = text.slice(end + mark.length);
        if (data) {
          this.messages.push({ inside, text: said });
          data = false;
          socket.write("250 2.0.0 taken\r\n");
          continue;
        }
        if (inside) this.inside.push(said);
        const verb = (/^[A-Za-z]+/.exec(said)?.[0] ?? "").toUpperCase();
        const own = (inside ? answersInside[verb] : undefined) ?? answers[verb];
        const answer = own ?? this.#usual(verb, inside);
        if (verb === "STARTTLS" && !inside && !noHandshake && answer.startsWith("220")) {
          // Half a line stays half a line.
          socket.write(answer.endsWith("\r\n25") ? answer : `${answer}\r\n`);
          socket.removeListener("data", take);
          this.#secure(socket);
          return;
        }
        if (answer !== "") socket.write(`${answer}\r\n`);
        if (verb === "DATA" && answer.startsWith("354")) data = true;
        if (verb === "QUIT" && own === undefined) socket.end();
      }
    };
    socket.on("data", take);
  }

  #secure(plain: Socket): void {
    const secure = new TLSSocket(plain, { isServer: true, ...this.#pair });
    secure.on("error", () => secure.destroy());
    this.#converse(secure, true);
  }
}
