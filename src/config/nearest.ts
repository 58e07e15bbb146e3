// "Did you mean ...?": the nearest of some known names by edit distance (with transpositions), for names that were mistyped.
// Used in messages only: no decision depends on it.

/** Words longer than this are not compared. */
const NAME_CHARS_MAX = 64;

/** Edits (insert, delete, replace, swap neighbours) from `a` to `b`. */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_value, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    before = last;
    last = row;
  }
  return last[b.length] ?? 0;
}

/** The nearest known name, null when none is near (more than a third of its letters wrong, unless one begins with the other). */
export function nearestName(name: string, known: Iterable<string>): string | null {
  if (name.length > NAME_CHARS_MAX) return null;
  const wanted = name.toLowerCase();
  let best: string | null = null;
  let least = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    if (candidate.length > NAME_CHARS_MAX) continue;
    const word = candidate.toLowerCase();
    const prefixed = wanted.startsWith(word) || word.startsWith(wanted);
    const distance = editDistance(wanted, word);
    const limit = prefixed
      ? Math.max(wanted.length, word.length) / 2
      : Math.max(wanted.length, word.length) / 3;
    if (distance <= limit && distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

/** " (did you mean X?)", or "" when nothing is near. */
export function suggestion(name: string, known: Iterable<string>): string {
  const nearest = nearestName(name, known);
  return nearest === null ? "" : `; did you mean ${nearest}?`;
}
