// From root to the daemon's user, in an order in which nothing is owned by root that the daemon must write later:
// folders are given to the user, the kernel's jail is set, the spool is opened as the user, ports are bound as root, root is given up.

import { BUILD } from "../base/build.ts";
import { err, ok, type Result } from "../base/result.ts";
import { changeMode, giveTo, makeDirectory, statPath } from "../sys/files.ts";
import { PasswdFile } from "../sys/identity.ts";
import { confineWrites, jailSelfTest, type Writable } from "../sys/kernel.ts";
import type { Log } from "../sys/log.ts";
import { directoryOf } from "../sys/path.ts";
import { currentUser } from "../sys/process.ts";
import { type Folders, RUN_FOLDER, writableFolders } from "./folders.ts";

export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** `8:12`, `mail:mail`, `mail`: names come from the passwd file; a group is a number or the user's own. */
export function parseUser(text: string, passwdFile: string): Result<User> {
  const [user = "", group = ""] = text.split(/[:.]/);
  let uid = Number(user);
  let gid = Number(group);
  if (!/^\d+$/.test(user)) {
    const account = new PasswdFile(passwdFile).find(user);
    if (account.kind !== "found") return err(`user ${user} of confDEF_USER_ID is not in ${passwdFile}`);
    uid = account.value.uid;
    if (group === "" || !/^\d+$/.test(group)) gid = account.value.gid;
  } else if (!/^\d+$/.test(group)) return err(`confDEF_USER_ID ${text}: give the group as a number`);
  return uid === 0 ? err("confDEF_USER_ID: the daemon must not stay root") : ok({ uid, gid });
}

/** Makes the folders that are missing; as root they are given to `user`. */
export function prepareFolders(folders: Folders, user: User | null): Result<true> {
  for (const [path, mode] of [
    [folders.queue, 0o700],
    [folders.state, 0o700],
    [directoryOf(folders.controlSocket), 0o755],
  ] as const) {
    const there = statPath(path).kind === "found";
    // Every local user may submit mail; the folder of an earlier version let only the group mail in.
    if (there && path === RUN_FOLDER && user !== null) changeMode(path, mode);
    const made = there ? ok(true as const) : makeDirectory(path, mode);
    if (!made.ok) return made;
    // A control socket in the queue folder itself (tests, odd set-ups) leaves the folder the daemon's.
    const control = path === directoryOf(folders.controlSocket) && path !== folders.queue;
    if (user !== null && (!there || path === folders.queue)) {
      const given = giveTo(path, control ? 0 : user.uid, user.gid);
      if (!given.ok) return given;
    }
  }
  return ok(true);
}

/**
 * The kernel's jail for this process and its children; proved at once. Where the kernel has none, one loud line and the rules of
 * safefile/ and openat2 go on alone. An error means that the jail does not hold although the kernel said so.
 */
export function confine(folders: Folders, log: Log): Result<true> {
  const writables: Writable[] = [
    ...writableFolders(folders).map((path) => ({ path, kind: "directory" as const })),
    { path: "/dev/null", kind: "file" },
  ];
  if (statPath("/dev/tty").kind === "found") writables.push({ path: "/dev/tty", kind: "file" });
  const confined = confineWrites(writables);
  if (!confined.ok) {
    log.line(
      0,
      `WARNING: no jail by the kernel: ${confined.error}; file deliveries are still checked one by one`,
    );
    return ok(true);
  }
  const outside = BUILD.board === "host" ? "/tmp" : "/run";
  const beneath = writableFolders(folders).some(
    (path) => path === outside || `${outside}/`.startsWith(`${path}/`),
  );
  const proved = beneath ? ok(true as const) : jailSelfTest(folders.queue, outside);
  if (!proved.ok) return proved;
  log.line(
    9,
    `jail: writes only beneath ${writableFolders(folders).join(", ")} (Landlock ABI ${confined.value.abi})`,
  );
  return ok(true);
}

export function isRoot(): boolean {
  return currentUser().uid === 0;
}
