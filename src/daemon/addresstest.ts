// sendmail -bt: address test mode. Commands and output read as Sendmail's (recorded from 8.17), so that scripts that pipe addresses into
// it go on working; the answers come from the code that mail runs through. There is no rule text to show: =S says so.

import { scanAddress } from "../mail/address.ts";
import { crack } from "../mail/phrase.ts";
import type { Table } from "../map/table.ts";
import { makeRates } from "../policy/gate.ts";
import type { Rates } from "../policy/rates.ts";
import { canonicalName } from "../route/canonify.ts";
import type { Place } from "../route/masquerade.ts";
import { mxHosts } from "../route/mx.ts";
import { startRun } from "../route/parse.ts";
import { finished, prefixed } from "../route/resolve.ts";
import type { Classes, Site } from "../route/site.ts";
import type { Clock } from "../sys/clock.ts";
import type { Entropy } from "../sys/entropy.ts";
import { mailerLines } from "./mailerlist.ts";
import {
  addressText,
  CHECKS,
  canonifySet,
  checkSet,
  emptySet,
  finalSet,
  isNullUser,
  parseSet,
  type Ruling,
  rewriteSet,
  type Space,
  setsOf,
} from "./rulesets.ts";
import { TestMacros } from "./testmacros.ts";

/** A typed line; what is longer is cut. */
const LINE_CHARS_MAX = 4096;

export interface AddressTest {
  readonly site: Site;
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** -d21 and -d60: table lookups are shown. */
  readonly debug: readonly string[];
  print(text: string): void;
}

const NUMBERED = new Map([
  ["0", "parse"],
  ["3", "canonify"],
  ["4", "final"],
  ["canonify", "canonify"],
  ["parse", "parse"],
  ["final", "final"],
]);

/** One session of test mode. */
class Tester {
  readonly #test: AddressTest;
  readonly #macros: TestMacros;
  readonly #rates: Rates;
  #place: Place = "envelope-recipient";
  #lookups: boolean;

  constructor(test: AddressTest) {
    this.#test = test;
    this.#macros = new TestMacros(test.site);
    this.#rates = makeRates(test.site, test.clock);
    this.#lookups = test.debug.some(showsLookups);
  }

  get #site(): Site {
    return this.#test.site;
  }

  #print(line: string): void {
    this.#test.print(`${line}\n`);
  }

  /** Does one line; false ends the session. */
  async line(text: string): Promise<boolean> {
    const line = text.slice(0, LINE_CHARS_MAX).trimEnd();
    switch (line[0]) {
      case undefined:
      case "#":
        return true;
      case "?":
        this.#help();
        return true;
      case ".":
        this.#define(line.slice(1));
        return true;
      case "=":
        this.#dump(line.slice(1));
        return true;
      case "-":
        if (line[1] === "d") this.#lookups = showsLookups(line.slice(2));
        else this.#print(`Unknown "-" command ${line}`);
        return true;
      case "$":
        this.#show(line.slice(1));
        return true;
      case "/":
        return this.#command(line);
      default:
        await this.#ruleSets(line);
        return true;
    }
  }

  #help(): void {
    for (const line of HELP) this.#print(line);
  }

  /** .Dxvalue, .D{name}value, .Cxvalue */
  #define(text: string): void {
    const what = text[0] ?? "";
    if (what !== "D" && what !== "C") {
      this.#print(`Unknown "." command .${text}`);
      return;
    }
    const m = /^(?:\{([^}]*)\}|(.))(.*)$/.exec(text.slice(1));
    if (m === null) {
      this.#print("Name required for macro/class");
      return;
    }
    const [name, value] = [m[1] ?? m[2] ?? "", m[3] ?? ""];
    if (what === "D") this.#macros.set(name, value);
    else if (hasClass(this.#site.classes, name))
      for (const word of value.split(/\s+/)) this.#site.classes[name].add(word);
  }

  /** =M, =Srule */
  #dump(text: string): void {
    const what = text[0] ?? "";
    if (what === "M") for (const line of mailerLines(this.#site)) this.#print(line);
    else if (what === "S")
      this.#print("Rules are not available: decisions are made by code, see postern trace");
    else this.#print(what === "" ? "Usage: =Sruleset or =M" : `Unknown "=" command =${text}`);
  }

  /** $x, ${name}, $=c */
  #show(text: string): void {
    const name = (rest: string): string => /^\{([^}]*)\}/.exec(rest)?.[1] ?? rest.slice(0, 1);
    if (text.startsWith("=")) {
      const wanted = name(text.slice(1));
      if (hasClass(this.#site.classes, wanted))
        for (const member of this.#site.classes[wanted].values()) this.#print(member);
      return;
    }
    if (text.startsWith("&")) text = text.slice(1);
    if (text !== "") this.#print(this.#macros.value(name(text)) ?? "Undefined");
  }

  async #command(line: string): Promise<boolean> {
    const [word = "", ...rest] = line.slice(1).split(/\s+/);
    const argument = line.slice(1 + word.length).trim();
    switch (word.toLowerCase()) {
      case "quit":
        return false;
      case "parse":
        if (argument === "") this.#print("Usage: /parse address");
        else await this.#parse(argument);
        return true;
      case "try":
        if (rest.length < 2) this.#print("Usage: /try mailer address");
        else await this.#try(rest[0] ?? "", argument.slice((rest[0] ?? "").length).trim());
        return true;
      case "tryflags":
        if (argument === "") this.#print("Usage: /tryflags [Hh|Ee][Ss|Rr]");
        else this.#flags(argument);
        return true;
      case "map":
        if (rest.length < 2) this.#print("Usage: /map mapname key");
        else await this.#map(rest[0] ?? "", argument.slice((rest[0] ?? "").length).trim());
        return true;
      case "canon":
        if (argument === "") this.#print("Usage: /canon address");
        else await this.#canon(argument);
        return true;
      case "mx":
        if (argument === "") this.#print("Usage: /mx address");
        else await this.#mx(argument);
        return true;
      default:
        this.#print(`Unknown "/" command ${line}`);
        return true;
    }
  }

  #flags(text: string): void {
    for (const letter of text.toLowerCase()) {
      const [where, who] = this.#place.split("-");
      if (letter === "h" || letter === "e")
        this.#place = `${letter === "h" ? "header" : "envelope"}-${who === "sender" ? "sender" : "recipient"}`;
      else if (letter === "s" || letter === "r")
        this.#place = `${where === "header" ? "header" : "envelope"}-${letter === "s" ? "sender" : "recipient"}`;
    }
  }

  get #placeWords(): string {
    return `${this.#place.replace("-", " ")} address`;
  }

  #ruling(): Ruling {
    const run = startRun(this.#site, {
      trace: (step) => {
        if (this.#lookups && step.table !== undefined)
          this.#print(`map_lookup(${step.rule}, ${step.key}) => ${step.value} (0)`);
      },
      modifiers: this.#macros.client().modifiers,
    });
    return { site: this.#site, run, print: (line) => this.#print(line) };
  }

  /** Scans; a complaint is printed as Sendmail does and null given. */
  #scan(text: string): Space | null {
    const scanned = scanAddress(text);
    if (scanned.ok) return { kind: "tokens", tokens: scanned.value.tokens };
    this.#print(`${text}... ${scanned.error.text}`);
    return null;
  }

  /** /parse: as a recipient (or whatever /tryflags says) of a message would be. */
  async #parse(text: string): Promise<void> {
    const cracked = crack(text);
    this.#print(`Cracked address = ${text.trim() === "<>" ? "<>" : `${cracked.before}$g${cracked.after}`}`);
    this.#print(`Parsing ${this.#placeWords}`);
    const input = this.#scan(text);
    if (input === null) {
      this.#print("Cannot parse");
      return;
    }
    const ruling = this.#ruling();
    const start = await canonifySet(ruling, input);
    const answer = await parseSet(ruling, start);
    if (answer.kind !== "answer") return;
    const { parsed } = answer;
    if (parsed.kind === "mailer")
      await this.#rewrite(ruling, parsed.mailer, "envelope-recipient", { kind: "focus", focus: parsed.user });
    const from = start.kind === "focus" ? start.focus : null;
    if (from === null) return;
    const resolution = await finished(ruling.run, parsed, from);
    if (resolution.kind === "error") {
      this.#print(prefixed(resolution.reply, text).lines.join(" "));
      const status = parsed.kind === "error" ? parsed.status : "5.3.5";
      const words = parsed.kind === "error" ? parsed.text : prefixed(resolution.reply, "").lines.join(" ");
      this.#print(
        `mailer *error*${status === "" ? "" : `, host ${status}`}, user "${words.replaceAll('"', "")}"`,
      );
      return;
    }
    if (resolution.wait !== "")
      this.#print(`${text}... Transient parse error -- message queued for future delivery`);
    const host = `${resolution.host}${resolution.canonical ? "." : ""}`;
    const user = parsed.kind === "mailer" && isNullUser(parsed.user) ? "" : resolution.user;
    this.#print(`mailer ${resolution.mailer}${host === "" ? "" : `, host ${host}`}, user ${user}`);
  }

  async #rewrite(ruling: Ruling, mailer: string, place: Place, input: Space): Promise<Space> {
    const sender = place.endsWith("sender");
    const passed = await emptySet(ruling, sender ? "1" : "2", input);
    const known = this.#site.mailers.has(mailer);
    const written =
      known && setsOf(this.#site, mailer).sender[0] !== "parse"
        ? await rewriteSet(ruling, mailer, place, passed)
        : passed;
    return finalSet(ruling, written);
  }

  async #try(mailer: string, text: string): Promise<void> {
    if (!this.#site.mailers.has(mailer)) {
      this.#print(`Unknown mailer ${mailer}`);
      return;
    }
    this.#print(`Trying ${this.#placeWords} ${text} for mailer ${mailer}`);
    const { before, address, after } = crack(text);
    const input = this.#scan(address);
    if (input === null) return;
    const ruling = this.#ruling();
    const out = await this.#rewrite(ruling, mailer, this.#place, await canonifySet(ruling, input));
    this.#print(
      `Rcode = ${ruling.run.tempfail === "" ? 0 : 75}, addr = ${before}${addressText(out)}${after}`,
    );
  }

  async #map(name: string, key: string): Promise<void> {
    const said = (answer: string): void => this.#print(`map_lookup: ${name} (${key}) ${answer}`);
    if (name === "host") {
      const found = await canonicalName(this.#site, key);
      said(
        found.kind === "found"
          ? `returns ${found.value}. (0)`
          : `no match (${found.kind === "absent" ? 68 : 75})`,
      );
      return;
    }
    const table = this.#tables().get(name);
    if (table === undefined) {
      this.#print(`Map named "${name}" not found`);
      return;
    }
    const found = table?.lookup(key) ?? { kind: "absent" as const };
    if (found.kind === "found") said(`returns ${found.value} (0)`);
    else said(`no match (${found.kind === "absent" ? 0 : 75})`);
    if (found.kind === "tempfail") this.#print(found.reason);
  }

  /** Sendmail's names of the tables; a feature that is off has none. */
  #tables(): ReadonlyMap<string, Table | null> {
    const { tables, aliases, config } = this.#site;
    const all: readonly (readonly [string, Table | null, boolean])[] = [
      ["access", tables.access, config.features.accessDb !== null],
      ["mailertable", tables.mailer, config.features.mailerTable !== null],
      ["virtuser", tables.virtuser, config.features.virtUserTable !== null],
      ["domaintable", tables.domain, config.features.domainTable !== null],
      ["generics", tables.generics, config.features.genericsTable !== null],
      ["authinfo", tables.authInfo, config.features.authInfo !== null],
      ["aliases", aliases, true],
      ["aliases.files", aliases, true],
    ];
    return new Map(all.filter(([, , on]) => on).map(([name, table]) => [name, table]));
  }

  async #canon(host: string): Promise<void> {
    const found = await canonicalName(this.#site, host);
    this.#print(`getcanonname(${host}) returns ${found.kind === "found" ? found.value : host}`);
  }

  async #mx(host: string): Promise<void> {
    const hosts = await mxHosts(this.#site, host, this.#test.entropy);
    if (hosts.kind !== "hosts") {
      // 0: there is no such host; -1: it cannot be said now.
      const count = hosts.outcome("").kind === "deferred" ? -1 : 0;
      this.#print(`getmxrr(${host}) returns ${count} value(s):`);
      return;
    }
    this.#print(`getmxrr(${host}) returns ${hosts.candidates.length} value(s):`);
    for (const candidate of hosts.candidates) this.#print(`\t${candidate.shown}`);
  }

  /** `3,0 address, address` and the checks. */
  async #ruleSets(line: string): Promise<void> {
    const m = /^\s*(\S+)\s+(.*)$/.exec(line);
    if (m === null) {
      this.#print("No address!");
      return;
    }
    const [words = "", text = ""] = [m[1], m[2]];
    if (CHECKS.has(words)) {
      const failed = await checkSet(this.#ruling(), words, text, {
        client: this.#macros.client(),
        rates: this.#rates,
        sender: (this.#macros.value("f") ?? "").replace(/^<(.*)>$/, "$1"),
      });
      if (failed) this.#print(`== Ruleset ${words} status 75`);
      return;
    }
    for (let at = 0; at < text.length; ) {
      const scanned = scanAddress(text, at, ",");
      if (!scanned.ok) {
        this.#print(`${text.slice(at).trim()}... ${scanned.error.text}`);
        return;
      }
      at = Math.max(scanned.value.end, at) + 1;
      if (scanned.value.tokens.length > 0) await this.#apply(words, scanned.value.tokens);
    }
  }

  async #apply(words: string, tokens: readonly string[]): Promise<void> {
    const ruling = this.#ruling();
    let space: Space = { kind: "tokens", tokens };
    const names = words.split(",");
    for (const [i, name] of names.entries()) {
      const done = await this.#one(ruling, name, space);
      if (done === null) {
        this.#print(`Undefined ruleset ${names.slice(i).join(",")}`);
        return;
      }
      space = done;
      if (ruling.run.tempfail !== "") {
        this.#print(`== Ruleset ${names.slice(i).join(",")} (${ruleNumber(name)}) status 75`);
        ruling.run.tempfail = "";
      }
    }
  }

  async #one(ruling: Ruling, name: string, space: Space): Promise<Space | null> {
    switch (NUMBERED.get(name)) {
      case "canonify":
        return canonifySet(ruling, space);
      case "parse":
        return parseSet(ruling, space);
      case "final":
        return finalSet(ruling, space);
      default:
        break;
    }
    if (/^[125-9]$/.test(name)) return emptySet(ruling, name, space);
    const found = this.#mailerSet(name);
    return found === null ? null : rewriteSet(ruling, found.mailer, found.place, space);
  }

  /** The mailer and place that a rule set such as EnvToSMTP stands for. */
  #mailerSet(name: string): { readonly mailer: string; readonly place: Place } | null {
    for (const mailer of this.#site.mailers.keys()) {
      const { sender, recipient } = setsOf(this.#site, mailer);
      const places: readonly (readonly [string, Place])[] = [
        [sender[0], "envelope-sender"],
        [sender[1], "header-sender"],
        [recipient[0], "envelope-recipient"],
        [recipient[1], "header-recipient"],
      ];
      for (const [set, place] of places) if (set === name && set !== "parse") return { mailer, place };
    }
    return null;
  }
}

function ruleNumber(name: string): string {
  const number = new Map([
    ["canonify", "3"],
    ["parse", "0"],
    ["final", "4"],
  ]).get(name);
  return number ?? name;
}

/** -d21, -d38 and -d60 show rules and lookups in Sendmail; here they show what tables answered. */
function showsLookups(debug: string): boolean {
  return debug.split(",").some((part) => ["21", "38", "60"].includes(part.split(/[.-]/)[0] ?? ""));
}

function hasClass(classes: Classes, name: string): name is keyof Classes {
  return Object.hasOwn(classes, name);
}

const HELP: readonly string[] = [
  "Help for test mode:",
  "?                 : this help message.",
  ".Dmvalue          : define macro `m' to `value'.",
  ".Ccvalue          : add `value' to class `c'.",
  "=M                : display the known mailers.",
  "-ddebug-spec      : -d60 shows what the tables answered.",
  "$m                : print the value of macro $m.",
  "$=c               : print the contents of class $=c.",
  "/mx host          : return the MX records for `host'.",
  "/parse address    : parse address, returning the value of crackaddr, and the parsed address.",
  "/try mailer addr  : rewrite address into the form it will have when presented to the indicated mailer.",
  "/tryflags flags   : set flags used by /parse and /try. The flags can be `H' (for Header) or `E' (for",
  "                    Envelope), and `S' (for Sender) or `R' (for Recipient).",
  "/canon hostname   : try to canonify hostname.",
  "/map mapname key  : look up `key' in the indicated `mapname' (access, mailertable, virtuser, generics, ...).",
  "/quit             : quit address test mode.",
  "rules addr        : run the indicated address through the named rules. Rules are canonify (3), parse (0),",
  "                    final (4), those of mailers (EnvToSMTP, ...), check_relay, check_mail and check_rcpt",
  "                    separated by commas. The checks see the client that {client_addr}, {client_name},",
  "                    $s (HELO) and $f (sender) describe.",
];

/** Reads commands until the end of the input or /quit. The exit status is 0. */
export async function addressTest(test: AddressTest, input: AsyncIterable<Buffer>): Promise<number> {
  test.print("ADDRESS TEST MODE (ruleset 3 NOT automatically invoked)\nEnter <ruleset> <address>\n> ");
  const tester = new Tester(test);
  for await (const line of linesOf(input)) {
    if (!(await tester.line(line))) return 0;
    test.print("> ");
  }
  return 0;
}

/** Lines of a stream; one that does not end is cut at LINE_CHARS_MAX. */
async function* linesOf(input: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let held = "";
  for await (const chunk of input) {
    const pieces = (held + chunk.toString("latin1")).split("\n");
    held = (pieces.pop() ?? "").slice(0, LINE_CHARS_MAX);
    yield* pieces;
  }
  if (held !== "") yield held;
}
