import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { defaultOptions, type Options } from "../../../src/config/options.ts";
import { checkAccount } from "../../../src/sasl/accounts.ts";
import { askSaslauthd } from "../../../src/sasl/saslauthd.ts";
import { DEFAULT_CONF, parseSaslConf, type SaslConf } from "../../../src/sasl/sendmailconf.ts";
import { makeSaslServer } from "../../../src/sasl/service.ts";
import { shaCrypt } from "../../../src/sasl/shacrypt.ts";
import { changeStore, formatStore, makeCredential, openStore, parseStore } from "../../../src/sasl/store.ts";
import { systemEntropy } from "../../../src/sys/entropy.ts";

const dir = mkdtempSync(join(tmpdir(), "postern-sasl-"));
after(() => rmSync(dir, { recursive: true, force: true }));

async function add(path: string, user: string, secret: string, keep = true): Promise<void> {
  const made = await makeCredential(user, "mail.example.org", secret, keep, systemEntropy);
  assert.ok(made);
  const done = await changeStore(path, { create: true }, (users) => [
    ...users.filter((u) => u.user !== user),
    made,
  ]);
  assert.deepEqual(done, { ok: true, value: true });
}

test("the file is made with mode 0600 and is seen by an open store without a restart", async () => {
  const path = join(dir, "new.json");
  const store = openStore(path, { groupReadable: false });
  assert.equal(store.find("joe", "mail.example.org").kind, "absent");
  await add(path, "joe", "sesame");
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const seen = store.find("joe", "MAIL.example.org");
  assert.equal(seen.kind === "found" && seen.value.secret, "sesame");
  await add(path, "joe", "other");
  const changed = store.find("joe", "mail.example.org");
  assert.equal(changed.kind === "found" && changed.value.secret, "other");
  assert.deepEqual(
    readdirSync(dir).filter((n) => n.includes("lock") || n.includes(".new")),
    [],
  );
});

test("without CRAM-MD5 and DIGEST-MD5 the secret is nowhere in the file", async () => {
  const path = join(dir, "verifiers.json");
  await add(path, "joe", "open-sesame", false);
  const text = readFileSync(path, "utf8");
  assert.ok(!text.includes("open-sesame") && !text.includes(Buffer.from("open-sesame").toString("base64")));
  assert.match(text, /scramSha256/);
});

const MODES: readonly { mode: number; groupReadable: boolean; expected: string }[] = [
  { mode: 0o600, groupReadable: false, expected: "found" },
  { mode: 0o400, groupReadable: false, expected: "found" },
  { mode: 0o640, groupReadable: false, expected: "tempfail" },
  { mode: 0o640, groupReadable: true, expected: "found" },
  { mode: 0o644, groupReadable: true, expected: "tempfail" },
  { mode: 0o604, groupReadable: false, expected: "tempfail" },
  { mode: 0o620, groupReadable: true, expected: "tempfail" },
  { mode: 0o602, groupReadable: true, expected: "tempfail" },
];
for (const m of MODES)
  test(`mode ${m.mode.toString(8)}${m.groupReadable ? " with GroupReadableSASLDBFile" : ""}: ${m.expected}`, async () => {
    const path = join(dir, `modes-${m.mode}-${m.groupReadable}.json`);
    await add(path, "joe", "x");
    chmodSync(path, m.mode);
    assert.equal(
      openStore(path, { groupReadable: m.groupReadable }).find("joe", "mail.example.org").kind,
      m.expected,
    );
  });

const BAD_FILES = [
  "",
  "{}",
  "[]",
  "null",
  '{"format":"postern-sasldb","version":2,"users":[]}',
  '{"format":"postern-sasldb","version":1}',
  '{"format":"postern-sasldb","version":1,"users":[{"user":"a\\nb","realm":"r"}]}',
  '{"format":"postern-sasldb","version":1,"users":[{"user":"a"}]}',
  '{"format":"postern-sasldb","version":1,"users":[{"user":"a","realm":"r","secret":1}]}',
  '{"format":"postern-sasldb","version":1,"users":[{"user":"a","realm":"r","scramSha1":{"salt":"AA==","iterations":1,"storedKey":"AA==","serverKey":"AA=="}}]}',
];
for (const text of BAD_FILES)
  test(`a broken file is a temporary failure, never "no such user": ${text}`, () => {
    const path = join(dir, "broken.json");
    writeFileSync(path, text, { mode: 0o600 });
    assert.equal(openStore(path, { groupReadable: false }).find("joe", "r").kind, "tempfail");
  });

test("a change never overwrites a file that cannot be read", async () => {
  const path = join(dir, "keep.json");
  writeFileSync(path, "precious", { mode: 0o600 });
  const done = await changeStore(path, { create: true }, () => []);
  assert.equal(done.ok, false);
  assert.equal(readFileSync(path, "utf8"), "precious");
});

test("users called __proto__ and constructor are users like others", async () => {
  const a = await makeCredential("__proto__", "r", "x", true, systemEntropy);
  assert.ok(a);
  const read = parseStore(formatStore([a]));
  assert.deepEqual(read.ok && read.value, [a]);
});

test("twenty writers at once lose nobody", async () => {
  const path = join(dir, "many.json");
  const script = join(dir, "writer.ts");
  const source = (f: string): string => new URL(`../../../src/${f}`, import.meta.url).href;
  writeFileSync(
    script,
    `import { changeStore, makeCredential } from "${source("sasl/store.ts")}";
import { systemEntropy } from "${source("sys/entropy.ts")}";
for (let i = 0; i < 5; i++) {
  const made = await makeCredential(process.argv[3] + i, "r", "x", false, systemEntropy);
  const done = await changeStore(process.argv[2], { create: true }, (users) => [...users, made]);
  if (!done.ok) throw new Error(done.error);
}`,
  );
  const run = promisify(execFile);
  await Promise.all(
    ["a", "b", "c", "d"].map((n) => run(process.execPath, [script, path, n], { timeout: 60_000 })),
  );
  const all = openStore(path, { groupReadable: false }).all();
  assert.equal(all.kind === "found" && all.value.length, 20);
});

test("a lock left by a dead process is taken over", async () => {
  const path = join(dir, "stale.json");
  writeFileSync(`${path}.lock`, "999999999\n");
  await add(path, "joe", "x");
});

// Inputs of Drepper's specification; results as crypt(3) of glibc 2.36 gives them.
const CRYPTS = [
  ["Hello world!", "$5$saltstring", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"],
  [
    "Hello world!",
    "$5$rounds=10000$saltstringsaltstring",
    "$5$rounds=10000$saltstringsaltst$3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA",
  ],
  [
    "This is just a test",
    "$5$rounds=5000$toolongsaltstring",
    "$5$rounds=5000$toolongsaltstrin$Un/5jzAHMgOGZ5.mWJpuVolil07guHPvOW8mGRcvxa5",
  ],
  [
    "pässwörd",
    "$5$rounds=1400$anotherlongsalt",
    "$5$rounds=1400$anotherlongsalt$ehQ3KdVAtTwbmALfwH7qWdfw9Fb.AYktAux.cp9jMJA",
  ],
  [
    "Hello world!",
    "$6$saltstring",
    "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
  ],
  [
    "we have a short salt string but not a short password",
    "$6$rounds=77777$short",
    "$6$rounds=77777$short$WuQyW2YR.hBNpjjRhpYD/ifIw05xdfeEyQoMxIXbkvr0gge1a1x3yRULJ5CCaUeOxFmtlcGZelFl5CxtgfiAc0",
  ],
  [
    "a very much longer text to encrypt.  This one even stretches over morethan one line.",
    "$6$rounds=1400$anotherlongsaltstring",
    "$6$rounds=1400$anotherlongsalts$POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x9t0oSwbtEW7o7UmJEiDwGqd8p4ur1",
  ],
] as const;
test("sha256crypt and sha512crypt as specified", () => {
  for (const [password, setting, expected] of CRYPTS) assert.equal(shaCrypt(password, setting), expected);
});

test("other schemes and too many rounds are not judged", () => {
  assert.equal(shaCrypt("x", "$y$j9T$abc$def"), null);
  assert.equal(shaCrypt("x", "$1$abc$def"), null);
  assert.equal(shaCrypt("x", "$6$rounds=999999999$abc$def"), null);
});

test("accounts: hash in passwd or shadow; locked, empty and unknown never pass; a foreign scheme is a temporary failure", () => {
  const hash = shaCrypt("sesame", "$6$abcdefgh") ?? "";
  const passwd = join(dir, "passwd");
  const shadow = join(dir, "shadow");
  writeFileSync(
    passwd,
    `mick:${hash}:1000:1000::/:/bin/sh\njoe:x:1001:1001::/:/bin/sh\nempty::1002:1002::/:/bin/sh\nlocked:!${hash}:1003:1003::/:/bin/sh\nyes:$y$j9T$aaa$bbb:1::/:\n`,
  );
  writeFileSync(shadow, `joe:${hash}:19000:0:99999:7:::\n`);
  const ask = (user: string, password: string): string =>
    checkAccount({ passwd, shadow }, user, password).kind;
  assert.equal(ask("mick", "sesame"), "found");
  assert.equal(ask("joe", "sesame"), "found");
  for (const [user, password] of [
    ["mick", "wrong"],
    ["joe", "wrong"],
    ["joe", ""],
    ["empty", ""],
    ["empty", "x"],
    ["locked", "sesame"],
    ["nobody", "x"],
    ["mick:x", "sesame"],
    ["", ""],
  ] as const)
    assert.equal(ask(user, password), "absent", `${user} ${password}`);
  assert.equal(ask("yes", "x"), "tempfail");
});

// ---- Sendmail.conf

const CONFS: readonly { name: string; text: string; expected: Partial<SaslConf> | RegExp }[] = [
  { name: "the chapter's Example 9-10", text: "pwcheck_method: sasldb\n", expected: { sources: ["sasldb"] } },
  { name: "the chapter's Example 9-13", text: "pwcheck_method: pam", expected: { sources: ["pam"] } },
  {
    name: "auxprop spelling",
    text: "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: plain CRAM-MD5\n",
    expected: { sources: ["sasldb"], mechanisms: ["PLAIN", "CRAM-MD5"] },
  },
  {
    name: "several methods, comments, CRLF",
    text: "# x\r\npwcheck_method: saslauthd auxprop\r\nsaslauthd_path: /x/mux\r\n",
    expected: { sources: ["saslauthd", "sasldb"], saslauthdPath: "/x/mux" },
  },
  { name: "nothing", text: "", expected: { sources: ["sasldb"], mechanisms: null } },
  { name: "Kerberos", text: "\npwcheck_method: kerberos_v4", expected: /^2: .*Kerberos is not part/ },
  { name: "LDAP plug-in", text: "auxprop_plugin: ldapdb", expected: /^1: .*LDAP/ },
  { name: "LDAP method", text: "pwcheck_method: ldap", expected: /^1: .*LDAP/ },
  { name: "SQL plug-in", text: "auxprop_plugin: sql", expected: /^1: .*sasldb/ },
  {
    name: "a method nobody knows",
    text: "pwcheck_method: magic",
    expected: /^1: pwcheck_method magic: no such method/,
  },
  { name: "everybody", text: "pwcheck_method: alwaystrue", expected: /let in/ },
  { name: "no colon", text: "pwcheck_method sasldb", expected: /^1: not "name: value"/ },
];
for (const c of CONFS)
  test(`Sendmail.conf: ${c.name}`, () => {
    const read = parseSaslConf(c.text);
    if (c.expected instanceof RegExp)
      assert.match(read.ok ? "" : `${read.error.line}: ${read.error.message}`, c.expected);
    else if (read.ok)
      for (const [key, value] of Object.entries(c.expected))
        assert.deepEqual(new Map(Object.entries(read.value)).get(key), value);
    else assert.fail(read.error.message);
  });

// ---- what is offered

function server(changes: Partial<Options>, conf: Partial<SaslConf> = {}, storePath = join(dir, "new.json")) {
  return makeSaslServer({
    options: { ...defaultOptions(), ...changes },
    conf: { ...DEFAULT_CONF, ...conf },
    host: "mail.example.org",
    storePath,
    accounts: null,
    ownName: () => false,
    entropy: systemEntropy,
  });
}
const CHAPTER = "CRAM-MD5 DIGEST-MD5 LOGIN PLAIN".split(" ");
const names = (list: readonly { name: string }[]): string => list.map((m) => m.name).join(" ");

test("offers: nothing at all without a credentials file or another source", () => {
  assert.equal(names(server({}, {}, join(dir, "no.json")).offered({}, true)), "");
  assert.equal(names(server({ AuthMechanisms: CHAPTER }, {}, join(dir, "no.json")).offered({}, true)), "");
});

test("offers: the chapter's Example 9-17 with pam: LOGIN and PLAIN under TLS, nothing without", () => {
  const s = server({ AuthMechanisms: CHAPTER }, { sources: ["pam"] }, join(dir, "no.json"));
  assert.equal(names(s.offered({}, true)), "LOGIN PLAIN");
  assert.equal(names(s.offered({}, false)), "");
});

test("offers: mech_list narrows, AuthOptions m and p rule", () => {
  assert.equal(
    names(server({ AuthMechanisms: CHAPTER }, { mechanisms: ["PLAIN"] }).offered({}, true)),
    "PLAIN",
  );
  assert.equal(names(server({ AuthMechanisms: CHAPTER, AuthOptions: "m" }).offered({}, true)), "DIGEST-MD5");
});

// Sendmail (op.txt, AuthOptions): p forbids mechanisms that show the password on an open wire; without it they are allowed. Not set: as p.
for (const [AuthOptions, open] of [
  ["", ""],
  ["p", ""],
  ["Ap", ""],
  ["A", "PLAIN LOGIN"],
  ["y", "PLAIN LOGIN"],
  ["Am", ""],
] as const)
  test(`offers: AuthOptions "${AuthOptions}" without TLS: ${open === "" ? "no password" : open}`, () => {
    const s = server({ AuthMechanisms: ["PLAIN", "LOGIN"], AuthOptions });
    assert.equal(names(s.offered({}, false)), open);
    assert.equal(names(s.offered({}, true)), AuthOptions.includes("m") ? "" : "PLAIN LOGIN");
  });

test("offers: EXTERNAL to a verified certificate only", () => {
  const s = server({ AuthMechanisms: ["EXTERNAL"] });
  assert.equal(names(s.offered({ tls: { verify: "OK", certSubject: "/CN=a" } }, true)), "EXTERNAL");
  assert.equal(names(s.offered({ tls: { verify: "FAIL", certSubject: "/CN=a" } }, true)), "");
  assert.equal(names(s.offered({}, true)), "");
});

test("passwords are checked against verifiers when the secret is not kept", async () => {
  const context = server({}, {}, join(dir, "verifiers.json")).context({});
  assert.equal((await context.checkPassword("joe", "mail.example.org", "open-sesame")).kind, "found");
  assert.equal((await context.checkPassword("joe", "mail.example.org", "wrong")).kind, "absent");
  assert.equal((await context.checkPassword("joe", "elsewhere", "open-sesame")).kind, "absent");
  assert.equal((await context.checkPassword("nobody", "mail.example.org", "open-sesame")).kind, "absent");
});

// ---- saslauthd's protocol against a server that answers as told

test("saslauthd: OK, NO, and everything else a temporary failure", async () => {
  const path = join(dir, "mux");
  const answers: (Buffer | null)[] = [
    Buffer.from("\0\x02OK"),
    Buffer.from("\0\x02NO"),
    Buffer.from("\0\x10NO wrong password", "latin1"),
    Buffer.from("\0\x05HELLO"),
    Buffer.from([0xff, 0xff, 0x4f]),
    null,
  ];
  const asked: Buffer[] = [];
  const net = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.once("data", (d: Buffer) => {
      asked.push(d);
      const answer = answers[asked.length - 1];
      if (answer) socket.write(answer);
      else socket.destroy();
    });
  });
  await new Promise<void>((resolve) => net.listen(path, resolve));
  const kinds: string[] = [];
  for (let i = 0; i < answers.length; i++)
    kinds.push((await askSaslauthd(path, { user: "joe", password: "pw", service: "smtp", realm: "" })).kind);
  assert.deepEqual(kinds, ["found", "absent", "absent", "tempfail", "tempfail", "tempfail"]);
  assert.deepEqual(asked[0], Buffer.from("\0\x03joe\0\x02pw\0\x04smtp\0\0", "latin1"));
  assert.equal(
    (await askSaslauthd(join(dir, "nomux"), { user: "a", password: "b", service: "smtp", realm: "" })).kind,
    "tempfail",
  );
  net.close();
});
