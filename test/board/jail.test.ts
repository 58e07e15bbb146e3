// The jail in the booted appliance: aliases that name files outside it, and a program that the gateway itself runs (as 8:12, behind
// smrsh's rules) which writes wherever it can. Nothing outside the spool is created; inside, the same programs and files work.

import assert from "node:assert/strict";
import { appendFileSync, chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { configurationImage } from "../../scripts/configuration.ts";
import { makeImage } from "../../scripts/image.ts";
import { BOOT_MS, powerOn } from "./appliance.ts";
import { configurationFolder, testDisk } from "./content.ts";
import { converse, greeting } from "./talk.ts";

const BOARD = "qemu-x86_64";
const MAIL = "/var/mailjail/var/spool/mail";

/** Places that an attacker would like, and that belong to somebody else or to nobody. */
const TARGETS =
  "/ /etc /run /run/gateway /run/postern /tmp /var /var/flash /var/flash/device /dev /dev/shm /config /proc/sys/kernel";

const ATTACK = `#!/bin/sh
/bin/cat >/dev/null
say() { echo "$*" >>${MAIL}/report; }
for place in ${TARGETS}; do
  ( echo x >"$place/evil" ) 2>/dev/null && [ "$place" != /run/postern ] && say "escaped to $place"
  /bin/mkdir "$place/evildir" 2>/dev/null && [ "$place" != /run/postern ] && say "made a folder in $place"
  /bin/ln -s /etc/passwd "$place/evillink" 2>/dev/null && [ "$place" != /run/postern ] && say "made a link in $place"
done
( : >/dev/vda ) 2>/dev/null && say "opened the disk"
/bin/mknod ${MAIL}/evilnode b 254 0 2>/dev/null && say "made a device"
/bin/su -c true 2>/dev/null && say "became root"
say "as $(/bin/id -u):$(/bin/id -g)"
say done
`;

const ALIASES = `
attack: "|attack"
passwd: /etc/passwd
run: /run/evilfile
tmp: /tmp/evilfile
dots: /var/mailjail/../../tmp/evildots
device: /dev/vda
flash: /var/flash/device/evilfile
good: ${MAIL}/good
`;

function configuration(work: string): string {
  const folder = configurationFolder(work, 9);
  appendFileSync(join(folder, "mail/aliases"), ALIASES);
  mkdirSync(join(folder, "mail/smrsh"), { recursive: true });
  writeFileSync(join(folder, "mail/smrsh/attack"), ATTACK);
  chmodSync(join(folder, "mail/smrsh/attack"), 0o755);
  return folder;
}

test("in the appliance nothing that mail makes the gateway do reaches beyond the jail", async (t) => {
  const work = mkdtempSync(join(tmpdir(), "postern-board-jail-"));
  t.after(() => rmSync(work, { recursive: true, force: true }));
  const products = await makeImage(BOARD);
  const image = join(work, "a");
  await configurationImage(configuration(work), image);
  const disk = await testDisk(products, BOARD, work, { configA: image });
  await using box = await powerOn(BOARD, products, disk);
  assert.match(await greeting(box.smtpPort, BOOT_MS), /^220 /);
  const names = ["passwd", "run", "tmp", "dots", "device", "flash", "good", "attack"];
  for (const name of names) {
    const replies = await converse(box.smtpPort, [
      "EHLO client.example.org",
      "MAIL FROM:<ann@example.org>",
      `RCPT TO:<${name}@mail.polkatistas.org>`,
      "DATA",
      "Subject: attack\r\n\r\nx\r\n.",
      "QUIT",
    ]);
    assert.match(replies[5] ?? "", /^250 2\.0\.0 /, `${name}: ${replies.join("")}`);
  }
  await box.logIn();
  const waited = await box.run(
    `n=0; until grep -q '^done$' ${MAIL}/report 2>/dev/null && [ -s ${MAIL}/good ]; do n=$((n+1)); [ $n -gt 40 ] && break; sleep 1; done; cat ${MAIL}/report`,
  );
  assert.equal(waited.output, "as 8:12\ndone\n");
  const found = await box.run(
    "find / -xdev -name 'evil*'; find /run /tmp /dev /var/flash -name 'evil*' | grep -v '^/run/postern/'",
  );
  assert.equal(found.output, "");
  const passwd = await box.run("grep -c attack /etc/passwd");
  assert.equal(passwd.output, "0\n");
  const good = await box.run(`grep -c '^Subject: attack' ${MAIL}/good; stat -c %u:%g ${MAIL}/good`);
  assert.equal(good.output, "1\n8:12\n");
});
