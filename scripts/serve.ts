// `make serve`: the gateway alone on this machine, from the sources, with no root and no QEMU. It listens on 127.0.0.1:2525,
// keeps its queue below build/host, and hands mail for polkatistas.org to port 2526 of this machine. Its configuration is
// build/host/config, made once from the default one: change it as you like. CONFIG=folder takes another one.

import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fail, outputOf, ROOT, say } from "./board.ts";
import { DEFAULT_CONFIGURATION } from "./configuration.ts";
import { portFree } from "./qemu.ts";

const PORT = 2525;
const INNER_PORT = 2526;

/** The default configuration with the ports of a machine on which this is a guest. */
function hostConfiguration(folder: string): void {
  if (existsSync(join(folder, "mail/sendmail.mc"))) return;
  mkdirSync(folder, { recursive: true });
  cpSync(DEFAULT_CONFIGURATION, folder, { recursive: true });
  const mc = join(folder, "mail/sendmail.mc");
  const listener = `DAEMON_OPTIONS(\`Port=${PORT}, Addr=127.0.0.1, Name=MTA')dnl\n`;
  const text = readFileSync(mc, "utf8");
  writeFileSync(
    mc,
    text.replace("MAILER(`smtp')", `FEATURE(\`no_default_msa')dnl\n${listener}MAILER(\`smtp')`),
  );
  const table = join(folder, "mail/mailertable");
  writeFileSync(table, readFileSync(table, "utf8").replaceAll("[10.0.2.2]", "[127.0.0.1]"));
}

const given = process.env["CONFIG"] ?? "";
const base = outputOf("host");
const configuration = given === "" ? join(base, "config") : resolve(given);
if (given === "") hostConfiguration(configuration);
if (!(await portFree(PORT))) fail(`127.0.0.1:${PORT} is in use: end what listens there first`);
const run = join(base, "run");
mkdirSync(join(base, "mqueue"), { recursive: true, mode: 0o700 });
mkdirSync(run, { recursive: true, mode: 0o750 });
say(`configuration: ${configuration}`);
say(`listening on 127.0.0.1:${PORT}; polkatistas.org goes to 127.0.0.1:${INNER_PORT}; Ctrl-C ends it`);
const gateway = spawn(
  process.execPath,
  [
    join(ROOT, "src/main.ts"),
    "sendmail",
    "-bD",
    "-q1m",
    "-C",
    configuration,
    `-OQueueDirectory=${join(base, "mqueue")}`,
    `-OControlSocketName=${join(run, "control")}`,
    `-OPidFile=${join(run, "pid")}`,
  ],
  { stdio: ["ignore", "inherit", "inherit"] },
);
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => gateway.kill("SIGTERM"));
gateway.on("error", (error) => fail(error.message));
gateway.on("exit", (code) => {
  process.exitCode = code ?? 1;
});
