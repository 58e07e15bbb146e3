// What "not in this build" means, tried on the bundle itself: no file of the symbol among its sources, none of its words in its text,
// no applet, nothing in EHLO, and a configuration that asks for it refused by name. Used for every board and for combinations of flags.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../scripts/board.ts";
import type { Bundle } from "../../scripts/bundle.ts";
import { type BoardConfig, ownedFiles } from "../../scripts/features.ts";
import { Client, freePort, until } from "../flow/gateway.ts";

/** Words that only the code of a symbol has. */
// biome-ignore format: one symbol a line.
export const MARKERS = new Map<string, RegExp>([
  ["MAILER_SMTP", /\bmakeSmtp\b/],
  ["MAILER_LMTP", /\bmakeLmtp\b/],
  ["MAILER_LOCAL", /mailbox is locked/],
  ["MAILER_PROCMAIL", /\/etc\/procmailrc/],
  ["MAILER_PROG", /is unsafe for mailing to programs/],
  ["MAILER_FILE", /is unsafe for mailing to files/],
  ["SASL_PLAIN", /name:"PLAIN"/],
  ["SASL_LOGIN", /name:"LOGIN"/],
  ["SASL_CRAM_MD5", /name:"CRAM-MD5"/],
  ["SASL_DIGEST_MD5", /rspauth=/],
  ["SASL_SCRAM_SHA_1", /scram\("SCRAM-SHA-1"/],
  ["SASL_SCRAM_SHA_256", /scram\("SCRAM-SHA-256"/],
  ["SASL_EXTERNAL", /name:"EXTERNAL"/],
  ["LISTENER", /pleased to meet you/],
  ["TLS_SERVER", /STARTTLS not permitted after AUTH/],
  ["TLS_CLIENT", /\bloadClientTls\b/],
  ["POLICY_DNSBL", /Temporary lookup failure of /],
  ["POLICY_GREET_PAUSE", /tagOnly\("GreetPause"\)/],
  ["POLICY_RATES", /Connection rate limit exceeded/],
  ["DSN", /we do not allow DSN/],
  ["MC", /No system type defined/],
  ["CA", /Password of the file: /],
  ["APPLET_TABLES", /usage: makemap/],
  ["APPLET_STATUS", /usage: hoststat/],
  ["APPLET_SPOOL", /usage: postern spool/],
  ["APPLET_TRACE", /usage: postern trace/],
  ["APPLET_CHECK", /usage: postern check/],
  ["APPLET_SASL", /usage: saslpasswd/],
  ["APPLET_CERT", /usage: postern cert/],
  ["APPLET_SMRSH", /usage: smrsh/],
  ["APPLET_MAIL_LOCAL", /usage: mail\.local/],
]);

/** Code that is only reached when another symbol is on too. */
const WITH = new Map([
  ["DSN", "LISTENER"],
  ["CA", "APPLET_CERT"],
]);

/** Applets by symbol. */
const APPLETS = new Map<string, readonly string[]>([
  ["APPLET_MAILQ", ["mailq"]],
  ["APPLET_TABLES", ["makemap", "newaliases", "praliases", "editmap", "make"]],
  ["APPLET_CHECK", ["m4", "check", "config"]],
  ["APPLET_SASL", ["saslpasswd", "saslpasswd2", "sasldblistusers", "sasldblistusers2"]],
  ["APPLET_CERT", ["cert"]],
  ["APPLET_SMRSH", ["smrsh"]],
  ["APPLET_MAIL_LOCAL", ["mail.local"]],
  ["APPLET_STATUS", ["hoststat", "purgestat", "mailstats"]],
  ["APPLET_SPOOL", ["spool"]],
  ["APPLET_TRACE", ["trace"]],
]);

const ACCESS = "FEATURE(`access_db',`hash -o /etc/mail/access')dnl\n";

/** Configurations that ask for a symbol, and the words that refuse them. */
// biome-ignore format: one symbol a line.
const ASKING: readonly { readonly symbol: string; readonly what: string; readonly before?: string; readonly mailers?: string }[] = [
  { symbol: "MAILER_PROCMAIL", what: "MAILER(procmail)", mailers: "MAILER(`procmail')dnl\n" },
  { symbol: "MAILER_LMTP", what: "MAILER(cyrusv2)", mailers: "MAILER(`cyrusv2')dnl\n" },
  { symbol: "MAILER_PROG", what: "FEATURE(smrsh)", before: "FEATURE(`smrsh')dnl\n" },
  { symbol: "POLICY_DNSBL", what: "FEATURE(dnsbl)", before: "FEATURE(`dnsbl',`list.example')dnl\n" },
  { symbol: "POLICY_GREET_PAUSE", what: "FEATURE(greet_pause)", before: `${ACCESS}FEATURE(\`greet_pause',100)dnl\n` },
  { symbol: "POLICY_RATES", what: "FEATURE(ratecontrol)", before: `${ACCESS}FEATURE(\`ratecontrol')dnl\n` },
  { symbol: "TLS_SERVER", what: "confSERVER_CERT", before: "define(`confSERVER_CERT',`/etc/mail/c.pem')dnl\ndefine(`confSERVER_KEY',`/etc/mail/k.pem')dnl\n" },
  { symbol: "TLS_CLIENT", what: "confCLIENT_CERT", before: "define(`confCLIENT_CERT',`/etc/mail/c.pem')dnl\ndefine(`confCLIENT_KEY',`/etc/mail/k.pem')dnl\n" },
];

const SOURCES = join(ROOT, "src/main.ts");

/** A configuration folder; compiled by the sources (which have everything) where the build has no compiler. */
class Folder {
  readonly path = mkdtempSync(join(tmpdir(), "postern-absence-"));

  constructor(config: BoardConfig, before: string, mailers: string) {
    chmodSync(this.path, 0o755);
    // A configuration has to declare some mailer.
    const smtp = `MAILER(\`${config.on.has("MAILER_SMTP") ? "smtp" : "local"}')dnl\n`;
    const mail = join(this.path, "mail");
    mkdirSync(mail);
    const mc = join(mail, "sendmail.mc");
    writeFileSync(
      mc,
      `OSTYPE(\`linux')dnl\ndefine(\`confDOMAIN_NAME',\`gate.test')dnl\n${before}${smtp}${mailers}`,
    );
    writeFileSync(join(mail, "local-host-names"), "gate.test\n");
    if (config.on.has("MC")) return;
    const made = spawnSync(process.execPath, [SOURCES, "m4", mc], { encoding: "utf8", timeout: 30_000 });
    assert.equal(made.status, 0, made.stderr);
    writeFileSync(join(mail, "sendmail.cf"), made.stdout);
    rmSync(mc);
  }

  options(): string[] {
    return [
      ...["-C", join(this.path, "mail"), `-OQueueDirectory=${join(this.path, "mqueue")}`],
      `-OControlSocketName=${join(this.path, "run/control")}`,
      `-OPidFile=${join(this.path, "run/pid")}`,
      `-OSafeFileEnvironment=${this.path}`,
    ];
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

function run(made: Bundle, ...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [made.main, ...args], { encoding: "utf8", timeout: 30_000, input: "" });
}

/** The sources and the text of the bundle. */
export function checkText(made: Bundle, config: BoardConfig): void {
  const inside = new Set(Object.keys(made.metafile.inputs).map((name) => join(ROOT, name)));
  for (const [file, symbol] of ownedFiles())
    assert.equal(inside.has(file) && !config.on.has(symbol), false, `${file} belongs to CONFIG_${symbol}`);
  const text = readFileSync(made.main, "utf8");
  for (const [symbol, marker] of MARKERS) {
    const there = config.on.has(symbol) && config.on.has(WITH.get(symbol) ?? symbol);
    assert.equal(marker.test(text), there, `CONFIG_${symbol}: ${marker} in the bundle`);
  }
}

/** What the program says of itself. */
export function checkCommands(made: Bundle, config: BoardConfig): void {
  const told = JSON.parse(run(made, "features", "--json").stdout) as { board: string; off: string[] };
  assert.equal(told.board, config.board);
  assert.deepEqual([...told.off].sort(), [...config.off].sort());
  const names = new Set(
    run(made, "--help")
      .stdout.split("\n")
      .filter((line) => line.startsWith("  "))
      .flatMap((line) => (line.slice(2).split(/ {2,}/)[0] ?? "").split(", ")),
  );
  for (const [symbol, applets] of APPLETS)
    for (const applet of applets) {
      assert.equal(names.has(applet), config.on.has(symbol), `${applet} in the list of applets`);
      if (config.on.has(symbol)) continue;
      const called = run(made, applet);
      assert.equal(called.status, 64, applet);
      assert.match(called.stderr, new RegExp(`no applet .* in this build \\(board ${config.board}\\)`));
    }
}

/** Configurations that ask for what is not there, and for what is. */
export function checkRefusals(made: Bundle, config: BoardConfig): void {
  for (const { symbol, what, before = "", mailers = "" } of ASKING) {
    const folder = new Folder(config, before, mailers);
    try {
      const said = run(made, "sendmail", ...folder.options(), "-bp");
      const refusal = `${what} is not in this build (board ${config.board})`;
      assert.equal(said.stderr.includes(refusal), !config.on.has(symbol), `${what}: ${said.stderr}`);
      if (!config.on.has(symbol)) assert.equal(said.status, 78, what);
    } finally {
      folder.remove();
    }
  }
}

/** Names of AUTH mechanisms by symbol. */
const MECHANISMS = ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "EXTERNAL"];

function certificate(folder: string): void {
  const names = ["-keyout", join(folder, "k.pem"), "-out", join(folder, "c.pem"), "-subj", "/CN=gate.test"];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"];
  const made = spawnSync("openssl", ["req", "-x509", ...key, ...names], { timeout: 30_000 });
  assert.equal(made.status, 0);
  chmodSync(join(folder, "k.pem"), 0o600);
}

function user(file: string): void {
  const args = [SOURCES, "saslpasswd", "-p", "-u", "gate.test", "-f", file, "maildroid"];
  const made = spawnSync(process.execPath, args, { input: "secret\n", encoding: "utf8", timeout: 30_000 });
  assert.equal(made.status, 0, made.stderr);
}

/** The daemon: what it offers, or that it does not listen. */
export async function checkDaemon(made: Bundle, config: BoardConfig): Promise<void> {
  const port = await freePort();
  const on = (symbol: string): boolean => config.on.has(symbol);
  const listener = `DAEMON_OPTIONS(\`Port=${port},Addr=127.0.0.1,Name=MTA')dnl\nFEATURE(\`no_default_msa')dnl\n`;
  const before =
    (on("LISTENER") ? listener : "") +
    (on("TLS_SERVER")
      ? "define(`confSERVER_CERT',`/etc/mail/c.pem')dnl\ndefine(`confSERVER_KEY',`/etc/mail/k.pem')dnl\n"
      : "") +
    `define(\`confAUTH_MECHANISMS',\`${MECHANISMS.join(" ")}')dnl\n`;
  const folder = new Folder(config, before, "");
  certificate(join(folder.path, "mail"));
  user(join(folder.path, "mail/sasldb.json"));
  if (on("MC") && !on("MAILER_SMTP") && !on("MAILER_LOCAL")) {
    const said = run(made, "sendmail", ...folder.options(), "-bp");
    folder.remove();
    assert.match(said.stderr, /MAILER\(local\) is not in this build/);
    return;
  }
  const child = spawn(process.execPath, [made.main, "sendmail", ...folder.options(), "-bD", "-q15m"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (d: Buffer) => (output += d.toString()));
  try {
    await until("the gateway runs", 30, () => {
      if (child.exitCode !== null) throw new Error(`the gateway ended with ${child.exitCode}: ${output}`);
      return output.includes("started as");
    });
    const client = new Client(port);
    try {
      const greeting = await client.reply();
      if (!on("LISTENER")) {
        assert.equal(greeting, "EOF", "nothing listens");
        const stdio = run(made, "sendmail", ...folder.options(), "-bs");
        assert.match(stdio.stderr, /-bs\) is not in this build/);
        return;
      }
      assert.match(greeting, /^220 /);
      const lines = (await client.say("EHLO client.test")).split("\n").map((line) => line.slice(4));
      assert.equal(lines.includes("STARTTLS"), on("TLS_SERVER"), lines.join(" / "));
      assert.equal(lines.includes("DSN"), on("DSN"), lines.join(" / "));
      const offered =
        lines
          .find((line) => line.startsWith("AUTH "))
          ?.split(" ")
          .slice(1) ?? [];
      for (const name of MECHANISMS)
        if (!on(`SASL_${name.replaceAll("-", "_")}`)) assert.equal(offered.includes(name), false, name);
      if (on("SASL_CRAM_MD5")) assert.ok(offered.includes("CRAM-MD5"), lines.join(" / "));
      if (!on("TLS_SERVER")) assert.match(await client.say("STARTTLS"), /^500 5\.5\.1 Command unrecognized/);
      if (!on("DSN")) assert.match(await client.say("MAIL FROM:<> RET=HDRS"), /^555 5\.5\.4 RET parameter/);
    } finally {
      client.close();
    }
  } finally {
    child.kill("SIGTERM");
    await until("the gateway ends", 30, () => child.exitCode !== null || child.signalCode !== null);
    folder.remove();
  }
}

/** Everything, one bundle. */
export async function checkAbsence(made: Bundle, config: BoardConfig): Promise<void> {
  checkText(made, config);
  checkCommands(made, config);
  checkRefusals(made, config);
  await checkDaemon(made, config);
}
