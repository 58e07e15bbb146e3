// Mailers that run one program given in the configuration: procmail as mailer or as local mailer, or any other P= and A=.
// Each recipient is one run. `procmail -d $u` needs root to become the user, and the gateway never is (contract section 8.1): it is
// run as ourselves with the user's mailbox as its default. Macros are expanded word by word and once ($h host or +detail, $u user, $f sender, $j our name), and a
// word that an address would turn into an option is refused (reliability INJ-04).

import type { MailerSpec } from "../config/configuration.ts";
import type { Outcome } from "../mail/outcome.ts";
import type { Attempt, DeliveryRecipient, Mailer } from "../spool/mailer.ts";
import { makeFolder } from "../sys/mailfile.ts";
import { baseName } from "../sys/path.ts";
import { currentUser } from "../sys/process.ts";
import { EX_NOUSER } from "./exits.ts";
import { formOf, localText } from "./localtext.ts";
import { mailboxName } from "./mailboxname.ts";
import { expandWord, wordsOf } from "./mailerargs.ts";
import type { MailerNeeds } from "./needs.ts";
import { PROGRAM_OUTPUT_BYTES_MAX, programEnvironment, programOutcome, runMs } from "./program.ts";
import type { Factory } from "./shared.ts";
import { declined, exited } from "./wording.ts";

/** procmail's rules for all users. */
const SITE_RULES = "/etc/procmailrc";

export const makeProcmail: Factory = (spec, needs) => new ProgramMailer(needs, spec);

export class ProgramMailer implements Mailer {
  readonly #needs: MailerNeeds;
  readonly #spec: MailerSpec;
  readonly #words: readonly string[];
  /** Where `-d $u` stands in A= when procmail cannot do it, else -1. */
  readonly #deliverAt: number;

  /** uid: the user that programs run as. */
  constructor(needs: MailerNeeds, spec: MailerSpec, uid: number = currentUser().uid) {
    this.#needs = needs;
    this.#spec = spec;
    this.#words = wordsOf(spec.args);
    const at = this.#words.findIndex((word, i) => word === "-d" && this.#words[i + 1] === "$u");
    this.#deliverAt = uid !== 0 && baseName(spec.path) === "procmail" ? at : -1;
  }

  async deliver(attempt: Attempt): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = [];
    for (const r of attempt.recipients) outcomes.push(await this.#one(attempt, r));
    return outcomes;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #one(attempt: Attempt, r: DeliveryRecipient): Promise<Outcome> {
    const { message } = attempt;
    const spec = this.#spec;
    if (spec.sizeMax > 0 && message.header.length + message.body.size > spec.sizeMax)
      return declined("failed", 552, "5.2.3", `Message is too large; ${spec.sizeMax} bytes max`, r.address);
    const sender = await this.#needs.senderFor(spec, attempt.sender);
    const args = this.#arguments(attempt.host, r.user, sender);
    if (args === null) return exited(EX_NOUSER, r.address);
    const header = await this.#needs.header(spec, message.header, message.envelope);
    const form = formOf(spec.flags, false);
    const ran = await this.#needs.run({
      file: spec.path,
      args: args.slice(1),
      name: args[0] ?? "",
      environment: programEnvironment(),
      cwd: "/",
      input: localText(message, header, sender, form, this.#needs.clock.wallMs()),
      timeoutMs: runMs(spec),
      outputBytesMax: PROGRAM_OUTPUT_BYTES_MAX,
    });
    return programOutcome(ran, r.address);
  }

  /** argv, or null when an address would become an option or no argument at all could carry it. */
  #arguments(host: string, user: string, sender: string): readonly string[] | null {
    const from = sender === "" ? "MAILER-DAEMON" : sender;
    const macros = new Map([
      ["h", host],
      ["u", user],
      ["f", from],
      ["g", from],
      ["j", this.#needs.hostName],
    ]);
    const made: string[] = [];
    for (const [i, word] of this.#words.entries()) {
      if (this.#deliverAt >= 0 && (i === this.#deliverAt || i === this.#deliverAt + 1)) continue;
      const expanded = expandWord(word, macros);
      if (expanded.includes("\0")) return null;
      if (expanded.startsWith("-") && !word.startsWith("-")) return null;
      made.push(expanded);
    }
    // F=f and F=r: the sender as an option of its own, right behind the name.
    const flag = this.#spec.flags.includes("f") ? "-f" : this.#spec.flags.includes("r") ? "-r" : "";
    if (flag !== "") made.splice(1, 0, flag, from);
    if (this.#deliverAt < 0) return made;
    const asUser = this.#asUser(user);
    return asUser === null ? null : [...made, ...asUser];
  }

  /** What stands for `-d user`: the user's mailbox as procmail's default, and the rc file of all users where there is one. */
  #asUser(user: string): readonly string[] | null {
    if (!mailboxName(user)) return null;
    const path = this.#needs.mailbox(user);
    const folder = path.replace(/\/+$/, "");
    makeFolder(this.#needs.jail, folder.slice(0, folder.lastIndexOf("/")));
    const rules = this.#needs.inspect(SITE_RULES) === "absent" ? "/dev/null" : SITE_RULES;
    return [`LOGNAME=${user}`, `DEFAULT=${path}`, `ORGMAIL=${path}`, rules];
  }
}
