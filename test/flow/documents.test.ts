// Every command of the reference pages runs as it is written there: in a shell, with the paths and the gateway of this test in the
// place of /etc/mail. "Not understood" (64), bugs (70) and a broken configuration (78) are failures; that a host or message of an
// example does not exist is not.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { freePort, Gateway } from "./gateway.ts";

const PAGES = join(import.meta.dirname, "../../rootfs/usr/share/doc/postern");
const MAIN = join(import.meta.dirname, "../../src/main.ts");
const gateway = new Gateway("documents");
const bin = join(gateway.folder, "bin");
/** A name server that answers nothing at once: a closed port. */
const NO_DNS = { POSTERN_NAMESERVERS: "127.0.0.1:9" };

const MC = (port: number): string => `OSTYPE(\`linux')
define(\`confDOMAIN_NAME', \`mail.polkatistas.org')dnl
define(\`confTO_RESOLVER_RETRANS', \`1s')dnl
define(\`confTO_RESOLVER_RETRY', \`1')dnl
FEATURE(\`access_db')dnl
FEATURE(\`mailertable')dnl
FEATURE(\`virtusertable')dnl
FEATURE(\`genericstable')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`no_default_msa')dnl
VIRTUSER_DOMAIN(\`virt.example')dnl
define(\`ALIAS_FILE', \`/etc/mail/aliases')dnl
DAEMON_OPTIONS(\`Name=MTA, Family=inet, Addr=127.0.0.1, Port=${port}')dnl
MAILER(\`local')dnl
MAILER(\`smtp')dnl
`;

/** Commands by name, with what keeps them inside this test's folder. */
function wrapper(name: string, before: string): void {
  const path = join(bin, name);
  writeFileSync(path, `#!/bin/sh\n${before}\n`);
  chmodSync(path, 0o755);
}

before(async () => {
  gateway.port = await freePort();
  gateway.write({
    "sendmail.mc": MC(gateway.port),
    access: "Connect:192.168.1\tRELAY\n",
    mailertable: ".\tsmtp:[127.0.0.1]:9\n",
    virtusertable: "info@virt.example\troot\n",
    genericstable: "mick\tMick.Bauer@example.com\n",
    aliases: "postmaster: root\nMAILER-DAEMON: postmaster\n",
  });
  mkdirSync(bin);
  const options = gateway
    .options()
    .map((o) => `'${o}'`)
    .join(" ");
  const run = `exec '${process.execPath}' '${MAIN}'`;
  for (const name of ["sendmail", "mailq", "hoststat", "purgestat", "mailstats"])
    wrapper(name, `${run} ${name} ${options} "$@"`);
  for (const name of ["newaliases", "praliases"]) wrapper(name, `${run} ${name} -C '${gateway.config}' "$@"`);
  wrapper("makemap", `${run} makemap "$@"`);
  wrapper(
    "postern",
    `name=$1; shift
case $name in
trace|spool) ${run} $name ${options} "$@" ;;
check) ${run} check '${gateway.config}' "$@" ;;
make) ${run} make -C '${gateway.config}' "$@" ;;
*) ${run} $name "$@" ;;
esac`,
  );
  await gateway.start(["-q15m"], NO_DNS);
});
after(() => gateway.remove());

function shell(command: string): Promise<{ status: number; output: string }> {
  const child = spawn("/bin/sh", ["-c", command.replaceAll("/etc/mail/", `${gateway.config}/`)], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...NO_DNS, PATH: `${bin}:${process.env["PATH"]}` },
  });
  let output = "";
  const take = (d: Buffer): void => {
    output += d.toString("utf8");
  };
  child.stdout.on("data", take);
  child.stderr.on("data", take);
  const timer = setTimeout(() => child.kill("SIGKILL"), 30_000);
  return new Promise((resolve) => {
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ status: code ?? -1, output });
    });
  });
}

/** Lines after "$ " in console blocks of a page. */
function commandsOf(text: string): string[] {
  const blocks = [...text.matchAll(/^```console\n([\s\S]*?)^```$/gm)].map((m) => m[1] ?? "");
  return blocks.flatMap((block) => [...block.matchAll(/^\$ (.*)$/gm)].map((m) => m[1] ?? ""));
}

describe("the commands of the reference pages", () => {
  for (const file of readdirSync(PAGES).sort()) {
    const commands = commandsOf(readFileSync(join(PAGES, file), "utf8"));
    if (commands.length === 0) continue;
    it(`${file}: all ${commands.length} run as written`, async () => {
      for (const command of commands) {
        const { status, output } = await shell(command);
        assert.ok(![64, 70, 78, 127, -1].includes(status), `${command}: status ${status}: ${output}`);
      }
    });
  }
});
