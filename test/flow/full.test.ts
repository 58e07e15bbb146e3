// FULL-01 to FULL-03 with the whole program: its queue on a small file system of its own that fills up, has not one byte or inode
// left, turns read-only, or is so from the start. Clients hear 452 or 421, what is queued leaves, nothing is lost, and it recovers by
// itself. Mounting needs root.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { delay, freePort, Gateway, relayMc, Sink, send, until } from "./gateway.ts";

const MIB = 1024 * 1024;
const skip = process.getuid?.() === 0 ? false : "mounting a file system needs root";
const NO_SPACE = "452 4.4.5 Insufficient disk space; try again later";

const message = (tag: string, bytes: number): string =>
  `From: a@example.com\r\nSubject: ${tag}\r\n\r\n${`${"x".repeat(70)}\r\n`.repeat(Math.ceil(bytes / 72))}`;

const mc = (port: number, more = ""): string =>
  relayMc(port, `define(\`confMIN_FREE_BLOCKS', \`100')dnl\n${more}`);

interface Place extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly sink: Sink;
  /** The root of the file system; the queue is a folder in it. */
  readonly medium: string;
  readonly device: string;
}

/** A gateway whose queue is on an ext4 of `mebibytes`, made with more words for mkfs; its next hop is away. */
async function place(
  name: string,
  mebibytes: number,
  more = "",
  mkfs: readonly string[] = [],
): Promise<Place> {
  const gateway = new Gateway(name);
  const sink = new Sink();
  await sink.start();
  await sink.stop();
  const image = join(gateway.folder, "medium.img");
  const medium = join(gateway.folder, "medium");
  mkdirSync(medium);
  writeFileSync(image, "");
  execFileSync("truncate", ["-s", `${mebibytes}M`, image]);
  execFileSync("mkfs.ext4", ["-q", "-F", "-m", "0", "-O", "^has_journal", ...mkfs, image]);
  const device = execFileSync("losetup", ["--show", "-f", image], { encoding: "utf8" }).trim();
  execFileSync("mount", ["-o", "errors=remount-ro,noatime", device, medium]);
  mkdirSync(join(medium, "mqueue"), { mode: 0o700 });
  execFileSync("mount", ["--bind", join(medium, "mqueue"), gateway.queue]);
  gateway.port = await freePort();
  gateway.write({
    "sendmail.mc": mc(gateway.port, more),
    mailertable: `example.net\tsmtp:[127.0.0.1]:${sink.port}\n`,
    access: "To:example.net\tRELAY\n",
  });
  return {
    gateway,
    sink,
    medium,
    device,
    async [Symbol.asyncDispose]() {
      await gateway.stop("SIGKILL");
      execFileSync("umount", [gateway.queue]);
      execFileSync("umount", [medium]);
      execFileSync("losetup", ["-d", device]);
      await gateway.remove();
      await sink.stop();
    },
  };
}

const subjects = (sink: Sink): string[] =>
  sink.received.map(({ data }) => /^Subject: (.*)\r$/m.exec(data)?.[1] ?? "").sort();

/** Somebody else takes what is left; gives it back when called. */
function takeBlocks(medium: string): () => void {
  const rest = join(medium, "rest");
  try {
    execFileSync("dd", ["if=/dev/zero", `of=${rest}`, "bs=1024", `count=${(6 * MIB) / 1024}`], {
      stdio: "ignore",
    });
  } catch (e) {
    assert.ok(e instanceof Error, "no space left");
  }
  return () => rmSync(rest);
}

function takeInodes(medium: string): () => void {
  const taken: string[] = [];
  try {
    for (let n = 0; n < 1000; n++) {
      const path = join(medium, `rest${n}`);
      writeFileSync(path, "");
      taken.push(path);
    }
  } catch (e) {
    assert.ok(e instanceof Error, "no inodes left");
  }
  return () => {
    for (const path of taken) rmSync(path);
  };
}

const FULL = [
  { what: "blocks", mkfs: [], bytes: 60_000, take: takeBlocks, left: "avail" },
  { what: "inodes", mkfs: ["-N", "48"], bytes: 36_000, take: takeInodes, left: "iavail" },
];

for (const { what, mkfs, bytes, take, left } of FULL)
  test(`a queue of 4 MB full by ${what} refuses with 452, drains with none left, and takes mail again`, {
    skip,
    timeout: 120_000,
  }, async (t) => {
    await using here = await place(`full-${what}`, 4, "", mkfs);
    const { gateway, sink } = here;
    await gateway.start(["-q1h"]);
    const accepted: string[] = [];
    let refused = 0;
    for (let n = 0; n < 400 && refused < 3; n++) {
      const reply = await send(gateway.port, "a@example.com", ["b@example.net"], message(`m${n}`, bytes));
      if (reply.startsWith("250")) accepted.push(`m${n}`);
      else {
        assert.equal(reply, NO_SPACE);
        refused++;
        // Free space is asked for in the background.
        await delay(400);
      }
    }
    assert.equal(refused, 3, "it fills up");
    assert.ok(accepted.length > 5);
    const free = (column: string): number =>
      Number(
        execFileSync("df", [`--output=${column}`, "-B1", here.medium], { encoding: "utf8" }).split("\n")[1],
      );
    t.diagnostic(
      `${accepted.length} accepted; then ${free("avail")} bytes and ${free("iavail")} inodes free`,
    );
    if (what === "inodes") assert.ok(free("avail") > MIB, "it is the inodes that are short");
    const giveBack = take(here.medium);
    assert.equal(free(left), 0);
    // Somebody pulls the plug and puts it in again.
    await gateway.stop("SIGKILL");
    await gateway.start(["-q1h"]);
    assert.equal(
      await send(gateway.port, "a@example.com", ["b@example.net"], message("no", bytes)),
      NO_SPACE,
    );
    await sink.start(sink.port);
    const flushed = await gateway.run("sendmail", [...gateway.options(), "-q"]);
    assert.equal(flushed.status, 0, flushed.err);
    await until("all that was accepted has left", 40, () => sink.received.length >= accepted.length);
    assert.deepEqual(subjects(sink), [...accepted].sort(), "nothing is lost, nothing is sent twice");
    giveBack();
    await until("it takes mail again", 20, async () =>
      (await send(gateway.port, "a@example.com", ["b@example.net"], message("after", bytes))).startsWith(
        "250",
      ),
    );
    await until("and delivers it", 20, () => subjects(sink).includes("after"));
    assert.equal(await gateway.stop(), 0);
    await gateway.start(["-q1h"]);
    assert.match((await gateway.run("mailq", gateway.options())).out, /is empty|Total requests: 0/);
  });

for (const mode of ["background", "interactive"])
  test(`a queue that turns read-only, ${mode} delivery: ${mode === "background" ? "421 and the reason in the log" : "relaying goes on"}`, {
    skip,
    timeout: 90_000,
  }, async (t) => {
    const more = `define(\`confDELIVERY_MODE', \`${mode}')dnl\n${mode === "interactive" ? "define(`confSAFE_QUEUE', `interactive')dnl\n" : ""}`;
    await using here = await place(`readonly-${mode}`, 16, more);
    const { gateway, sink } = here;
    const trigger = `/sys/fs/ext4/${basename(here.device)}/trigger_fs_error`;
    if (!existsSync(trigger)) {
      t.skip("this kernel cannot be told of a file system error");
      return;
    }
    if (mode === "interactive") await sink.start(sink.port);
    await gateway.start(["-q1h"]);
    const first = await send(gateway.port, "a@example.com", ["b@example.net"], message("first", 1000));
    assert.match(first, /^250 /);
    await delay(300);
    // The kernel itself turns it read-only, under open files, as it does when flash goes bad.
    writeFileSync(trigger, "gateway test\n");
    const deadline = performance.now() + 15_000;
    let reply = "";
    for (let n = 0; performance.now() < deadline; n++) {
      reply = await send(gateway.port, "a@example.com", ["b@example.net"], message(`r${n}`, 1000));
      if (mode === "interactive" || !reply.startsWith("250")) break;
    }
    if (mode === "interactive") {
      assert.match(reply, /^250 /);
      await until("relayed", 10, () => subjects(sink).includes("r0"));
      sink.replies.set("RCPT", "451 4.2.0 later");
      const later = await send(gateway.port, "a@example.com", ["b@example.net"], message("later", 1000));
      assert.match(later, /^4\d\d 4\./, "what would have to be kept is not acknowledged");
    } else {
      assert.match(reply, /^(421|452) 4\.\d\.\d /);
      await until("the reason in the log", 10, () => /EROFS|EIO|read-only/i.test(gateway.output));
    }
    assert.equal(typeof (await gateway.stop()), "number", "it is alive to the end");
  });

test("a spool that cannot be used from the start, interactive delivery: relaying goes on, all else hears 421", {
  timeout: 60_000,
}, async () => {
  const gateway = new Gateway("unusable");
  const sink = new Sink();
  try {
    await sink.start();
    gateway.port = await freePort();
    gateway.write({
      "sendmail.mc": mc(
        gateway.port,
        "define(`confDELIVERY_MODE', `interactive')dnl\ndefine(`confSAFE_QUEUE', `interactive')dnl\n",
      ),
      mailertable: `example.net\tsmtp:[127.0.0.1]:${sink.port}\n`,
      access: "To:example.net\tRELAY\n",
    });
    await gateway.start(["-q1h", "--spool-unusable", "/dev/vda6: bad magic"]);
    assert.match(
      gateway.output,
      /the spool cannot be used: \/dev\/vda6: bad magic; only what its next hop takes/,
    );
    const to = (tag: string): Promise<string> =>
      send(gateway.port, "a@example.com", ["b@example.net"], message(tag, 200_000));
    assert.match(await to("first"), /^250 /);
    assert.deepEqual(subjects(sink), ["first"]);
    sink.replies.set("RCPT", "451 4.2.0 later");
    assert.match(await to("later"), /^421 4\.3\.0 /);
    sink.replies.set("RCPT", "550 5.1.1 no such user");
    assert.match(await to("never"), /^550 5\.1\.1 /);
    sink.replies.clear();
    const two = ["b@example.net", "c@example.org"];
    assert.match(await send(gateway.port, "a@example.com", two, message("two", 1000)), /^(421|550) /);
    assert.match(await to("last"), /^250 /);
    assert.deepEqual(subjects(sink), ["first", "last"]);
    const listed = await gateway.run("mailq", gateway.options());
    assert.doesNotMatch(listed.out, /is empty/, "what is in the queue is not known");
    assert.deepEqual(readdirSync(gateway.queue), [], "nothing was written");
    assert.equal(await gateway.stop(), 0);
  } finally {
    await gateway.remove();
    await sink.stop();
  }
});
