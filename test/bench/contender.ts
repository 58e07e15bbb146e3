// Who is measured: Postern, the limit of what Node can do, and other mail servers from Debian's packages, each as a relay that
// sends everything to the sink. Debian's conflict with each other, so each is installed into an overlay of the root file
// system under the work folder; the machine itself is left alone. Lines marked "marked" leave a peer's defaults, with the reason.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join, resolve } from "node:path";

export interface Start {
  readonly work: string;
  readonly spool: string;
  readonly port: number;
  readonly sink: number;
}

export interface Contender {
  readonly name: string;
  /** Debian's package, of a peer. */
  readonly package?: string;
  /** How it delivers, when it is not as it comes. */
  readonly mode?: string;
  /** Accepted mail waits for flush(). */
  readonly queueOnly?: boolean;
  /** Downloads what is needed, once. Throws when it cannot. */
  fetch(work: string): void;
  /** Prepares and gives the command that stays in the foreground. */
  start(s: Start): readonly string[];
  mailq?(s: Start): readonly string[];
  flush?(s: Start): readonly string[];
  /** Unmounts what start() mounted. */
  clean?(work: string): void;
}

const root = resolve(import.meta.dirname, "../..");

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: ["ignore", "ignore", "pipe"] });
}

const APT_SECONDS_MAX = 300;

/** An overlay of / with Debian packages in it. */
export class Overlay {
  readonly folder: string;
  readonly root: string;

  constructor(work: string, name: string) {
    this.folder = join(work, name);
    this.root = join(this.folder, "root");
  }

  #mounted(path: string): boolean {
    return readFileSync("/proc/self/mountinfo", "utf8").includes(` ${path} `);
  }

  mount(): void {
    for (const part of ["upper", "work", "root"]) mkdirSync(join(this.folder, part), { recursive: true });
    if (this.#mounted(this.root)) return;
    const layers = `lowerdir=/,upperdir=${this.folder}/upper,workdir=${this.folder}/work`;
    run("mount", "-t", "overlay", "postern-bench", "-o", layers, this.root);
    run("mount", "-t", "proc", "proc", join(this.root, "proc"));
    run("mount", "--bind", "/dev", join(this.root, "dev"));
  }

  install(...packages: string[]): void {
    this.mount();
    const done = join(this.folder, "fetched");
    if (existsSync(done)) return;
    // No service is started while packages are set up.
    writeFileSync(join(this.root, "usr/sbin/policy-rc.d"), "#!/bin/sh\nexit 101\n", { mode: 0o755 });
    const apt = (...words: string[]): Buffer =>
      execFileSync("chroot", [this.root, "apt-get", "-qq", "-y", ...words], {
        stdio: ["ignore", "ignore", "pipe"],
        env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
        timeout: APT_SECONDS_MAX * 1000,
      });
    const install = (): Buffer => apt("install", "--no-install-recommends", ...packages);
    try {
      install();
    } catch {
      // The machine's package lists are old, or there are none.
      apt("update");
      install();
    }
    // From here on no name is looked up outside this machine.
    this.write("etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
    this.write("etc/hosts", `127.0.0.1 localhost gw.test ${hostname()}\n`);
    writeFileSync(done, "");
  }

  write(path: string, text: string): void {
    const file = join(this.root, path);
    mkdirSync(resolve(file, ".."), { recursive: true });
    rmSync(file, { force: true });
    writeFileSync(file, text);
  }

  bind(spool: string, path: string): void {
    const target = join(this.root, path);
    mkdirSync(target, { recursive: true });
    if (this.#mounted(target)) run("umount", target);
    run("mount", "--bind", spool, target);
  }

  /** The version of a package in it; "" when it is not there. */
  version(name: string): string {
    const status = join(this.root, "var/lib/dpkg/status");
    const text = existsSync(status) ? readFileSync(status, "utf8") : "";
    const entry = text.split("\n\n").find((part) => part.startsWith(`Package: ${name}\n`));
    return /^Version: (\S+)/m.exec(entry ?? "")?.[1] ?? "";
  }

  inside(...argv: string[]): string[] {
    return ["chroot", this.root, ...argv];
  }

  clean(): void {
    const mounts = readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .map((l) => l.split(" ")[4] ?? "")
      .filter((path) => path === this.root || path.startsWith(`${this.root}/`));
    for (const path of mounts.reverse()) run("umount", "-l", path);
  }
}

/** What every Postfix of the tests has in its main.cf: all of it below /spool, on loopback, with nobody at home. */
export function postfixMain(hostName: string): string {
  return `compatibility_level = 3.6
queue_directory = /spool/queue
data_directory = /spool/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
myhostname = ${hostName}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
`;
}

const POSTFIX_MAIN = (sink: number): string => `${postfixMain("gw.test")}relayhost = [127.0.0.1]:${sink}
`;

const postfix: Contender = {
  name: "postfix",
  package: "postfix",
  fetch: (work) => new Overlay(work, "postfix").install("postfix"),
  start({ work, spool, port, sink }) {
    const o = new Overlay(work, "postfix");
    o.mount();
    o.bind(spool, "/spool");
    run("chmod", "755", join(o.root, "spool"));
    mkdirSync(join(o.root, "spool/queue"), { recursive: true });
    mkdirSync(join(o.root, "spool/data"), { recursive: true });
    o.write("bench/postfix/main.cf", POSTFIX_MAIN(sink));
    const master = readFileSync(join(o.root, "usr/share/postfix/master.cf.dist"), "utf8");
    o.write("bench/postfix/master.cf", master.replace(/^smtp {2,}inet/m, `127.0.0.1:${port} inet`));
    execFileSync("chroot", [o.root, "postconf", "-c", "/bench/postfix", "-F", "*/*/chroot=n"]);
    execFileSync("chroot", [o.root, "chown", "postfix:postfix", "/spool/data"]);
    execFileSync("chroot", [o.root, "postfix", "-c", "/bench/postfix", "check"], { stdio: "ignore" });
    return o.inside("/usr/lib/postfix/sbin/master", "-c", "/bench/postfix", "-d");
  },
  mailq: ({ work }) => new Overlay(work, "postfix").inside("postqueue", "-c", "/bench/postfix", "-p"),
  flush: ({ work }) => new Overlay(work, "postfix").inside("postqueue", "-c", "/bench/postfix", "-f"),
  clean: (work) => new Overlay(work, "postfix").clean(),
};

const SENDMAIL_MC = (port: number, sink: number): string => `divert(-1)
defaults except where marked; nothing asks DNS
divert(0)dnl
include(\`/usr/share/sendmail/cf/m4/cf.m4')dnl
OSTYPE(\`debian')dnl
DOMAIN(\`generic')dnl
define(\`confDOMAIN_NAME', \`gw.test')dnl
define(\`confPID_FILE', \`/spool/sendmail.pid')dnl
define(\`QUEUE_DIR', \`/spool/mqueue')dnl
define(\`STATUS_FILE', \`')dnl
define(\`ALIAS_FILE', \`')dnl
define(\`confSERVICE_SWITCH_FILE', \`/bench/switch')dnl
define(\`confTO_IDENT', \`0')dnl
define(\`confDONT_BLAME_SENDMAIL', \`GroupWritableDirPathSafe,GroupReadableKeyFile')dnl
dnl marked: the load average limits would turn the run into a queue-only run
define(\`confQUEUE_LA', \`1000')dnl
define(\`confREFUSE_LA', \`1000')dnl
define(\`confDELAY_LA', \`1000')dnl
define(\`SMART_HOST', \`relay:[127.0.0.1]')dnl
define(\`RELAY_MAILER_ARGS', \`TCP $h ${sink}')dnl
FEATURE(\`promiscuous_relay')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`no_default_msa')dnl
dnl marked: the default backlog of 10 collapses at 50 sessions
DAEMON_OPTIONS(\`Name=MTA, Family=inet, Addr=127.0.0.1, Port=${port}, Listen=128')dnl
MAILER(\`smtp')dnl
`;

const sendmail: Contender = {
  name: "sendmail",
  package: "sendmail-bin",
  fetch: (work) =>
    new Overlay(work, "sendmail").install("sendmail-bin", "sendmail-cf", "sendmail-base", "m4"),
  start({ work, spool, port, sink }) {
    const o = new Overlay(work, "sendmail");
    o.mount();
    o.bind(spool, "/spool");
    mkdirSync(join(o.root, "spool/mqueue"), { recursive: true });
    run("chmod", "755", join(o.root, "spool"));
    run("chmod", "700", join(o.root, "spool/mqueue"));
    o.write("bench/switch", "hosts files\naliases files\n");
    o.write("bench/bench.mc", SENDMAIL_MC(port, sink));
    o.write(
      "bench/sendmail.cf",
      execFileSync("chroot", [o.root, "m4", "/bench/bench.mc"], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      }),
    );
    return o.inside("/usr/sbin/sendmail-mta", "-C/bench/sendmail.cf", "-bD");
  },
  mailq: ({ work }) =>
    new Overlay(work, "sendmail").inside("/usr/sbin/sendmail-mta", "-C/bench/sendmail.cf", "-bp"),
  flush: ({ work }) =>
    new Overlay(work, "sendmail").inside("/usr/sbin/sendmail-mta", "-C/bench/sendmail.cf", "-q"),
  clean: (work) => new Overlay(work, "sendmail").clean(),
};

const EXIM_CONF = (port: number, sink: number): string => `primary_hostname = gw.test
daemon_smtp_ports = ${port}
local_interfaces = 127.0.0.1
domainlist relay_to = *
acl_smtp_rcpt = acl_rcpt
never_users = root
host_lookup =
rfc1413_query_timeout = 0s
log_file_path = syslog
# marked: default 20; 50 sessions would be refused
smtp_accept_max = 200
# marked: default 10; later messages of a connection would wait for the queue runner
smtp_accept_queue_per_connection = 0
begin acl
acl_rcpt:
  accept hosts = 127.0.0.1
begin routers
relay:
  driver = manualroute
  domains = +relay_to
  transport = smtp
  route_list = * 127.0.0.1
  self = send
begin transports
smtp:
  driver = smtp
  port = ${sink}
  allow_localhost
  hosts_try_dane =
begin retry
* * F,2h,15m; G,16h,1h,1.5; F,4d,6h
`;

const exim: Contender = {
  name: "exim",
  package: "exim4-daemon-light",
  fetch: (work) => new Overlay(work, "exim").install("exim4-daemon-light"),
  start({ work, spool, port, sink }) {
    const o = new Overlay(work, "exim");
    o.mount();
    o.bind(spool, "/var/spool/exim4");
    execFileSync("chroot", [o.root, "chown", "Debian-exim:Debian-exim", "/var/spool/exim4"]);
    o.write("etc/exim4/exim4.conf", EXIM_CONF(port, sink));
    return o.inside("/usr/sbin/exim4", "-bdf", "-q30m");
  },
  mailq: ({ work }) => new Overlay(work, "exim").inside("/usr/sbin/exim4", "-bp"),
  flush: ({ work }) => new Overlay(work, "exim").inside("/usr/sbin/exim4", "-qff"),
  clean: (work) => new Overlay(work, "exim").clean(),
};

const opensmtpd: Contender = {
  name: "opensmtpd",
  package: "opensmtpd",
  fetch: (work) => new Overlay(work, "opensmtpd").install("opensmtpd"),
  start({ work, spool, port, sink }) {
    const o = new Overlay(work, "opensmtpd");
    o.mount();
    o.bind(spool, "/var/spool/smtpd");
    run("chmod", "711", spool);
    rmSync(join(spool, "lost+found"), { recursive: true, force: true });
    // marked: default 100 messages per connection
    o.write(
      "bench/smtpd.conf",
      `smtp limit max-mails 100000
listen on 127.0.0.1 port ${port} hostname gw.test
action "relay" relay host "smtp://127.0.0.1:${sink}" helo gw.test
match from any for any action "relay"
`,
    );
    return o.inside("/usr/sbin/smtpd", "-F", "-f", "/bench/smtpd.conf");
  },
  mailq: ({ work }) => new Overlay(work, "opensmtpd").inside("smtpctl", "show", "queue"),
  // It has given up the route to a hop that was down, and holds what it had begun: one order alone schedules nearly nothing.
  flush: ({ work }) =>
    new Overlay(work, "opensmtpd").inside(
      "/bin/sh",
      "-c",
      `for i in 1 2 3 4 5 6 7 8 9 10; do
  smtpctl show routes | while read -r route rest; do smtpctl resume route "\${route%%.*}"; done
  smtpctl schedule all
  sleep 2
done`,
    ),
  clean: (work) => new Overlay(work, "opensmtpd").clean(),
};

const POSTERN_MC = (port: number, sink: number, mode: string): string => `OSTYPE(\`linux')dnl
define(\`confDOMAIN_NAME', \`gw.test')dnl
define(\`confDELIVERY_MODE', \`${mode}')dnl
${mode === "interactive" ? "define(`confSAFE_QUEUE', `Interactive')dnl\n" : ""}define(\`SMART_HOST', \`relay:[127.0.0.1]')dnl
define(\`RELAY_MAILER_ARGS', \`TCP $h ${sink}')dnl
define(\`confTO_IDENT', \`0')dnl
FEATURE(\`promiscuous_relay')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`no_default_msa')dnl
DAEMON_OPTIONS(\`Name=MTA, Family=inet, Addr=127.0.0.1, Port=${port}')dnl
MAILER(\`smtp')dnl
`;

/** Where the packaged binary is, when it was built. */
export function posternBinary(): string {
  return process.env["POSTERN_BINARY"] ?? join(root, "build/host/postern");
}

/** Postern itself, the packaged binary when it was built, else the sources under the pinned Node. */
function postern(name: string, mode: string): Contender {
  const binary = posternBinary();
  const program = existsSync(binary) ? [binary] : [process.execPath, join(root, "src/main.ts")];
  const common = (s: Start): string[] => [
    // As the init script starts it.
    "/usr/bin/env",
    "MALLOC_ARENA_MAX=1",
    ...program,
    "sendmail",
    "-C",
    join(s.spool, "etc"),
    `-OQueueDirectory=${s.spool}/mqueue`,
  ];
  return {
    name,
    ...(mode === "background" ? {} : { mode }),
    queueOnly: mode === "queue",
    fetch() {},
    start(s) {
      const etc = join(s.spool, "etc");
      mkdirSync(etc, { recursive: true });
      mkdirSync(join(s.spool, "mqueue"), { recursive: true, mode: 0o700 });
      writeFileSync(join(etc, "sendmail.mc"), POSTERN_MC(s.port, s.sink, mode));
      return [...common(s), "-bD", `-OControlSocketName=${s.spool}/control`, `-OPidFile=${s.spool}/pid`];
    },
    mailq: (s) => [...common(s), "-bp", `-OControlSocketName=${s.spool}/control`],
    flush: (s) => [...common(s), "-q", `-OControlSocketName=${s.spool}/control`],
  };
}

/** The least that a Node program can do (limit.ts): no checks, no recovery; the line to approach. */
function limit(name: string, mode: string): Contender {
  return {
    name,
    fetch() {},
    start: (s) => [
      process.execPath,
      join(import.meta.dirname, "limit.ts"),
      String(s.port),
      String(s.sink),
      s.spool,
      mode,
    ],
  };
}

/** A server that does not relay through us but copies files would be no contender: all of these do the same work. */
export const CONTENDERS: readonly Contender[] = [
  postern("postern", "background"),
  postern("postern-interactive", "interactive"),
  postern("postern-queueonly", "queue"),
  postfix,
  sendmail,
  exim,
  opensmtpd,
  limit("limit", "durable"),
  limit("limit-interactive", "interactive"),
];

export function contender(name: string): Contender {
  const found = CONTENDERS.find((c) => c.name === name);
  if (found === undefined)
    throw new Error(`no contender '${name}'; there are: ${CONTENDERS.map((c) => c.name).join(" ")}`);
  return found;
}
