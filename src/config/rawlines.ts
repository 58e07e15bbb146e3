// Raw sendmail.cf lines in a .mc: what LOCAL_CONFIG and MAILER_DEFINITIONS may hold (O, C, F, D, T, M lines), and what must be said
// about the rest. Rules cannot be honoured: the gateway decides by tables, so each message names what to use instead.

import { CONFIGURATION_ERRORS_MAX } from "../base/limits.ts";
import type { Place } from "./configuration.ts";
import type { M4Piece } from "./m4.ts";
import { parseMailerLine } from "./mailers.ts";
import type { McState } from "./mcstate.ts";
import { suggestion } from "./nearest.ts";

/** One line of output with the place of its first visible character. */
export interface RawLine {
  readonly text: string;
  readonly place: Place;
}

/**
 * Cuts pieces of output into lines; blank lines and # comments are left out, continuation lines are joined. `bySource`: text from
 * different lines of the source is kept apart even where dnl took the line end between them.
 */
export function rawLines(pieces: readonly M4Piece[], bySource = false): RawLine[] {
  const lines: { text: string; place: Place | null }[] = [{ text: "", place: null }];
  for (const { text, place } of pieces) {
    for (const [index, part] of text.split("\n").entries()) {
      const open = lines.at(-1)?.place ?? null;
      const apart = bySource && open !== null && (open.line !== place.line || open.file !== place.file);
      if (index > 0 || apart) lines.push({ text: "", place: null });
      const line = lines.at(-1);
      if (line === undefined) continue;
      line.text += part;
      if (line.place === null && part.trim() !== "") line.place = place;
    }
  }
  const result: { text: string; place: Place }[] = [];
  for (const { text, place } of lines) {
    if (place === null || text.startsWith("#") || text.trim() === "") continue;
    const before = result.at(-1);
    if (/^[ \t]/.test(text) && before !== undefined && /^[A-Z]/.test(before.text))
      before.text += ` ${text.trim()}`;
    else result.push({ text: text.trimEnd(), place });
  }
  return result;
}

/** The name after C, D, F, K: `w` or `{name}`, and the rest of the line. */
function named(text: string): { name: string; rest: string } {
  const match = /^.(?:\{([^}]*)\}|(.))(.*)$/s.exec(text);
  return { name: match?.[1] ?? match?.[2] ?? "", rest: match?.[3] ?? "" };
}

const SYSTEM_MACROS: ReadonlyMap<string, string> = new Map([
  ["j", "confDOMAIN_NAME"],
  ["M", "MASQUERADE_NAME"],
  ["S", "SMART_HOST"],
  ["H", "MAIL_HUB"],
  ["R", "LOCAL_RELAY"],
  ["L", "LUSER_RELAY"],
  ["n", "confMAILER_NAME"],
]);

function defineLine(state: McState, line: RawLine): void {
  const { name, rest } = named(line.text);
  const macro = SYSTEM_MACROS.get(name);
  // The text is final: quotes keep m4 from reading it again.
  if (macro !== undefined) state.m4.define(macro, `\`${rest}'`, line.place);
  else state.macroLines.set(name, { text: rest, place: line.place });
}

function optionLine(state: McState, line: RawLine): void {
  const long = /^O\s+([A-Za-z][\w.-]*)\s*(?:=\s*(.*))?$/.exec(line.text);
  const short = /^O([A-Za-z0-9])(.*)$/.exec(line.text);
  const name = long?.[1] ?? short?.[1];
  if (name === undefined) {
    state.error(line.place, `"${line.text}" is not an option line (O Name=value)`);
    return;
  }
  const value = (long === null ? short?.[2] : long[2]) ?? "";
  if (/^(DaemonPortOptions|O)$/i.test(name)) state.daemons.push({ text: value, place: line.place });
  else if (/^ClientPortOptions$/i.test(name)) state.clients.push({ text: value, place: line.place });
  else state.optionLines.push({ name, value: value.trim(), place: line.place });
}

/** What to use instead of rules that test this. */
function insteadOf(text: string): string {
  if (/check_(mail|rcpt|relay|compat)|^S?Local_check/i.test(text))
    return "use FEATURE(`access_db') and its tables";
  if (/^H/.test(text)) return "headers cannot be added or checked by rules";
  if (/tls|try_tls|srv_features|clt_features/i.test(text))
    return "use TLS_ and Srv_Features: keys in the access table";
  if (/dnsbl/i.test(text)) return "use FEATURE(`dnsbl') or FEATURE(`enhdnsbl')";
  return "use mailertable, virtusertable, genericstable or access";
}

type LineReader = (state: McState, line: RawLine, section: string) => void;

function ruleLine(state: McState, { text, place }: RawLine, section: string): void {
  state.error(place, `${section}: rules cannot be used here ("${excerpt(text)}"); ${insteadOf(text)}`);
}

/** What each kind of line of a sendmail.cf does, by its first letter. */
const LINE_READERS: ReadonlyMap<string, LineReader> = new Map<string, LineReader>([
  ["O", optionLine],
  ["D", defineLine],
  [
    "C",
    (state, line) => {
      const { name, rest } = named(line.text);
      state.addMembers(name, rest);
    },
  ],
  [
    "F",
    (state, line) => {
      const { name, rest } = named(line.text);
      state.addClassFile(name, rest, line.place);
    },
  ],
  ["T", (state, line) => state.addMembers("t", line.text.slice(1))],
  [
    "M",
    (state, line) => {
      const spec = parseMailerLine(state, line.text, line.place);
      if (spec !== null) state.mailers.set(spec.name, spec);
      state.mailersBegan ??= line.place;
    },
  ],
  [
    "K",
    (state, line, section) => {
      const name = /^K\s*(\S+)/.exec(line.text)?.[1] ?? "";
      state.warn(line.place, `${section}: the map "${name}" has no effect without rules`);
    },
  ],
  [
    "E",
    (state, line, section) => state.warn(line.place, `${section}: environment lines have no effect here`),
  ],
  ["X", (state, line, section) => state.error(line.place, `${section}: milters are not in this build`)],
  ["R", ruleLine],
  ["S", ruleLine],
  ["H", ruleLine],
]);

/** One line of LOCAL_CONFIG or MAILER_DEFINITIONS. */
function configLine(state: McState, line: RawLine, section: string): void {
  const reader = LINE_READERS.get(line.text[0] ?? "");
  if (reader === undefined) state.error(line.place, `stray text "${excerpt(line.text)}"`);
  else reader(state, line, section);
}

/** The beginning of a text for a message. */
export function excerpt(text: string): string {
  const clean = text.trim().replace(/[\x00-\x1f\x7f]/g, " ");
  return clean.length > 40 ? `${clean.slice(0, 40)}...` : clean;
}

/** Diversions of the sections that may hold configuration lines. */
export const CONFIG_SECTION = 6;
export const MAILER_SECTION = 7;

/** Reads everything that was left over as text, in all diversions. */
export function readLeftovers(state: McState): void {
  for (const [number, pieces] of [...state.m4.diversions].sort(([a], [b]) => a - b)) {
    const section = state.sections.get(number);
    const lines = rawLines(pieces, section === undefined);
    const [first] = lines;
    if (first === undefined) continue;
    if (number === CONFIG_SECTION || number === MAILER_SECTION)
      for (const line of lines) configLine(state, line, section?.text ?? "LOCAL_CONFIG");
    else if (section !== undefined) {
      const rule = lines.find((line) => /^[SRH]/.test(line.text)) ?? first;
      const about = lines.map((line) => line.text).join("\n");
      state.error(
        rule.place,
        `${section.text}: rules cannot be used here ("${excerpt(rule.text)}"); ${insteadOf(about)}`,
      );
    } else
      for (const line of lines) {
        if (state.m4.errors.length >= CONFIGURATION_ERRORS_MAX) return;
        const hint =
          /^[CDFOKTHMRS]\S*/.test(line.text) && /[={/<$]|^[CDF][A-Za-z] \S+$/.test(line.text)
            ? " (lines of a sendmail.cf go after LOCAL_CONFIG)"
            : "";
        const call = /^([A-Z_]{4,})\s+\(/.exec(line.text);
        const blank = call === null ? "" : ` (no blank may stand between ${call[1]} and its parenthesis)`;
        const word = /^([A-Za-z_]{4,})\(/.exec(line.text)?.[1];
        const near =
          word === undefined
            ? ""
            : suggestion(
                word,
                state.m4.names().filter((name) => name.length > 3),
              );
        state.error(line.place, `stray text "${excerpt(line.text)}"${blank || hint || near}`);
      }
  }
}
