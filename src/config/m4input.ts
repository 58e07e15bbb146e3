// What m4 reads: a stack of source files and pushed-back expansions, one character at a time, each with its place.
// An expansion carries the place of the call it came from, so that every message points at something the administrator wrote.

import type { Place } from "./configuration.ts";

interface Frame {
  readonly text: string;
  at: number;
  /** For files: the place of text[at]. For expansions the fixed place of the call. */
  readonly file: string;
  line: number;
  column: number;
  readonly isFile: boolean;
}

export class M4Input {
  #frames: Frame[] = [];
  /** The last file place, for messages at the end of input. */
  #last: Place;

  constructor(start: Place) {
    this.#last = start;
  }

  /** Reads `text` before everything else, as source of `file`. CRLF line ends and a byte order mark do not count. */
  open(file: string, text: string): void {
    this.#trim();
    const clean = text.replace(/^\uFEFF/, "").replaceAll("\r\n", "\n");
    this.#frames.push({ text: clean, at: 0, file, line: 1, column: 1, isFile: true });
  }

  /** Reads `text` next, as if it stood where the call at `place` stood. */
  push(text: string, place: Place): void {
    if (text === "") return;
    this.#trim();
    this.#frames.push({ text, at: 0, ...place, isFile: false });
  }

  #trim(): Frame | undefined {
    for (;;) {
      const top = this.#frames.at(-1);
      if (top === undefined || top.at < top.text.length) return top;
      this.#last = { file: top.file, line: top.line, column: top.column };
      this.#frames.pop();
    }
  }

  /** The next character, "" at the end. */
  peek(): string {
    const top = this.#trim();
    return top === undefined ? "" : (top.text[top.at] ?? "");
  }

  next(): string {
    const top = this.#trim();
    if (top === undefined) return "";
    const char = top.text[top.at] ?? "";
    top.at += 1;
    if (top.isFile) {
      if (char === "\n") {
        top.line += 1;
        top.column = 1;
      } else top.column += 1;
    }
    return char;
  }

  /** Whether `word` comes next, also across the end of an expansion. */
  follows(word: string): boolean {
    if (word === "") return false;
    let rest = word;
    for (let i = this.#frames.length - 1; i >= 0 && rest !== ""; i -= 1) {
      const frame = this.#frames[i];
      if (frame === undefined) break;
      const part = frame.text.slice(frame.at, frame.at + rest.length);
      if (!rest.startsWith(part)) return false;
      rest = rest.slice(part.length);
    }
    return rest === "";
  }

  skip(count: number): void {
    for (let i = 0; i < count; i += 1) this.next();
  }

  /** The place of the next character. */
  place(): Place {
    const top = this.#trim();
    return top === undefined ? this.#last : { file: top.file, line: top.line, column: top.column };
  }

  /** The file being read, and how many are open. */
  currentFile(): { readonly file: string; readonly depth: number } {
    const files = this.#frames.filter((frame) => frame.isFile);
    return { file: files.at(-1)?.file ?? this.#last.file, depth: files.length };
  }
}
