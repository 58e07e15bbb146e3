// A class of names ($=w, $=R, ...) as Sendmail matches it: without case, and by token, so that `hackenbush.com` in a class
// never matches `xhackenbush.com` but does match below `.`, whole or as an ending or a beginning (semantics section 5).

const OPERATORS = ".:%@!^/[]+";

function boundary(text: string, at: number): boolean {
  return OPERATORS.includes(text[at - 1] as string) || OPERATORS.includes(text[at] as string);
}

/** A set of names that is filled at start and asked at run time. */
export class NameSet {
  readonly #names = new Set<string>();

  constructor(names: Iterable<string> = []) {
    for (const name of names) this.add(name);
  }

  add(name: string): void {
    if (name !== "") this.#names.add(name.toLowerCase());
  }

  get size(): number {
    return this.#names.size;
  }

  /** Members in the order they came, folded to lower case. */
  values(): IterableIterator<string> {
    return this.#names.values();
  }

  /** Is `name` a member? */
  has(name: string): boolean {
    return this.#names.has(name.toLowerCase());
  }

  /** Is `name` a member, or does it end in one at a token boundary (`$* $=R`)? The member, or null. */
  ending(name: string): string | null {
    if (this.#names.size === 0) return null;
    const folded = name.toLowerCase();
    if (this.#names.has(folded)) return folded;
    for (let i = 1; i < folded.length; i++) {
      if (!boundary(folded, i)) continue;
      const tail = folded.slice(i);
      if (this.#names.has(tail)) return tail;
    }
    return null;
  }

  /** Is `name` a member, or does it begin with one at a token boundary (`$=R $*`: address prefixes)? */
  beginning(name: string): boolean {
    if (this.#names.size === 0) return false;
    const folded = name.toLowerCase();
    if (this.#names.has(folded)) return true;
    for (let i = folded.length - 1; i > 0; i--)
      if (boundary(folded, i) && this.#names.has(folded.slice(0, i))) return true;
    return false;
  }
}

/** Does `name` equal `domain` or lie below it (`$* $=m`)? */
export function isBelow(name: string, domain: string): boolean {
  if (domain === "") return false;
  const folded = name.toLowerCase();
  const wanted = domain.toLowerCase();
  return folded === wanted || (folded.endsWith(wanted) && boundary(folded, folded.length - wanted.length));
}
