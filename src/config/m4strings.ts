// The string built-ins of m4 as plain functions: translit, format, and numbers in a radix (POSIX m4, with GNU's ranges).
// Pure text in, text or a reason out; widths and radixes are bounded.

import { err, ok, type Result } from "../base/result.ts";

/** The widest field that format() and eval() may be asked for. */
const FIELD_WIDTH_MAX = 1024;

function expandRanges(set: string): string {
  let result = "";
  const chars = [...set];
  for (let i = 0; i < chars.length; i += 1) {
    const char = chars[i] ?? "";
    const end = chars[i + 2];
    if (chars[i + 1] === "-" && end !== undefined && result.length < 4096) {
      const [from, to] = [char.charCodeAt(0), end.charCodeAt(0)];
      const step = from <= to ? 1 : -1;
      for (let code = from; code !== to + step; code += step) result += String.fromCharCode(code);
      i += 2;
    } else result += char;
  }
  return result;
}

/** translit(text, from, to): characters of `from` become those of `to`, or go. */
export function transliterate(text: string, from: string, to: string): string {
  const source = expandRanges(from);
  const target = expandRanges(to);
  const table = new Map<string, string>();
  for (let i = 0; i < source.length; i += 1) {
    const char = source[i] ?? "";
    if (!table.has(char)) table.set(char, target[i] ?? "");
  }
  return [...text].map((char) => table.get(char) ?? char).join("");
}

/** eval()'s result in a radix, padded with zeros. */
export function formatNumber(value: number, radix: number, width: number): Result<string> {
  if (radix < 1 || radix > 36) return err(`radix ${radix} is not between 1 and 36`);
  if (width < 0 || width > FIELD_WIDTH_MAX)
    return err(`width ${width} is not between 0 and ${FIELD_WIDTH_MAX}`);
  const magnitude = Math.abs(value);
  if (radix === 1 && magnitude > FIELD_WIDTH_MAX) return err("the number is too large for radix 1");
  const digits = radix === 1 ? "1".repeat(magnitude) : magnitude.toString(radix);
  return ok((value < 0 ? "-" : "") + digits.padStart(width, "0"));
}

function formatOne(flags: string, width: number, precision: number, kind: string, value: string): string {
  let body: string;
  if (kind === "s") body = precision >= 0 ? value.slice(0, precision) : value;
  else if (kind === "c") body = value === "" ? "" : String.fromCharCode((Number(value) || 0) & 0xff);
  else {
    const number = Math.trunc(Number(value)) || 0;
    const radix = kind === "o" ? 8 : kind === "x" || kind === "X" ? 16 : 10;
    const unsigned = radix === 10 && kind !== "u" ? number : number >>> 0;
    body = Math.abs(unsigned).toString(radix).padStart(Math.max(precision, 0), "0");
    if (kind === "X") body = body.toUpperCase();
    if (unsigned < 0) body = `-${body}`;
    else if (flags.includes("+")) body = `+${body}`;
    else if (flags.includes(" ")) body = ` ${body}`;
    if (flags.includes("0") && !flags.includes("-") && precision < 0) {
      const sign = /^[-+ ]/.exec(body)?.[0] ?? "";
      return sign + body.slice(sign.length).padStart(width - sign.length, "0");
    }
  }
  return flags.includes("-") ? body.padEnd(width) : body.padStart(width);
}

/** format(text, ...): printf with %d %i %u %o %x %X %c %s %%. */
export function formatText(template: string, args: readonly string[]): Result<string> {
  const rest = [...args];
  const number = (text: string): number =>
    Math.min(Number(text === "*" ? (rest.shift() ?? "0") : text), FIELD_WIDTH_MAX);
  let bad = "";
  const result = template.replace(
    /%([-+ 0#]*)(\d+|\*)?(?:\.(\d+|\*))?(.|$)/gs,
    (all, flags: string, width: string | undefined, precision: string | undefined, kind: string) => {
      if (all === "%%") return "%";
      if (!/^[diuoxXcs]$/.test(kind)) {
        bad = all;
        return "";
      }
      const columns = width === undefined ? 0 : number(width);
      const digits = precision === undefined ? -1 : number(precision);
      return formatOne(flags, columns, digits, kind, rest.shift() ?? "");
    },
  );
  return bad === "" ? ok(result) : err(`unknown conversion ${bad}`);
}
