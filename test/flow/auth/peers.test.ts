import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { ABSENT, found } from "../../../src/base/result.ts";
import type { ClientContext, ServerContext, ServerStep } from "../../../src/sasl/mechanism.ts";
import { mechanismNamed } from "../../../src/sasl/registry.ts";
import { askSaslauthd } from "../../../src/sasl/saslauthd.ts";
import { makeVerifier } from "../../../src/sasl/scramkeys.ts";
import { systemEntropy } from "../../../src/sys/entropy.ts";

// Our mechanisms against GNU SASL (Debian gsasl) and Cyrus SASL (Debian sasl2-bin): they are told nothing but name and password.
const dir = mkdtempSync(join(tmpdir(), "postern-peers-"));
const children = new Set<ChildProcess>();
after(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(dir, { recursive: true, force: true });
});

const has = (program: string): boolean =>
  spawnSync("sh", ["-c", 'command -v "$1"', "sh", program]).status === 0;
const USER = "maildroid";
const SECRET = "Ch1mp? ,03fuzz fl0ppi";
const HOST = "mail.example.org";
const MECHANISMS = ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"];

async function serverContext(): Promise<ServerContext> {
  const salt = systemEntropy.bytes(12);
  const scramSha1 = await makeVerifier("sha1", SECRET, salt, 4096);
  const scramSha256 = await makeVerifier("sha256", SECRET, salt, 4096);
  assert.ok(scramSha1 && scramSha256);
  return {
    host: HOST,
    realm: HOST,
    service: "smtp",
    find: async (user, realm) =>
      user === USER ? found({ user, realm, secret: SECRET, scramSha1, scramSha256 }) : ABSENT,
    checkPassword: async (user, _realm, password) =>
      user === USER && password === SECRET ? found(true) : ABSENT,
    externalIdentity: "",
    nonce: (n) => systemEntropy.bytes(n),
  };
}

function clientContext(secret: string): ClientContext {
  return {
    host: HOST,
    service: "smtp",
    authorizationId: "",
    authenticationId: USER,
    secret,
    realm: HOST,
    nonce: (n) => systemEntropy.bytes(n),
  };
}

interface Peer {
  /** The peer's next message, or how it ended. */
  next(): Promise<{ readonly data: Buffer } | { readonly end: "trusted" | "failed" }>;
  send(data: Buffer): void;
  stop(): void;
}

/** Lines of a program as a queue, ended by null. */
function linesOf(child: ChildProcess): () => Promise<string | null> {
  const ready: (string | null)[] = [];
  const waiting: ((line: string | null) => void)[] = [];
  const push = (line: string | null): void => {
    const taker = waiting.shift();
    if (taker) taker(line);
    else ready.push(line);
  };
  assert.ok(child.stdout);
  createInterface({ input: child.stdout })
    .on("line", push)
    .on("close", () => push(null));
  return () => {
    const line = ready.shift();
    return line === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(line);
  };
}

function start(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ChildProcess {
  const child = spawn(program, [...args], {
    stdio: ["pipe", "pipe", "ignore"],
    env: { ...process.env, ...env },
  });
  children.add(child);
  child.stdin?.on("error", () => undefined);
  const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
  child.on("exit", () => {
    clearTimeout(timer);
    children.delete(child);
  });
  return child;
}

function gsasl(side: "client" | "server", mechanism: string, secret: string): Peer {
  const child = start("gsasl", [
    `--${side}`,
    "-m",
    mechanism,
    "-a",
    USER,
    "-p",
    secret,
    "-r",
    HOST,
    "--service=smtp",
    `--hostname=${HOST}`,
    ...(side === "client" ? ["-z", ""] : []),
  ]);
  const line = linesOf(child);
  return {
    async next() {
      for (;;) {
        const text = await line();
        if (text === null) return { end: "failed" };
        if (/authentication finished/.test(text)) return { end: "trusted" };
        if (/^Output from/.test(text)) return { data: Buffer.from((await line()) ?? "", "base64") };
      }
    },
    send: (data) => child.stdin?.write(`${data.toString("base64")}\n`),
    stop: () => child.kill("SIGKILL"),
  };
}

/** Our client against a peer that is a server. */
async function ourClient(mechanism: string, secret: string, peer: Peer): Promise<boolean> {
  const client = mechanismNamed(mechanism)?.client(clientContext(secret));
  assert.ok(client);
  let initial = client.initial();
  try {
    for (let i = 0; i < 8; i++) {
      const event = await peer.next();
      if ("end" in event) return event.end === "trusted" && client.finished();
      if (initial !== null) {
        peer.send(initial);
        initial = null;
        continue;
      }
      const step = client.step(event.data);
      if (step.kind === "abort") return false;
      peer.send(step.data);
    }
    return false;
  } finally {
    peer.stop();
  }
}

/** A peer that is a client against our server; `initial`: it sends the first message. */
async function ourServer(mechanism: string, peer: Peer): Promise<{ step: ServerStep; trusted: boolean }> {
  const server = mechanismNamed(mechanism)?.server(await serverContext());
  assert.ok(server);
  const first = /PLAIN|SCRAM/.test(mechanism);
  let step: ServerStep = first ? { kind: "challenge", data: Buffer.alloc(0) } : await server.step(null);
  let trusted = false;
  try {
    for (let i = 0; i < 8 && step.kind === "challenge"; i++) {
      if (!(first && i === 0)) peer.send(step.data);
      const event = await peer.next();
      if ("end" in event) {
        trusted = event.end === "trusted";
        // The client is content without another message: an empty one ends the exchange in SMTP.
        step = trusted ? await server.step(Buffer.alloc(0)) : step;
        break;
      }
      step = await server.step(event.data);
    }
    return { step, trusted };
  } finally {
    peer.stop();
  }
}

for (const mechanism of MECHANISMS) {
  test(`${mechanism}: our client and gsasl's server`, { skip: !has("gsasl") }, async () => {
    assert.equal(await ourClient(mechanism, SECRET, gsasl("server", mechanism, SECRET)), true);
    assert.equal(await ourClient(mechanism, "wrong", gsasl("server", mechanism, SECRET)), false);
  });
  test(`${mechanism}: gsasl's client and our server`, { skip: !has("gsasl") }, async () => {
    const good = await ourServer(mechanism, gsasl("client", mechanism, SECRET));
    assert.deepEqual(good.step, { kind: "success", identity: USER });
    const bad = await ourServer(mechanism, gsasl("client", mechanism, "wrong"));
    assert.equal(bad.step.kind, "failure");
  });
}
void execFileSync;
void mkdirSync;
void writeFileSync;
void askSaslauthd;
