// The cells of the matrix: size of a message x sessions x a new connection for each message or kept ones, written 10k/50 or
// 10k/50/keep; and how the other things that are measured are called.

export interface Cell {
  readonly bytes: number;
  readonly sessions: number;
  /** True: a session sends all its messages over one connection. */
  readonly keep: boolean;
}

const SIZES = ["1k", "10k", "1M"];
const SESSIONS = [1, 10, 50];

export const ALL_CELLS: readonly string[] = SIZES.flatMap((size) =>
  SESSIONS.flatMap((sessions) => [`${size}/${sessions}`, `${size}/${sessions}/keep`]),
);
export const QUICK_CELLS: readonly string[] = ["1k/1", "1k/10", "10k/10", "1k/10/keep", "1M/1"];
/** What is asked on f2fs, where only the bytes written are of interest. */
export const F2FS_CELLS: readonly string[] = ["1k/1", "1k/10", "10k/10", "1M/1"];

/** Throws on what is not SIZE/SESSIONS[/keep]. */
export function parseCell(text: string): Cell {
  const m = /^(\d+)(k|M)\/(\d+)(\/keep)?$/.exec(text);
  if (m === null) throw new Error(`no cell '${text}': SIZE/SESSIONS[/keep], for example 10k/50`);
  return {
    bytes: Number(m[1]) * (m[2] === "M" ? 1_000_000 : 1000),
    sessions: Number(m[3]),
    keep: m[4] !== undefined,
  };
}

export function cellName(c: Cell): string {
  const size = c.bytes >= 1_000_000 ? `${c.bytes / 1_000_000}M` : `${c.bytes / 1000}k`;
  return `${size}/${c.sessions}${c.keep ? "/keep" : ""}`;
}

/** "10k/1/keep" as people say it: "10 kB, 1 session, kept". */
export function cellWords(name: string): string {
  const m = /^(\d+)(k|M)\/(\d+)(\/keep)?$/.exec(name);
  if (m === null) return name;
  const sessions = m[3] === "1" ? "1 session" : `${m[3]} sessions`;
  return `${m[1]} ${m[2]}B, ${sessions}${m[4] === undefined ? "" : ", kept connections"}`;
}
