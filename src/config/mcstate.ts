// What the directives of a sendmail.mc have recorded so far. Directives write here; compile.ts reads it when the last line was read.
// Order matters only where Sendmail says so (semantics section 1), and those rules stand with the directives.

import { CONFIGURATION_ERRORS_MAX } from "../base/limits.ts";
import type { ClassFile, MailerSpec, Place, Warning } from "./configuration.ts";
import { noFeatures } from "./defaults.ts";
import type { M4, M4Call } from "./m4.ts";

/** Text of a directive that is understood at the end, with its place. */
export interface Noted {
  readonly text: string;
  readonly place: Place;
}

/** What the build offers: Kconfig symbols without CONFIG_, and the words for what is missing. */
export interface BuildFacts {
  available(symbol: string): boolean;
  /** "MAILER(procmail)" -> "MAILER(procmail) is not in this build (board x)". */
  missing(what: string): string;
}

/** One directive or section word of the language. */
export interface Directive {
  readonly name: string;
  /** False for words that are used without parentheses. */
  readonly blind: boolean;
  readonly usage: string;
  readonly doc: string;
  run(call: M4Call, state: McState): string | undefined;
}

export class McState {
  readonly m4: M4;
  readonly build: BuildFacts;
  readonly features = noFeatures();
  /** Features and class directives in use, and where they were asked for last. */
  readonly used = new Map<string, Place>();
  readonly classes = new Map<string, Set<string>>();
  readonly classFiles: ClassFile[] = [];
  readonly daemons: Noted[] = [];
  readonly clients: Noted[] = [];
  readonly mailers = new Map<string, MailerSpec>();
  /** MAILER(x) groups that were asked for. */
  readonly mailerGroups = new Map<string, Place>();
  /** MODIFY_MAILER_FLAGS by group name: the changes in order. */
  readonly flagChanges = new Map<string, string[]>();
  readonly queueGroups: { readonly name: string; readonly equates: string }[] = [];
  readonly warnings: Warning[] = [];
  /** Sections like LOCAL_RULESETS: diversion number -> name and place of the word that began it. */
  readonly sections = new Map<number, Noted>();
  /** Option values of O lines in LOCAL_CONFIG. */
  readonly optionLines: { readonly name: string; readonly value: string; readonly place: Place }[] = [];
  /** $ macros of D lines. */
  readonly macroLines = new Map<string, Noted>();
  ostype: Place | null = null;
  versionId = "";
  /** Where plain FEATURE() may no longer stand, because a MAILER() came; null: it may. */
  mailersBegan: Place | null = null;
  /** True while a directive acts for another (OSTYPE(linux) for local_procmail). */
  fromOstype = false;

  constructor(m4: M4, build: BuildFacts) {
    this.m4 = m4;
    this.build = build;
  }

  /** True when no more warnings are taken. */
  get isFull(): boolean {
    return this.warnings.length >= CONFIGURATION_ERRORS_MAX;
  }

  error(place: Place, message: string): void {
    if (this.m4.errors.length < CONFIGURATION_ERRORS_MAX) this.m4.error(place, message);
  }

  warn(place: Place | null, message: string): void {
    if (!this.isFull) this.warnings.push({ place, message });
  }

  /** Adds blank-separated members to a class. */
  addMembers(name: string, text: string): void {
    const members = this.classes.get(name) ?? new Set<string>();
    for (const member of text.split(/\s+/)) if (member !== "") members.add(member);
    this.classes.set(name, members);
  }

  addClassFile(name: string, text: string, place: Place): void {
    const file = parseClassFile(name, text);
    if (file === null) this.error(place, `"${text.trim()}" is not the path of a file`);
    else this.classFiles.push(file);
  }

  /** Notes a change of a mailer's flags, for the MAILER() that follows. */
  changeFlags(group: string, change: string): void {
    this.flagChanges.set(group, [...(this.flagChanges.get(group) ?? []), change]);
  }

  /** The macro's value, "" when it is not defined. */
  value(name: string): string {
    return this.m4.valueOf(name) ?? "";
  }

  /** Defines a macro unless the administrator already has. */
  defineDefault(name: string, text: string, place: Place): void {
    if (this.m4.macro(name) === undefined) this.m4.define(name, text, place);
  }
}

/** `[-o] /path [scanf pattern]`, as F lines and confCW_FILE take it; null without a path. */
export function parseClassFile(name: string, text: string): ClassFile | null {
  const match = /^\s*(-o\s+)?(\/\S*)(\s+%\S+)?\s*$/.exec(text);
  if (match === null) return null;
  return { class: name, path: match[2] ?? "", optional: match[1] !== undefined };
}
