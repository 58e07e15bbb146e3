// The folders of one gateway: queue, state, jail, control socket, and what must stay writable inside the jail's rule.
// On a board the jail is /var/mailjail; on a host without confSAFE_FILE_ENV it is the queue folder itself (contract section 3).

import { BUILD } from "../base/build.ts";
import type { Options } from "../config/options.ts";
import { realPath } from "../sys/files.ts";
import { absolutePath, directoryOf, joinPath } from "../sys/path.ts";

export const RUN_FOLDER = "/run/postern";
const BOARD_JAIL = "/var/mailjail";

export interface Folders {
  readonly queue: string;
  /** Rebuildable state (LevelDB). */
  readonly state: string;
  /** Beneath which alone local mail is written. */
  readonly jail: string;
  readonly controlSocket: string;
  readonly pidFile: string;
}

export function foldersOf(options: Options): Folders {
  const queue = absolutePath(options.QueueDirectory.replace(/\/\*$/, ""));
  const board = BUILD.board !== "host";
  const jail =
    options.SafeFileEnvironment !== ""
      ? absolutePath(options.SafeFileEnvironment)
      : board
        ? BOARD_JAIL
        : queue;
  return {
    queue,
    state: board ? joinPath(jail, "var/lib/postern") : joinPath(queue, "state"),
    jail,
    controlSocket:
      options.ControlSocketName === ""
        ? joinPath(RUN_FOLDER, "control")
        : absolutePath(options.ControlSocketName),
    pidFile: options.PidFile === "" ? joinPath(RUN_FOLDER, "sendmail.pid") : absolutePath(options.PidFile),
  };
}

/** Directories that the daemon writes, as they really lie (the spool is reached through a link on a board). */
export function writableFolders(folders: Folders): readonly string[] {
  const real = (path: string): string => {
    const found = realPath(path);
    return found.kind === "found" ? found.value : path;
  };
  return [
    ...new Set([folders.jail, folders.queue, folders.state, directoryOf(folders.controlSocket)].map(real)),
  ];
}
