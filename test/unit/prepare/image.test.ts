// Configuration images: what goes in, who may read it, that the same folder gives the same bytes, that nothing unsigned,
// changed, cut off or signed by another is opened, and that a bad configuration is refused before anything is replaced.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { findFolder } from "../../../src/prepare/check.ts";
import { type BuiltImage, buildImage, openImage, type VerifiedImage } from "../../../src/prepare/image.ts";
import { loadSigningKey, loadTrustedKeys, makeKeys, type TrustedKey } from "../../../src/prepare/keys.ts";
import { TRAILER_BYTES } from "../../../src/prepare/signature.ts";

const root = mkdtempSync(join(tmpdir(), "postern-image-"));
after(() => rmSync(root, { recursive: true, force: true }));

const TOOLS = spawnSync("mksquashfs", ["-version"]).error === undefined;
const withTools = { skip: TOOLS ? false : "Debian package squashfs-tools is not installed" };

const MC = `OSTYPE(\`linux')dnl
FEATURE(\`access_db')dnl
FEATURE(\`mailertable')dnl
FEATURE(\`use_cw_file')dnl
MAILER(\`local')dnl
MAILER(\`smtp')dnl
`;

let made = 0;
function folder(files: Readonly<Record<string, string>> = {}): string {
  made += 1;
  const place = join(root, `folder${made}`);
  const all = {
    "mail/sendmail.mc": MC,
    "mail/local-host-names": "mail.example\n",
    "mail/access": "127.0.0.1 RELAY\n",
    "mail/mailertable": "example.com smtp:[192.0.2.1]\n",
    "mail/aliases": "postmaster: root\n",
    "system/hostname": "mail.example\n",
    ...files,
  };
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(join(place, path, ".."), { recursive: true });
    if (text !== "") writeFileSync(join(place, path), text);
  }
  return place;
}

const keys = join(root, "keys");
const keyPair = makeKeys(keys);
const otherKeys = join(root, "otherkeys");
makeKeys(otherKeys);

function trusted(place: string): readonly TrustedKey[] {
  const loaded = loadTrustedKeys(place);
  assert.ok(loaded.ok);
  return loaded.ok ? loaded.value : [];
}

async function build(from: string, target: string, generation = 0): Promise<BuiltImage | readonly string[]> {
  const found = findFolder(from);
  assert.ok(found.ok, found.ok ? "" : found.error);
  const key = loadSigningKey(keys);
  assert.ok(key.ok, key.ok ? "" : key.error);
  if (!found.ok || !key.ok) throw new Error("not reached");
  const built = await buildImage({ folder: found.value, target, key: key.value, generation });
  return built.ok ? built.value : built.error;
}

async function opened(image: string, with_ = keys): Promise<VerifiedImage | readonly string[]> {
  const answer = await openImage(image, trusted(with_));
  return answer.ok ? answer.value : answer.error;
}

test("keys: made once, private to their owner, never replaced", () => {
  assert.ok(keyPair.ok);
  assert.deepEqual(readdirSync(keys), ["config.key", "config.pub"]);
  const again = makeKeys(keys);
  assert.equal(again.ok, false);
  chmodSync(join(otherKeys, "config.key"), 0o644);
  const loose = loadSigningKey(otherKeys);
  assert.match(loose.ok ? "" : loose.error, /Group readable file/);
  const empty = join(root, "nokeys");
  mkdirSync(empty);
  assert.equal(loadTrustedKeys(empty).ok, false);
  writeFileSync(join(empty, "x.pub"), "nonsense");
  assert.equal(loadTrustedKeys(empty).ok, false);
});

test("image: holds the folder, compiled, with tables; opens with the right key only", withTools, async () => {
  const image = join(root, "good.img");
  const built = await build(folder(), image, 7);
  assert.ok("manifest" in built, JSON.stringify(built));
  const verified = await opened(image);
  assert.ok("manifest" in verified, JSON.stringify(verified));
  if (!("manifest" in verified)) return;
  assert.equal(verified.manifest.generation, 7);
  assert.deepEqual(
    verified.manifest.files.map((file) => file.path),
    [
      "mail/access",
      "mail/access.db",
      "mail/aliases",
      "mail/aliases.db",
      "mail/local-host-names",
      "mail/mailertable",
      "mail/mailertable.db",
      "mail/sendmail.cf",
      "mail/sendmail.mc",
      "system/hostname",
    ],
  );
  const stranger = await opened(image, otherKeys);
  assert.match(String(stranger), /not trusted here/);
});

test(
  "image: the same folder gives the same bytes, whatever its times, order and modes",
  withTools,
  async () => {
    const one = folder({ "mail/certs/cert.pem": "CERT\n" });
    const two = join(root, "copy");
    cpSync(one, two, { recursive: true });
    utimesSync(join(two, "mail/access"), 1, 1);
    chmodSync(join(two, "mail/aliases"), 0o755);
    await build(one, join(root, "one.img"));
    await build(two, join(root, "two.img"));
    assert.ok(readFileSync(join(root, "one.img")).equals(readFileSync(join(root, "two.img"))));
  },
);

test("image: a folder that holds sendmail.mc itself is taken too", withTools, async () => {
  const image = join(root, "flat.img");
  const built = await build(join(folder(), "mail"), image);
  assert.ok("manifest" in built, JSON.stringify(built));
  if (!("manifest" in built)) return;
  assert.ok(built.manifest.files.every((file) => file.path.startsWith("mail/")));
});

test("image: secrets are the daemon's own, everything else is root's", withTools, async () => {
  const from = folder({
    "mail/sasldb.json": "{}",
    "mail/default-auth-info": "u\nu\nsecret\nr\n",
    "mail/authinfo": 'AuthInfo:x "U:u" "P:secret"\n',
    "mail/certs/key.pem": "-----BEGIN PRIVATE KEY-----\n",
    "mail/certs/cert.pem": "-----BEGIN CERTIFICATE-----\n",
    "mail/private": "x\n",
    "mail/smrsh/vacation": "#!/bin/sh\n",
    "system/passwd": "root::0:0:root:/root:/bin/sh\n",
    "mail/sendmail.mc": `${MC.replace("MAILER(`local')", "FEATURE(`authinfo')dnl\nMAILER(`local')")}`,
  });
  chmodSync(join(from, "mail/private"), 0o600);
  chmodSync(join(from, "mail/smrsh/vacation"), 0o755);
  const image = join(root, "secret.img");
  const built = await build(from, image);
  assert.ok("manifest" in built, JSON.stringify(built));
  const listing = execFileSync("unsquashfs", ["-lln", image]).toString();
  const modes = new Map(
    [...listing.matchAll(/^(\S{10})\s+(\d+\/\d+)\s.*squashfs-root\/(\S+)/gm)].map((m) => [
      m[3],
      `${m[1]} ${m[2]}`,
    ]),
  );
  for (const secret of [
    "mail/sasldb.json",
    "mail/default-auth-info",
    "mail/authinfo",
    "mail/authinfo.db",
    "mail/certs/key.pem",
    "mail/private",
    "system/passwd",
  ])
    assert.equal(modes.get(secret), "-rw------- 8/12", secret);
  for (const plain of [
    "mail/access",
    "mail/access.db",
    "mail/certs/cert.pem",
    "manifest.json",
    "mail/sendmail.cf",
  ])
    assert.equal(modes.get(plain), "-rw-r--r-- 0/0", plain);
  assert.equal(modes.get("mail/smrsh/vacation"), "-rwxr-xr-x 0/0");
  assert.equal(modes.get("mail/certs"), "drwxr-xr-x 0/0");
});

test(
  "image: any changed byte, a cut, a missing signature are refused before anything is unpacked",
  withTools,
  async () => {
    const image = join(root, "attacked.img");
    const built = await build(folder(), image);
    assert.ok("manifest" in built, JSON.stringify(built));
    const whole = readFileSync(image);
    const body = whole.length - TRAILER_BYTES;
    const attack = async (bytes: Buffer, what: string): Promise<void> => {
      writeFileSync(image, bytes);
      assert.ok(!("manifest" in (await opened(image))), what);
    };
    for (let i = 0; i < 60; i++) {
      const at = Math.floor((i * (body + 112)) / 60);
      const bent = Buffer.from(whole);
      bent[at] = (bent[at] ?? 0) ^ 0x01;
      await attack(bent, `byte ${at}`);
    }
    for (const length of [0, 1, 95, 96, 4096, body, body + 1, whole.length - 17])
      await attack(whole.subarray(0, length), `cut at ${length}`);
    await attack(Buffer.concat([whole.subarray(0, body), Buffer.alloc(TRAILER_BYTES)]), "no signature");
    await attack(Buffer.alloc(100_000), "zeros");
    const huge = Buffer.from(whole);
    huge.writeBigUInt64LE(1n << 60n, 40);
    await attack(huge, "a superblock that claims everything");
    // What lies behind the trailer, as in a partition, does not count.
    writeFileSync(image, Buffer.concat([whole, Buffer.alloc(1 << 20, 0xff)]));
    assert.ok("manifest" in (await opened(image)));
  },
);

test(
  "image: a bad configuration is refused with file, line and reason, and the old image stays",
  withTools,
  async () => {
    const image = join(root, "old.img");
    writeFileSync(image, "the old one");
    const cases: readonly [Readonly<Record<string, string>>, RegExp][] = [
      [
        { "mail/sendmail.mc": `${MC}FEATURE(\`nosuchfeature')dnl\n` },
        /mail\/sendmail\.mc:7:1: .*nosuchfeature/,
      ],
      [{ "mail/access": "127.0.0.1 RELAY\nbad\n" }, /mail\/access:2:1: no RHS for LHS bad/],
      [{ "mail/access": "a 1\na 2\n" }, /mail\/access:2:1: key a: duplicate key/],
      [{ "mail/aliases": "ok: root\nnocolon\n" }, /mail\/aliases:2:1: missing colon/],
      [{ "mail/with blank": "x" }, /with blank: a configuration cannot carry a file of this name/],
    ];
    for (const [files, expected] of cases) {
      const built = await build(folder(files), image);
      assert.ok(!("manifest" in built), String(expected));
      assert.match(String(built), expected);
      assert.equal(readFileSync(image, "latin1"), "the old one");
    }
    const missing = folder();
    rmSync(join(missing, "mail/local-host-names"));
    assert.match(String(await build(missing, image)), /local-host-names:1:1: .*No such file or directory/);
    const linked = folder();
    symlinkSync("/etc/shadow", join(linked, "mail/shadow"));
    assert.match(
      String(await build(linked, image)),
      /mail\/shadow: a link to \/etc\/shadow, which is not in the configuration/,
    );
    const special = folder();
    execFileSync("mkfifo", [join(special, "mail/fifo")]);
    assert.match(String(await build(special, image)), /mail\/fifo: neither a file nor a folder nor a link/);
    assert.deepEqual(
      readdirSync(root).filter((name) => name.endsWith(".new") || name.startsWith(".")),
      [],
    );
  },
);

test("image: links of smrsh and links inside the folder are carried", withTools, async () => {
  const from = folder({ "mail/smrsh/x": "#!/bin/sh\n" });
  symlinkSync("/usr/bin/vacation", join(from, "mail/smrsh/vacation"));
  symlinkSync("access", join(from, "mail/access.link"));
  const image = join(root, "links.img");
  const built = await build(from, image);
  assert.ok("manifest" in built, JSON.stringify(built));
  assert.ok("manifest" in (await opened(image)));
});

test("folder: without sendmail.mc it is none", () => {
  const empty = join(root, "empty");
  mkdirSync(empty);
  assert.equal(findFolder(empty).ok, false);
  assert.equal(findFolder(join(root, "nosuch")).ok, false);
});
