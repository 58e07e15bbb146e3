// What a board's products may weigh: board/<name>/size.json, "budget" (bytes at most, by product) and "baseline" (what they weighed when
// that was last written). A product that outgrows its budget ends the build: growth is decided by changing a number that is reviewed.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fail, ROOT } from "./board.ts";

/** What has a budget. */
export type Product = "bundle" | "binary" | "rootfs" | "image";

export interface Sizes {
  /** Bytes at most. */
  readonly budget: Partial<Record<Product, number>>;
  /** Bytes by product, folder, package and flag. */
  readonly baseline: Readonly<Record<string, number>>;
}

/** The file of a board, relative to the repository. */
export function sizeFile(board: string): string {
  return join("board", board, "size.json");
}

/** A board's budget and baseline; empty for builds that are no board. */
export function readSizes(board: string): Sizes {
  const path = join(ROOT, sizeFile(board));
  if (!existsSync(path)) return { budget: {}, baseline: {} };
  return JSON.parse(readFileSync(path, "utf8")) as Sizes;
}

export function writeBaseline(board: string, baseline: Readonly<Record<string, number>>): void {
  const { budget } = readSizes(board);
  writeFileSync(join(ROOT, sizeFile(board)), `${JSON.stringify({ budget, baseline }, null, 2)}\n`);
}

/** Ends the build when `bytes` is more than the board may have. */
export function checkBudget(board: string, product: Product, bytes: number): void {
  const most = readSizes(board).budget[product];
  if (most !== undefined && bytes > most)
    fail(
      `the ${product} of ${board} has ${bytes} bytes, ${bytes - most} more than its budget of ${most} (${sizeFile(board)}); make size BOARD=${board} tells where they are`,
    );
}
