// Texts of the configuration with parts that are filled in: `"550 Mail from " $&{client_addr} " refused"` (dnsbl, reject messages).
// Only names that the caller gives are filled in; everything else is text.

/** Fills in `$&{name}` and `${name}`; quoted parts keep their blanks, words outside of quotes are joined by one blank. */
export function filledIn(template: string, values: ReadonlyMap<string, string>): string {
  let out = "";
  let word = false;
  for (let i = 0; i < template.length; ) {
    const c = template[i] as string;
    if (c === '"') {
      const end = template.indexOf('"', i + 1);
      const stop = end < 0 ? template.length : end;
      out += template.slice(i + 1, stop);
      word = false;
      i = stop + 1;
    } else if (c === " " || c === "\t") i++;
    else {
      const macro = macroAt(template, i);
      const stop = macro === null ? wordEnd(template, i) : macro.end;
      const text = macro === null ? template.slice(i, stop) : (values.get(macro.name) ?? "");
      out += word ? ` ${text}` : text;
      word = true;
      i = stop;
    }
  }
  return out;
}

function macroAt(text: string, at: number): { readonly name: string; readonly end: number } | null {
  if (text[at] !== "$") return null;
  const open = text[at + 1] === "&" ? at + 2 : at + 1;
  if (text[open] !== "{") return null;
  const close = text.indexOf("}", open);
  return close < 0 ? null : { name: text.slice(open + 1, close), end: close + 1 };
}

function wordEnd(text: string, from: number): number {
  let i = from + 1;
  while (
    i < text.length &&
    text[i] !== " " &&
    text[i] !== "\t" &&
    text[i] !== '"' &&
    macroAt(text, i) === null
  )
    i++;
  return i;
}
