// expandRecipient: one envelope recipient to its final deliveries: aliases, lists, :include:, programs, files, owners, details,
// relays for local users, .forward, loops and duplicates (semantics sections 9 and 10). The order of work follows Sendmail's, because
// it decides which name of a loop is delivered to and which messages appear. Bounded by MaxAliasRecursion and EXPANSION_MAX.

import { EXPANSION_BYTES_EACH, EXPANSION_MAX, EXPANSION_MIN, EXPANSION_PIECES_EACH } from "../base/limits.ts";
import { scanAddress, tokensOf } from "../mail/address.ts";
import type { NotifyWord } from "../mail/envelope.ts";
import { focusOf } from "../mail/focus.ts";
import { type Reply, reply } from "../mail/reply.ts";
import { memoryShare } from "../sys/memory.ts";
import { breath } from "../sys/turn.ts";
import type { Account, Controller, RecipientFile } from "./account.ts";
import type { Expansion, ExpansionError } from "./expansion.ts";
import { localAddress } from "./localaddr.ts";
import { type RunOptions, startRun } from "./parse.ts";
import {
  finished,
  hasFlag,
  LOOP_REPLIES,
  prefixed,
  type Resolution,
  resolveTokens,
  scanRefusal,
  scanSmtpAddress,
} from "./resolve.ts";
import type { Trace } from "./run.ts";
import type { Site } from "./site.ts";

export type { Delivery, Expansion, ExpansionError } from "./expansion.ts";

type State = "ok" | "bad" | "gone" | "verified";

/** An address in the making. */
interface Node {
  readonly address: string;
  readonly mailer: string;
  readonly host: string;
  readonly canonical: boolean;
  readonly user: string;
  readonly final: boolean;
  readonly wait: string;
  readonly parent: Node | null;
  state: State;
  selfReferring: boolean;
  owner: string | null;
  /** Came from a file that others may write. */
  readonly unsafe: boolean;
  /** The user whose .forward or list it came from, null for aliases. */
  readonly controller: Controller | null;
  /** Programs and files may not be used: the controller's shell is not valid. */
  readonly bogusShell: boolean;
}

/** What -bv ends with when no error has a status of its own. */
const EXIT_USAGE = 64;
/** An error without a status of its own. */
const EXIT_UNSET = 0;
const EXIT_NOUSER = 67;
const EXIT_SOFTWARE = 70;

class Expander {
  readonly #site: Site;
  readonly #options: RunOptions;
  readonly #trace: Trace;
  readonly #verifyOnly: boolean;
  readonly #queue: Node[] = [];
  readonly #index = new Map<string, Node[]>();
  readonly errors: ExpansionError[] = [];
  /** What may come of one recipient. */
  readonly #max = memoryShare(1 / EXPANSION_BYTES_EACH, EXPANSION_MIN, EXPANSION_MAX);
  /** Lines and addresses read so far. */
  #pieces = 0;
  /** The limits are reached, and that was said. */
  #full = false;
  /** File and line that is being read, for messages. */
  #where = "";

  constructor(site: Site, options: RunOptions, verifyOnly: boolean) {
    this.#site = site;
    this.#options = options;
    this.#trace = options.trace ?? (() => {});
    this.#verifyOnly = verifyOnly;
  }

  get nodes(): readonly Node[] {
    return this.#queue;
  }

  #fail(node: { address: string; parent: Node | null }, r: Reply, exit: number): void {
    this.errors.push({ address: node.address, via: viaOf(node.parent), where: this.#where, reply: r, exit });
  }

  /** Makes a node of a resolution, or records its error. */
  #node(address: string, resolution: Resolution, parent: Node | null, from: Partial<Node> = {}): Node | null {
    if (resolution.kind === "error") {
      this.#fail({ address, parent }, resolution.reply, resolution.exit);
      return null;
    }
    const { mailer, host, canonical, user, final, wait } = resolution;
    return {
      address,
      mailer,
      host,
      canonical,
      user,
      final,
      wait,
      parent,
      state: "ok",
      selfReferring: false,
      owner: null,
      unsafe: parent?.unsafe ?? false,
      controller: parent?.controller ?? null,
      bogusShell: parent?.bogusShell ?? false,
      ...from,
    };
  }

  /** Says so when all there was came to nothing. */
  conclude(address: string): void {
    if (this.errors.length > 0 || this.#queue.some((node) => node.state !== "gone")) return;
    const text = "aliasing/forwarding loop broken";
    this.#fail({ address, parent: null }, reply(554, "5.4.6", text), EXIT_UNSET);
  }

  async start(address: string): Promise<void> {
    const scanned = scanSmtpAddress(address, this.#site.config.options.SMTPUTF8);
    const repaired = scanned.kind === "error" ? scanAddress(address, 0, "", true) : null;
    // What can be repaired is complained about and used, as -bv shows; RCPT takes the first complaint for its refusal.
    if (scanned.kind === "error" && repaired?.ok && repaired.value.problem !== null)
      this.#fail({ address, parent: null }, scanned.reply, EXIT_UNSET);
    const tokens =
      scanned.kind === "scanned"
        ? scanned.tokens
        : repaired?.ok && repaired.value.problem !== null
          ? repaired.value.tokens
          : null;
    const resolution: Resolution =
      tokens === null && scanned.kind === "error"
        ? scanned
        : await resolveTokens(startRun(this.#site, this.#options), tokens ?? []);
    if (resolution.kind === "route" && resolution.loop) {
      for (const problem of LOOP_REPLIES) this.#fail({ address, parent: null }, problem, EXIT_SOFTWARE);
    }
    const node = this.#node(address, resolution, null);
    if (node !== null) await this.#recipient(node, 0);
  }

  /** Splits a list at its commas and takes each address; the last one first, as Sendmail's list does. */
  async #list(text: string, parent: Node, level: number, from: Partial<Node>): Promise<void> {
    const fresh: Node[] = [];
    for (let at = 0; at < text.length && !this.#full; ) {
      while (at < text.length && (text[at] === "," || text[at] === " " || text[at] === "\t")) at++;
      if (at >= text.length) break;
      const scanned = scanAddress(text, at, ",", true);
      const end = scanned.ok ? scanned.value.end : endOfPiece(text, at);
      const written = text.slice(at, end).trim();
      at = end;
      const resolution = scanned.ok
        ? await resolveTokens(startRun(this.#site, this.#options), scanned.value.tokens)
        : scanRefusal(scanned.error);
      // A repaired address is complained about and used.
      const problem = scanned.ok ? scanned.value.problem : null;
      if (problem !== null) this.#fail({ address: written, parent }, scanRefusal(problem).reply, EXIT_UNSET);
      const node = this.#node(written, resolution, parent, from);
      if (node !== null && this.#admit(node, parent)) fresh.push(node);
      this.#count(parent, fresh.length);
      await breath();
    }
    for (const node of fresh.reverse()) await this.#recipient(node, level);
  }

  /** Counts a line or an address of `parent`; says so when there are too many, or too much has come of them (`more`: not yet queued). */
  #count(parent: Node, more: number): void {
    this.#pieces++;
    const come = this.#queue.length + this.errors.length + more;
    if (this.#full || (come <= this.#max && this.#pieces <= this.#max * EXPANSION_PIECES_EACH)) return;
    this.#full = true;
    this.#fail(parent, reply(554, "5.4.6", "too many recipients in expansion"), EXIT_UNSET);
  }

  /** Self references and loops: may `node` be worked on, as a child of `parent`? */
  #admit(node: Node, parent: Node): boolean {
    if (same(node, parent)) {
      parent.selfReferring = true;
      return true;
    }
    let ancestor: Node | null = parent.parent;
    while (ancestor !== null && !same(ancestor, node)) ancestor = ancestor.parent;
    if (ancestor === null) return true;
    // A loop over several names ends at one that has a mailbox, the repeated name before others; else it just ends.
    for (const real of [ancestor, ...ancestorsOf(parent)]) {
      if (hasFlag(this.#site, real.mailer, "w") && this.#account(real.user).kind === "found") {
        real.selfReferring = true;
        return real === parent;
      }
    }
    return false;
  }

  #account(user: string) {
    return this.#site.accounts.find(stripped(user));
  }

  #duplicate(node: Node): boolean {
    const key = `${node.mailer}\0${node.host}\0${node.user}`;
    const twins = this.#index.get(key);
    if (twins === undefined) {
      this.#index.set(key, [node]);
      return false;
    }
    // The primary recipient may come again from its own alias; every other repetition is one delivery.
    if (twins.some((twin) => twin.parent !== null)) {
      this.#trace({ rule: "duplicate", text: `${node.address}... duplicate suppressed` });
      return true;
    }
    twins.push(node);
    return false;
  }

  async #recipient(node: Node, level: number): Promise<void> {
    const max = this.#site.config.options.MaxAliasRecursion;
    if (level > max) {
      const text = `aliasing/forwarding loop broken (${level} aliases deep; ${max} max)`;
      this.#fail(node, reply(554, "5.4.6", text), EXIT_UNSET);
      return;
    }
    if (!this.#permitted(node)) return;
    if (this.#duplicate(node)) return;
    this.#queue.push(node);
    if (node.mailer === "*include*") return this.#include(node, level);
    if (node.mailer === "prog" || node.mailer === "*file*") return;
    if (hasFlag(this.#site, node.mailer, "A")) await this.#alias(node, level);
    if (node.state === "ok" && !node.final && hasFlag(this.#site, node.mailer, "5"))
      await this.#lastResort(node, level);
    if (node.state === "ok" && hasFlag(this.#site, node.mailer, "w")) await this.#mailbox(node, level);
  }

  /** Programs, files and includes are for aliases and .forward files only, and only for safe ones. */
  #permitted(node: Node): boolean {
    const what =
      node.mailer === "prog"
        ? "programs"
        : node.mailer === "*file*"
          ? "files"
          : node.mailer === "*include*"
            ? ":include:s"
            : "";
    if (what === "") return true;
    const refuse = (text: string) => {
      this.#fail(node, reply(550, "5.7.1", text), EXIT_UNSET);
      return false;
    };
    if (node.parent === null) return refuse(`Cannot mail directly to ${what}`);
    if (what === ":include:s") return true;
    if (node.bogusShell)
      return refuse(
        `User ${node.controller?.name}@${this.#site.j} doesn't have a valid shell for mailing to ${what}`,
      );
    if (node.unsafe) return refuse(`Address ${node.parent.address} is unsafe for mailing to ${what}`);
    return true;
  }

  async #alias(node: Node, level: number): Promise<void> {
    const value = this.#aliasValue(node, node.user);
    if (value === null) return;
    if (this.#verifyOnly) {
      node.state = "verified";
      return;
    }
    this.#trace({ rule: "alias", key: node.user, value, text: `${node.address}... aliased to ${value}` });
    await this.#list(value, node, level + 1, {});
    if (!node.selfReferring) node.state = "gone";
    const list = node.user.startsWith("owner-") ? "owner-owner" : `owner-${node.user}`;
    const owner = this.#aliasValue(node, list);
    // An owner that is a list, program or file stays behind its alias name.
    if (owner !== null) node.owner = /[,:/|"]/.test(owner) ? list : owner.trim();
  }

  #aliasValue(node: Node, name: string): string | null {
    const found = this.#site.aliases?.lookup(name) ?? { kind: "absent" };
    if (found.kind === "tempfail") this.#fail(node, reply(451, "4.2.0", `alias lookup: ${found.reason}`), 75);
    if (found.kind === "tempfail") node.state = "bad";
    return found.kind === "found" ? found.value : null;
  }

  async #lastResort(node: Node, level: number): Promise<void> {
    const run = startRun(this.#site, this.#options);
    const parsed = await localAddress(run, node.user, node.host);
    if (parsed === null) return;
    const resolution = await finished(run, parsed, focusOf(tokensOf(node.user), null));
    if (resolution.kind === "route" && sameRoute(node, resolution)) return;
    node.state = "gone";
    const next = this.#node(node.address, resolution, node);
    if (next !== null) await this.#recipient(next, level + 1);
  }

  async #mailbox(node: Node, level: number): Promise<void> {
    const account = this.#account(node.user);
    if (account.kind === "tempfail") {
      this.#fail(node, reply(450, "4.5.2", "User lookup failed"), 75);
      node.state = "bad";
      return;
    }
    if (account.kind === "absent") {
      this.#fail(node, reply(550, "5.1.1", "User unknown"), EXIT_NOUSER);
      node.state = "bad";
      return;
    }
    if (!this.#verifyOnly && !node.user.includes("\\")) await this.#forward(node, account.value, level);
  }

  /** The first readable file of ForwardPath; a refused one is logged (trace) and the mailbox gets the mail. */
  async #forward(node: Node, account: Account, level: number): Promise<void> {
    for (const pattern of this.#site.config.options.ForwardPath.split(":")) {
      const path = this.#forwardPath(pattern, node, account);
      if (path === null) continue;
      const file = this.#site.files.forward(path, account);
      if (file.kind === "refused") this.#trace({ rule: "forward", text: `forward ${path}: ${file.reason}` });
      if (file.kind !== "found") continue;
      const from = this.#from(node, file);
      const before = this.#queue.length + this.errors.length;
      await this.#lines(path, file.text, node, level, from);
      const any = this.#queue.length + this.errors.length > before || node.selfReferring;
      if (any && !node.selfReferring) node.state = "gone";
      if (any) return;
    }
  }

  /** What addresses of a file inherit. The first user on the way answers for all that comes after him, as with Sendmail. */
  #from(node: Node, file: RecipientFile & { kind: "found" }): Partial<Node> {
    const { controller } = file;
    return {
      unsafe: node.unsafe || file.unsafe,
      controller,
      bogusShell: controller !== null && !this.#site.files.validShell(controller.shell),
    };
  }

  /** $z home, $u user, $w short host name, $h detail; a path that needs an empty one is not tried. */
  #forwardPath(pattern: string, node: Node, account: Account): string | null {
    const first = this.#site.j.split(".")[0] ?? "";
    const values = new Map([
      ["z", account.home],
      ["u", account.name],
      ["w", first],
      ["h", node.host],
      ["j", this.#site.j],
    ]);
    let path = "";
    for (let i = 0; i < pattern.length; i++) {
      const c = pattern[i] as string;
      const value = c === "$" ? values.get(pattern[i + 1] ?? "") : undefined;
      if (c === "$" && (value === undefined || value === "" || value.includes("/../"))) return null;
      if (value !== undefined && pattern[i + 1] !== "z" && value.includes("/")) return null;
      path += value ?? c;
      if (value !== undefined) i++;
    }
    return path === "" ? null : path;
  }

  async #include(node: Node, level: number): Promise<void> {
    const path = node.user;
    this.#trace({ rule: "include", text: `${node.address}... including file ${path}` });
    const file = this.#site.files.include(path, node.controller);
    node.state = "gone";
    if (file.kind === "tempfail")
      return this.#fail(node, reply(451, "4.2.4", `Cannot open ${path}: ${file.reason}`), 75);
    if (file.kind !== "found")
      return this.#fail(node, reply(550, "5.2.4", `Cannot open ${path}: ${file.reason}`), EXIT_UNSET);
    await this.#lines(path, file.text, node, level, this.#from(node, file));
  }

  /** Recipients, one or more a line; "#" begins a comment line, " #@# " a comment anywhere. */
  async #lines(path: string, text: string, node: Node, level: number, from: Partial<Node>): Promise<void> {
    const file = this.#where;
    for (let at = 0, number = 1; at < text.length && !this.#full; number++) {
      const end = text.indexOf("\n", at);
      const line = text.slice(at, end < 0 ? text.length : end);
      at = end < 0 ? text.length : end + 1;
      this.#count(node, 0);
      await breath();
      const comment = line.indexOf(" #@#");
      const useful = (comment > 0 ? line.slice(0, comment) : line).trimEnd();
      if (useful === "" || useful.startsWith("#")) continue;
      this.#where = `${path}: line ${number}: `;
      const verb = node.mailer === "*include*" ? "sending" : "forwarding";
      this.#trace({ rule: "list", text: `${this.#where}${verb} to ${useful}` });
      await this.#list(useful, node, level + 1, from);
    }
    this.#where = file;
  }
}

function endOfPiece(text: string, at: number): number {
  const comma = text.indexOf(",", at);
  return comma < 0 ? text.length : comma;
}

/** A user name for the account file: quotes and backslashes off. */
function stripped(user: string): string {
  return user.replace(/["\\]/g, "");
}

function same(a: Node, b: Node): boolean {
  return a.mailer === b.mailer && a.user === b.user && a.host === b.host;
}

function sameRoute(
  node: Node,
  route: { mailer: string; host: string; user: string; final: boolean },
): boolean {
  return (
    node.mailer === route.mailer &&
    node.user === route.user &&
    node.host === route.host &&
    node.final === route.final
  );
}

function viaOf(parent: Node | null): string {
  let node = parent;
  // The nearest name that a person wrote: relays and details in between are not.
  while (node !== null && node.parent !== null && node.parent.address === node.address) node = node.parent;
  return node?.address ?? "";
}

function* ancestorsOf(node: Node): Generator<Node> {
  for (let at: Node | null = node; at !== null; at = at.parent) yield at;
}

function ownerOf(node: Node): string | null {
  for (let at: Node | null = node; at !== null; at = at.parent) if (at.owner !== null) return at.owner;
  return null;
}

export interface ExpandOptions extends RunOptions {
  /** Aliases are only looked up, as VRFY does: the name of the alias itself is the answer. */
  readonly shallow?: boolean;
}

export interface ExpandRecipient {
  readonly address: string;
  readonly notify?: readonly NotifyWord[];
  readonly orcpt?: string;
}

function exitOf(errors: readonly ExpansionError[]): number {
  if (errors.length === 0) return 0;
  return errors.find((error) => error.exit !== EXIT_UNSET)?.exit ?? EXIT_USAGE;
}

/** All final deliveries of one recipient, and what could not be delivered, with Sendmail's texts. Never throws. */
export async function expandRecipient(
  site: Site,
  recipient: ExpandRecipient,
  options: ExpandOptions = {},
): Promise<Expansion> {
  const expander = new Expander(site, options, options.shallow ?? false);
  await expander.start(recipient.address);
  expander.conclude(recipient.address);
  const deliveries = expander.nodes
    .filter((node) => node.state === "ok" || node.state === "verified")
    .map((node) => ({
      mailer: node.mailer,
      host: node.host,
      canonical: node.canonical,
      user: node.user,
      address: node.address,
      via: viaOf(node.parent),
      sender: ownerOf(node),
      unsafe: node.unsafe,
      wait: node.wait,
      ...(recipient.notify === undefined ? {} : { notify: recipient.notify }),
      ...(recipient.orcpt === undefined ? {} : { orcpt: recipient.orcpt }),
    }));
  return { deliveries, errors: expander.errors, exit: exitOf(expander.errors) };
}

/** What RCPT says about an address once policy has let it through. */
export type Verification =
  /** `target`: what the address resolves to, as one text; two spellings of one recipient have the same. */
  | { readonly kind: "ok"; readonly target: string }
  /** Recipient ok, but a lookup failed for now: `Recipient ok (will queue)`. */
  | { readonly kind: "queued" }
  /** With the `<address>... ` prefix in place. */
  | { readonly kind: "refused"; readonly reply: Reply };

/** The RCPT check: routing and local users, but aliases are only looked up, not expanded (semantics section 9, end). */
export async function verifyRecipient(
  site: Site,
  address: string,
  typed: string,
  options: RunOptions = {},
): Promise<Verification> {
  const expander = new Expander(site, options, true);
  // The address as typed: angle brackets tell a colon in a host from a group's.
  await expander.start(typed === "" ? address : typed);
  const problem = expander.errors[0];
  if (problem !== undefined) return { kind: "refused", reply: prefixed(problem.reply, typed) };
  const last = expander.nodes.at(-1);
  if (last === undefined)
    return { kind: "refused", reply: prefixed(reply(550, "5.1.1", "User unknown"), typed) };
  if (last.wait !== "") return { kind: "queued" };
  // The name as it was first routed: two names that a relay for lost users sends to one place are still two recipients.
  const first = expander.nodes[0] ?? last;
  return { kind: "ok", target: [first.mailer, first.host, first.user].join("\0") };
}
