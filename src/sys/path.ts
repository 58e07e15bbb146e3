// File names as text: join, split, normalise. POSIX rules only; nothing here touches a disk.
// The one door to node:path, so that everything above sys/ stays free of node imports.

import { posix } from "node:path";

/** Joins parts with "/" and normalises. */
export const joinPath = posix.join;
/** The directory part, "." when there is none. */
export const directoryOf = posix.dirname;
/** The last part, without `suffix` when it ends so. */
export const baseName = posix.basename;
/** Absolute and normalised, relative names are taken from the working directory. */
export const absolutePath = posix.resolve;
export const isAbsolutePath = posix.isAbsolute;
