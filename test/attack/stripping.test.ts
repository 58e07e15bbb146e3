// TLS-11 (reliability 3.2): the delivering side of the whole program against every next hop of stripper.ts, under five rules of the access
// table. No mail, no recipient and no password goes out in the open where the rule forbids it, nothing that was said before TLS counts
// inside it, and each message is delivered once, waits, or comes back. What becomes of it is compared with what Debian's Sendmail 8.17.1
// does against the same hops with the same rules: stripping.json, recorded by this test run as root with RECORD=1, and asked of it again
// where it is unpacked already (as in spoofing.test.ts).

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chownSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { compileMc, makemap, overlay, sendmailMc, takeSendmail } from "../flow/debiansendmail.ts";
import { Client, freePort, Gateway, Sink, until } from "../flow/gateway.ts";
import { makePki, openssl, type Pki } from "../flow/tls/pki.ts";
import { mc } from "./siege.ts";
import { CERTIFICATES, type Certificate, type Pair, PUBLISHED, STRIPPINGS, Stripper } from "./stripper.ts";

/** What the access table asks of hosts at 127.x, or of recipients; what the certificate has to do for it. */
interface Rule {
  readonly name: string;
  readonly octet: number;
  readonly access: string;
  /** Mail may go out in the open. */
  readonly open: boolean;
  /** Certificates inside which it may go. */
  readonly certificates: readonly Certificate[];
}

const SIGNED: readonly Certificate[] = ["good", "other"];
const RULES: readonly Rule[] = [
  { name: "may", octet: 11, access: "", open: true, certificates: CERTIFICATES },
  {
    name: "encrypt",
    octet: 12,
    access: "TLS_Srv:127.12\tENCR:112\n",
    open: false,
    certificates: CERTIFICATES,
  },
  { name: "verify", octet: 13, access: "TLS_Srv:127.13\tVERIFY\n", open: false, certificates: SIGNED },
  {
    name: "named",
    octet: 14,
    access: "TLS_Srv:127.14\tVERIFY:112+CN:good.test\n",
    open: false,
    certificates: ["good"],
  },
  {
    name: "rcpt",
    octet: 15,
    access: "TLS_Rcpt:rcpt.test\tENCR:112\n",
    open: false,
    certificates: CERTIFICATES,
  },
];

/** What became of a message: sent in the open or inside TLS, deferred, or failed. */
type Fate = "open" | "TLS" | "deferred" | "failed";

/** A case under a rule. */
interface Cell {
  readonly number: number;
  readonly rule: Rule;
  readonly address: string;
  readonly recipient: string;
  hop: Stripper;
}

const FILE = join(import.meta.dirname, "stripping.json");
const RECORDED: ReadonlyMap<string, readonly Fate[]> = new Map(
  existsSync(FILE) ? Object.entries(JSON.parse(readFileSync(FILE, "utf8")) as Record<string, Fate[]>) : [],
);
const SECRET = "open-sesame";
const TIMES = ["INITIAL", "HELO", "STARTTLS", "RSET", "QUIT"].map(
  (t) => `define(\`confTO_${t}', \`2s')dnl\n`,
);

let pki: Pki;
const pairs = new Map<Certificate, Pair>();
let port = 0;

before(async () => {
  pki = makePki();
  const stranger = makePki();
  pki.issue("good", "/CN=good.test");
  pki.issue("other", "/CN=other.test");
  pki.issue("expired", "/CN=good.test", ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"]);
  stranger.issue("unknown", "/CN=good.test");
  const [key, cert] = [pki.path("selfsigned.key"), pki.path("selfsigned.crt")];
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key];
  openssl(["req", "-x509", ...newKey, "-days", "2", "-subj", "/CN=good.test", "-out", cert]);
  for (const name of CERTIFICATES) {
    const from = name === "unknown" ? stranger : pki;
    pairs.set(name, { key: from.read(`${name}.key`), cert: from.read(`${name}.crt`) });
  }
  stranger.remove();
  port = await freePort();
});
after(() => pki.remove());

/** A hop for each case and rule, each at an address of its own. */
async function raise(): Promise<readonly Cell[]> {
  const cells = RULES.flatMap((rule) =>
    STRIPPINGS.map(
      (what, number): Cell => ({
        number,
        rule,
        address: `127.${rule.octet}.0.${number + 1}`,
        recipient: `b@n${number}.${rule.name}.test`,
        hop: new Stripper(what, pairs),
      }),
    ),
  );
  await Promise.all(cells.map((cell) => cell.hop.listen(port, cell.address)));
  return cells;
}

/** Fates by case, in the order of the rules. */
function table(cells: readonly Cell[], fate: (cell: Cell) => Fate): ReadonlyMap<string, readonly Fate[]> {
  return new Map(
    STRIPPINGS.map(({ name }, number) => [name, cells.filter((cell) => cell.number === number).map(fate)]),
  );
}

/** Delivered as its hop saw it, once; null: it did not come. */
function delivered(cell: Cell): Fate | null {
  const [first, ...more] = cell.hop.messages;
  assert.equal(more.length, 0, `${cell.recipient} came twice`);
  return first === undefined ? null : first.inside ? "TLS" : "open";
}

describe("TLS-11", () => {
  const gateway = new Gateway("stripping");
  const sink = new Sink();
  let cells: readonly Cell[] = [];
  /** The last words of the log on a recipient. */
  const logged = (cell: Cell): string =>
    new RegExp(`to=<${cell.recipient.replaceAll(".", "\\.")}>.* dsn=(.*)`).exec(gateway.output)?.[1] ?? "";
  const fateOf = (cell: Cell): Fate => {
    const words = logged(cell);
    const came = delivered(cell);
    assert.equal(came !== null, /stat=Sent/.test(words), `${cell.recipient}: ${words}`);
    return came ?? (/stat=Deferred/.test(words) ? "deferred" : "failed");
  };

  before(async () => {
    await sink.start();
    cells = await raise();
    gateway.port = await freePort();
    const more = `define(\`confCACERT', \`/etc/mail/certs/ca.crt')dnl
define(\`confAUTH_MECHANISMS', \`PLAIN LOGIN')dnl
define(\`confAUTH_OPTIONS', \`p')dnl
${TIMES.join("")}`;
    gateway.write(
      {
        "sendmail.mc": mc(gateway.port, more),
        mailertable: `c.test\tsmtp:[127.0.0.1]:${sink.port}\n${cells
          .map(({ recipient, address }) => `${recipient.slice(2)}\tsmtp:[${address}]:${port}\n`)
          .join("")}`,
        access: `Connect:127.0.0.1\tRELAY\nAuthInfo:\t"U:joe" "I:joe" "P:${SECRET}"\n${RULES.map((r) => r.access).join("")}`,
        "local-host-names": "gw.test\n",
        aliases: "postmaster: root\nroot: root@c.test\n",
        "certs/ca.crt": readFileSync(pki.path("ca.crt"), "utf8"),
      },
      ["access"],
    );
    // Secrets are 0600 and belong to the daemon's user.
    if (process.getuid?.() === 0) chownSync(join(gateway.config, "access"), 8, 12);
    await gateway.start(["-q15m"]);
    const client = new Client(gateway.port);
    await client.reply();
    await client.say("EHLO c.test");
    for (const { recipient } of cells) {
      for (const command of ["MAIL FROM:<a@c.test>", `RCPT TO:<${recipient}>`, "DATA"])
        assert.match(await client.say(command), /^[23]/);
      client.raw(`Subject: for ${recipient}\r\n\r\nthe mail itself\r\n.\r\n`);
      assert.match(await client.reply(), /^250/);
    }
    client.close();
    await until("each has been tried", 40, () => cells.every((cell) => logged(cell) !== ""));
  });
  after(async () => {
    await gateway.remove();
    await sink.stop();
    for (const { hop } of cells) await hop.close();
  });

  it("the behaviours are the 59 published ones, one of them in two steps", () => {
    assert.equal(PUBLISHED.length, 60);
    assert.equal(new Set(STRIPPINGS.map((what) => what.name)).size, STRIPPINGS.length);
    assert.equal(RECORDED.size, STRIPPINGS.length);
  });

  for (const rule of RULES)
    it(`${rule.name}: nothing goes out that ${rule.open ? "is a secret" : "the rule forbids"}`, () => {
      for (const cell of cells.filter((c) => c.rule === rule)) {
        const { hop, number } = cell;
        const what = STRIPPINGS[number]?.name ?? "";
        const secret = Buffer.from(`\0joe\0${SECRET}`).toString("base64");
        assert.ok(!hop.open.includes(secret) && !hop.open.includes(SECRET), what);
        // Inside TLS all begins anew.
        if (hop.inside.length > 0) assert.match(hop.inside[0] ?? "", /^EHLO /, what);
        if (rule.open) continue;
        assert.doesNotMatch(hop.open, /^(?:RCPT|DATA|AUTH)\b|the mail itself/im, what);
        if (rule.name !== "rcpt") assert.doesNotMatch(hop.open, /^MAIL\b/im, what);
        const fate = fateOf(cell);
        assert.notEqual(fate, "open", what);
        const certificate = STRIPPINGS[number]?.certificate ?? "good";
        if (!rule.certificates.includes(certificate)) assert.equal(fate, "deferred", what);
      }
    });

  it("inside TLS the password is used, so that its absence outside means something", () => {
    const used = cells.filter(({ hop }) => hop.inside.some((line) => line.startsWith("AUTH PLAIN ")));
    assert.ok(used.length > RULES.length, `${used.length} used it`);
  });

  it("what came before TLS never counts: no injected case is delivered but where its 220 has several lines", () => {
    for (const cell of cells) {
      const name = STRIPPINGS[cell.number]?.name ?? "";
      if (!/^(?:I[123]|B1)/.test(name)) continue;
      assert.equal(fateOf(cell), "deferred", `${name}, ${cell.rule.name}`);
      assert.match(logged(cell), /^4\./);
    }
  });

  it("each fate is Sendmail's, or stricter where that is meant", () => {
    const stricter = new Set(STRIPPINGS.filter((what) => what.stricter).map((what) => what.name));
    const expected = new Map(
      [...RECORDED].map(([name, fates]) => [
        name,
        stricter.has(name) ? fates.map((): Fate => "deferred") : fates,
      ]),
    );
    assert.deepEqual(table(cells, fateOf), expected);
  });

  it("what was deferred waits in the queue, what failed has come back to its sender", async () => {
    const fates = cells.map((cell) => [cell.recipient, fateOf(cell)] as const);
    const failed = fates.filter(([, fate]) => fate === "failed").map(([recipient]) => recipient);
    await until("they have come back", 20, () => sink.received.length >= failed.length);
    const back = sink.received.flatMap((r) => /^Final-Recipient: RFC822; (\S+)\r$/m.exec(r.data)?.[1] ?? []);
    assert.deepEqual(back.sort(), failed.sort());
    const listing = (await gateway.run("mailq", gateway.options())).out;
    for (const [recipient, fate] of fates)
      assert.equal(listing.includes(`<${recipient}>`), fate === "deferred", recipient);
  });
});

const record = process.env["RECORD"] === "1";
const NAME = "stripping";

const HOME = "127.10.0.1";
/** So many at once: they wait more than they work. */
const SENDMAILS = 12;

/** As the gateway is configured above. */
function compile(cells: readonly Cell[]): string {
  // Without a folder of them Sendmail does not read the file of authorities either.
  mkdirSync(join(overlay.root, "stripping/certs"), { recursive: true });
  copyFileSync(pki.path("ca.crt"), join(overlay.root, "stripping/ca.crt"));
  const mc = `define(\`confCACERT', \`/stripping/ca.crt')dnl
define(\`confCACERT_PATH', \`/stripping/certs')dnl
${TIMES.join("")}define(\`SMTP_MAILER_ARGS', \`TCP $h ${port}')dnl
FEATURE(\`mailertable', \`hash -o /stripping/mailertable')dnl
FEATURE(\`access_db', \`hash -T<TMPF> /stripping/access')dnl
`;
  const cf = compileMc(NAME, "s", sendmailMc(NAME, "gw.test", mc));
  const hops = cells.map((c) => `${c.recipient.slice(2)}\tsmtp:[${c.address}]\n`).join("");
  makemap(NAME, cf, "mailertable", `c.test\tsmtp:[${HOME}]\n${hops}`);
  makemap(NAME, cf, "access", RULES.map((r) => r.access).join(""));
  return cf;
}

/** What a Sendmail in the foreground says of one message. */
function submit(cf: string, { recipient }: Cell): Promise<string> {
  const [command = "", ...args] = overlay.inside(
    ...["/usr/sbin/sendmail-mta", `-C${cf}`, "-odi", "-v", "-f", "a@c.test", recipient],
  );
  return new Promise((resolve) => {
    const child = execFile(command, args, { timeout: 30_000 }, (_error, out, err) => resolve(out + err));
    child.stdin?.end(`Subject: for ${recipient}\n\nthe mail itself\n`);
  });
}

describe("TLS-11: Sendmail 8.17", () => {
  it("does what is recorded", { timeout: 390_000 }, async (t) => {
    const release = await takeSendmail(NAME, record);
    if (typeof release === "string") return t.skip(release);
    const cells = await raise();
    // Takes what comes back.
    const home = new Stripper({ name: "home" }, pairs);
    try {
      await home.listen(port, HOME);
      const cf = compile(cells);
      const said = new Map<Cell, string>();
      const waiting = [...cells];
      const one = async (): Promise<void> => {
        for (let cell = waiting.shift(); cell !== undefined; cell = waiting.shift())
          said.set(cell, await submit(cf, cell));
      };
      await Promise.all(Array.from({ length: SENDMAILS }, one));
      const theirs = table(cells, (cell) => {
        const words = (said.get(cell) ?? "").split("\n").filter((l) => l.startsWith(`${cell.recipient}... `));
        return delivered(cell) ?? (/Deferred/.test(words.at(-1) ?? "") ? "deferred" : "failed");
      });
      if (record) writeFileSync(FILE, `${JSON.stringify(Object.fromEntries(theirs), null, 2)}\n`);
      else assert.deepEqual(theirs, RECORDED);
    } finally {
      for (const hop of [home, ...cells.map((cell) => cell.hop)]) await hop.close();
      rmSync(join(overlay.root, "spool/stripping"), { recursive: true, force: true });
      release();
    }
    return undefined;
  });
});
