// A= of a mailer: words with Sendmail's macros ($h host, $u user, $f sender, $g sender as seen by the recipient, $j our name).
// Words are split first and expanded then, each once, so that no address can add an argument (reliability INJ-02, INJ-04).

/** What the macros stand for in one delivery. */
export type Macros = ReadonlyMap<string, string>;

/** The words of A= as written, blanks separate; quotes keep blanks. */
export function wordsOf(args: string): readonly string[] {
  const words: string[] = [];
  let word = "";
  let begun = false;
  let quoted = false;
  for (const c of args) {
    if (c === '"') {
      quoted = !quoted;
      begun = true;
    } else if (!quoted && (c === " " || c === "\t")) {
      if (begun) words.push(word);
      word = "";
      begun = false;
    } else {
      word += c;
      begun = true;
    }
  }
  if (begun) words.push(word);
  return words;
}

/** One word with its macros replaced, once: what a macro brings is never looked at again. Unknown macros are empty. */
export function expandWord(word: string, macros: Macros): string {
  let out = "";
  for (let i = 0; i < word.length; i++) {
    const c = word[i] ?? "";
    if (c !== "$") {
      out += c;
      continue;
    }
    const next = word[i + 1] ?? "";
    if (next === "{") {
      const end = word.indexOf("}", i);
      if (end < 0) return out;
      out += macros.get(word.slice(i + 2, end)) ?? "";
      i = end;
    } else if (next === "$") {
      out += "$";
      i++;
    } else {
      out += macros.get(next) ?? "";
      i++;
    }
  }
  return out;
}
