import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ABSENT, found } from "../../../src/base/result.ts";
import type { ClientContext, ServerContext, ServerStep } from "../../../src/sasl/mechanism.ts";
import { mechanismNamed } from "../../../src/sasl/registry.ts";
import { askSaslauthd } from "../../../src/sasl/saslauthd.ts";
import { makeVerifier } from "../../../src/sasl/scramkeys.ts";
import { shaCrypt } from "../../../src/sasl/shacrypt.ts";
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

interface Output {
  /** The next whole line; null at the end. */
  line(): Promise<string | null>;
}

/** What a program prints, by lines; `prompt` at the end of unfinished output is answered with the password. */
function outputOf(child: ChildProcess, prompt: RegExp | null, answer: string): Output {
  const ready: (string | null)[] = [];
  const waiting: ((line: string | null) => void)[] = [];
  const push = (line: string | null): void => {
    const taker = waiting.shift();
    if (taker) taker(line);
    else ready.push(line);
  };
  let rest = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) push(line);
    if (prompt?.test(rest)) {
      rest = "";
      child.stdin?.write(`${answer}\n`);
    }
  });
  child.stdout?.on("close", () => push(null));
  return {
    line: () => {
      const line = ready.shift();
      return line === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(line);
    },
  };
}

/** A program without terminal, both its outputs in one stream, line by line. */
function start(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ChildProcess {
  const merged = ["-c", 'exec setsid -w stdbuf -oL "$@" 2>&1', "sh", program, ...args];
  const child = spawn("sh", merged, { stdio: ["pipe", "pipe", "ignore"], env: { ...process.env, ...env } });
  children.add(child);
  child.stdin?.on("error", () => undefined);
  const timer = setTimeout(() => child.kill("SIGKILL"), 8000);
  child.on("exit", () => {
    clearTimeout(timer);
    children.delete(child);
  });
  return child;
}

function stopper(child: ChildProcess): () => void {
  // The end of its input ends each of these programs.
  return () => child.stdin?.end();
}

function gsasl(side: "client" | "server", mechanism: string, secret: string): Peer {
  const args = [
    `--${side}`,
    "-m",
    mechanism,
    "-a",
    USER,
    "-z",
    "",
    "-p",
    secret,
    "-r",
    HOST,
    "--service=smtp",
    "--quality-of-protection=qop-auth",
  ];
  const child = start("gsasl", [...args, `--hostname=${HOST}`]);
  const output = outputOf(child, null, "");
  // gsasl's client takes an empty turn first where the server begins.
  let skip = side === "client" && /^(CRAM|DIGEST)/.test(mechanism);
  return {
    async next() {
      for (;;) {
        const text = await output.line();
        if (text === null || /error/.test(text)) return { end: "failed" };
        if (/authentication finished/.test(text)) return { end: "trusted" };
        if (!/^Output from/.test(text)) continue;
        const data = Buffer.from((await output.line()) ?? "", "base64");
        if (!skip) return { data };
        skip = false;
      }
    },
    send: (data) => child.stdin?.write(`${data.toString("base64")}\n`),
    stop: stopper(child),
  };
}

/** The next `S: ` or `C: ` line of a Cyrus sample program. */
async function cyrusNext(
  output: Output,
  letter: string,
): Promise<{ readonly data: Buffer } | { readonly end: "trusted" | "failed" }> {
  for (;;) {
    const text = await output.line();
    if (text === null) return { end: "failed" };
    if (/Negotiation complete/.test(text)) return { end: "trusted" };
    if (text.startsWith(`${letter}: `)) return { data: Buffer.from(text.slice(3), "base64") };
  }
}

function cyrusServer(mechanism: string): Peer {
  const child = start("/usr/sbin/sasl-sample-server", ["-d", HOST, "-s", "smtp", "-m", mechanism], {
    SASL_CONF_PATH: dir,
  });
  const output = outputOf(child, null, "");
  const write = (data: Buffer): void => {
    child.stdin?.write(`C: ${data.toString("base64")}\n`);
  };
  const withInitial = /PLAIN|SCRAM/.test(mechanism);
  let stage: "start" | "initial" | "on" = "start";
  return {
    async next() {
      if (stage === "start") {
        const list = await cyrusNext(output, "S");
        if ("end" in list) return list;
        stage = withInitial ? "initial" : "on";
        if (withInitial) return { data: Buffer.alloc(0) };
        write(Buffer.from(mechanism));
      }
      return cyrusNext(output, "S");
    },
    send(data) {
      // The mechanism's name and the initial response travel together, as in AUTH.
      write(stage === "initial" ? Buffer.concat([Buffer.from(`${mechanism}\0`), data]) : data);
      stage = "on";
    },
    stop: stopper(child),
  };
}

function cyrusClient(mechanism: string, secret: string): Peer {
  const child = start("sasl-sample-client", [
    "-s",
    "smtp",
    "-n",
    HOST,
    "-m",
    mechanism,
    "-a",
    USER,
    "-u",
    USER,
  ]);
  const output = outputOf(child, /Password: $/, secret);
  const send = (data: Buffer): void => {
    child.stdin?.write(`S: ${data.toString("base64")}\n`);
  };
  send(Buffer.from(mechanism));
  let begun = false;
  return {
    async next() {
      let event = await cyrusNext(output, "C");
      if (begun || "end" in event) return event;
      begun = true;
      const nul = event.data.indexOf(0);
      // Name alone: the mechanism lets the server begin, and we have sent our challenge.
      if (nul < 0) event = await cyrusNext(output, "C");
      else event = { data: event.data.subarray(nul + 1) };
      return event;
    },
    send,
    stop: stopper(child),
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
      if (event.data.length === 0 && client.finished()) {
        // gsasl's server takes an empty turn before it says that it is content.
        peer.send(event.data);
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

interface Family {
  readonly name: string;
  readonly there: boolean;
  server(mechanism: string): Peer;
  client(mechanism: string, secret: string): Peer;
}

const FAMILIES: readonly Family[] = [
  {
    name: "GNU SASL",
    there: has("gsasl"),
    server: (m) => gsasl("server", m, SECRET),
    client: (m, secret) => gsasl("client", m, secret),
  },
  {
    name: "Cyrus SASL",
    there: has("/usr/sbin/sasl-sample-server"),
    server: cyrusServer,
    client: cyrusClient,
  },
];

before(() => {
  if (!has("/usr/sbin/saslpasswd2")) return;
  const database = join(dir, "sasldb2");
  writeFileSync(
    join(dir, "sample.conf"),
    `sasldb_path: ${database}\nauxprop_plugin: sasldb\npwcheck_method: auxprop\n`,
  );
  execFileSync("/usr/sbin/saslpasswd2", ["-f", database, "-c", "-p", "-u", HOST, USER], { input: SECRET });
});

for (const family of FAMILIES)
  for (const mechanism of MECHANISMS) {
    const skip = family.there ? false : `${family.name} is not installed`;
    test(`${mechanism}: our client and the server of ${family.name}`, { skip }, async () => {
      assert.equal(await ourClient(mechanism, SECRET, family.server(mechanism)), true);
      assert.equal(await ourClient(mechanism, "wrong", family.server(mechanism)), false);
    });
    test(`${mechanism}: the client of ${family.name} and our server`, { skip }, async () => {
      const good = await ourServer(mechanism, family.client(mechanism, SECRET));
      assert.deepEqual(good.step, { kind: "success", identity: USER });
      const bad = await ourServer(mechanism, family.client(mechanism, "wrong"));
      assert.equal(bad.step.kind, "failure");
    });
  }

// Real PAM behind saslauthd: the machine's own files stay untouched, the daemon sees ours in a mount namespace of its own.
const canUnshare = process.getuid?.() === 0 && spawnSync("unshare", ["-m", "true"]).status === 0;
test("saslauthd with PAM says yes and no to our question", {
  skip: canUnshare && has("/usr/sbin/saslauthd") ? false : "needs root, unshare and saslauthd",
}, async () => {
  const run = join(dir, "run");
  mkdirSync(run);
  const hash = shaCrypt(SECRET, "$6$abcdefgh") ?? "";
  writeFileSync(join(dir, "passwd"), `root:x:0:0::/root:/bin/sh\n${USER}:x:54321:54321::/:/bin/sh\n`);
  writeFileSync(join(dir, "shadow"), `root:*:19000:0:99999:7:::\n${USER}:${hash}:19000:0:99999:7:::\n`, {
    mode: 0o600,
  });
  const script = `mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/shadow" /etc/shadow && exec /usr/sbin/saslauthd -d -n 1 -a pam -m "$1/run"`;
  const child = start("unshare", ["-m", "sh", "-c", script, "sh", dir]);
  const output = outputOf(child, null, "");
  try {
    for (let line = await output.line(); !/listening on socket/.test(line ?? ""); line = await output.line())
      assert.notEqual(line, null, "saslauthd ended");
    const ask = async (user: string, password: string): Promise<string> =>
      (await askSaslauthd(join(run, "mux"), { user, password, service: "smtp", realm: "" })).kind;
    assert.equal(await ask(USER, SECRET), "found");
    assert.equal(await ask("nobody-here", "x"), "absent");
    assert.equal(await ask(USER, "wrong"), "absent");
  } finally {
    child.kill("SIGKILL");
    const left = spawnSync("cat", [join(run, "saslauthd.pid")], { encoding: "utf8" }).stdout.trim();
    if (/^\d+$/.test(left)) spawnSync("kill", [left]);
  }
});
