// What only the kernel can promise: the semichroot (Landlock: reads as usual, writes only beneath the jail, for this process,
// its later threads and its children), opening a file beneath a directory without following links (openat2), and datagrams of the
// Unix domain (syslog), which Node cannot send.
// The one user of node:ffi, which is experimental: Node's version is pinned and jailSelfTest() proves the jail at every start.
// See landlock(7), openat2(2). System call numbers are those of the generic table, the same on x86_64 and arm64.

import { closeSync, constants, openSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { err, ok, type Result } from "../base/result.ts";

const SYS_OPENAT2 = 437n;
const SYS_LANDLOCK_CREATE_RULESET = 444n;
const SYS_LANDLOCK_ADD_RULE = 445n;
const SYS_LANDLOCK_RESTRICT_SELF = 446n;
const PR_SET_NO_NEW_PRIVS = 38n;

const RESOLVE_NO_XDEV = 1n;
const RESOLVE_NO_MAGICLINKS = 2n;
const RESOLVE_NO_SYMLINKS = 4n;
const RESOLVE_BENEATH = 8n;

/** LANDLOCK_ACCESS_FS_*: only what changes the file system is handled, reading and executing stay free. */
const ACCESS = {
  WRITE_FILE: 1n << 1n,
  REMOVE_DIR: 1n << 4n,
  REMOVE_FILE: 1n << 5n,
  MAKE_CHAR: 1n << 6n,
  MAKE_DIR: 1n << 7n,
  MAKE_REG: 1n << 8n,
  MAKE_SOCK: 1n << 9n,
  MAKE_FIFO: 1n << 10n,
  MAKE_BLOCK: 1n << 11n,
  MAKE_SYM: 1n << 12n,
  REFER: 1n << 13n,
  TRUNCATE: 1n << 14n,
} as const;

/** Handled from the ABI on that knows the right: an older kernel refuses a ruleset with unknown bits. */
function handledAccess(abi: number): bigint {
  let bits = 0n;
  for (const bit of Object.values(ACCESS)) bits |= bit;
  if (abi < 2) bits &= ~ACCESS.REFER;
  if (abi < 3) bits &= ~ACCESS.TRUNCATE;
  return bits;
}

interface Native {
  syscall(number: bigint, ...args: bigint[]): { value: number; errno: number };
  address(buffer: Buffer): bigint;
}

let native: Native | null | undefined;

/** Loads node:ffi at first use; null where this Node or this system has none. */
function loadNative(): Native | null {
  if (native !== undefined) return native;
  native = null;
  const warn = process.emitWarning;
  try {
    // Node warns on every start that ffi is experimental; an administrator can do nothing about it.
    process.emitWarning = () => undefined;
    const ffi = process.getBuiltinModule("node:ffi");
    const { functions } = ffi.dlopen(null, {
      syscall: {
        arguments: ["int64", "int64", "int64", "int64", "int64", "int64"],
        return: "int64",
      },
      __errno_location: { arguments: [], return: "pointer" },
    });
    native = {
      syscall(number, ...args) {
        const a = [...args, 0n, 0n, 0n, 0n, 0n];
        const value = Number(
          functions.syscall(number, a[0] ?? 0n, a[1] ?? 0n, a[2] ?? 0n, a[3] ?? 0n, a[4] ?? 0n),
        );
        return { value, errno: value < 0 ? ffi.getInt32(functions.__errno_location()) : 0 };
      },
      address: (buffer) => ffi.getRawPointer(buffer),
    };
  } catch (e) {
    native = null;
    lackReason = e instanceof Error ? e.message : String(e);
  } finally {
    process.emitWarning = warn;
  }
  return native;
}

let lackReason = "";

let trim: (() => void) | null = null;

/** Gives the free pages of the C library's heap back to the kernel (malloc_trim(3)); nothing where the library has no such call. */
export function trimMalloc(): void {
  trim ??= loadTrim();
  trim();
}

function loadTrim(): () => void {
  const nothing = (): void => undefined;
  if (loadNative() === null) return nothing;
  try {
    const { functions } = process
      .getBuiltinModule("node:ffi")
      .dlopen(null, { malloc_trim: { arguments: ["uint64"], return: "int32" } });
    return () => void functions.malloc_trim(0n);
  } catch (e) {
    if (e instanceof Error) return nothing;
    throw e;
  }
}

const SYS_PRCTL = process.arch === "arm64" ? 167n : 157n;
const SYS_SOCKET = process.arch === "arm64" ? 198n : 41n;
const SYS_CONNECT = process.arch === "arm64" ? 203n : 42n;
const SYS_GETSOCKOPT = process.arch === "arm64" ? 209n : 55n;
const SOL_SOCKET = 1n;
const SO_PEERCRED = 17n;
const SO_PEERGROUPS = 59n;
const ENOPROTOOPT = 92;
/** The kernel's NGROUPS_MAX is 65,536; nobody in more than this many groups is asked for more. */
const PEER_GROUPS_MAX = 1024;
const AF_UNIX = 1;
const SOCK_DGRAM = 2n;
const SOCK_NONBLOCK = 0o4000n;
const SOCK_CLOEXEC = 0o2000000n;
/** Bytes of sun_path with its NUL. */
const UNIX_PATH_BYTES_MAX = 108;

/** A place where writing stays possible. A directory: everything beneath it; a file: writing to it. */
export interface Writable {
  readonly path: string;
  readonly kind: "directory" | "file";
}

/**
 * Confines every later write of this process, its threads and its children to `writables`, for good.
 * Call it before the first asynchronous file operation, so that libuv's threads are born inside.
 * Error: the kernel lacks Landlock (or refuses it); nothing was confined then.
 */
export function confineWrites(writables: readonly Writable[]): Result<{ abi: number }> {
  const n = loadNative();
  if (n === null) return err(`this runtime cannot call the kernel: ${lackReason}`);
  const version = n.syscall(SYS_LANDLOCK_CREATE_RULESET, 0n, 0n, 1n);
  if (version.value < 1) return err(`this kernel has no Landlock (errno ${version.errno})`);
  const handled = handledAccess(version.value);

  const attr = Buffer.alloc(8);
  attr.writeBigUInt64LE(handled);
  const ruleset = n.syscall(SYS_LANDLOCK_CREATE_RULESET, n.address(attr), 8n, 0n);
  if (ruleset.value < 0) return err(`landlock_create_ruleset: errno ${ruleset.errno}`);
  try {
    for (const { path, kind } of writables) {
      // No device nodes, even inside the jail.
      const allowed =
        kind === "directory"
          ? handled & ~(ACCESS.MAKE_CHAR | ACCESS.MAKE_BLOCK)
          : handled & (ACCESS.WRITE_FILE | ACCESS.TRUNCATE);
      const added = addRule(n, ruleset.value, path, allowed);
      // A device that cannot be opened now (a terminal without one) needs no exception.
      if (!added.ok && kind === "directory") return added;
    }
    const privileges = n.syscall(SYS_PRCTL, PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n);
    if (privileges.value < 0) return err(`prctl(PR_SET_NO_NEW_PRIVS): errno ${privileges.errno}`);
    const done = n.syscall(SYS_LANDLOCK_RESTRICT_SELF, BigInt(ruleset.value), 0n);
    if (done.value < 0) return err(`landlock_restrict_self: errno ${done.errno}`);
    return ok({ abi: version.value });
  } finally {
    closeSync(ruleset.value);
  }
}

function addRule(n: Native, ruleset: number, path: string, allowed: bigint): Result<true> {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | 0o2000000 /* O_CLOEXEC */);
  } catch (e) {
    return err(`cannot open ${path}: ${e instanceof Error ? e.message : String(e)}`);
  }
  try {
    // struct landlock_path_beneath_attr is packed: u64 allowed_access, s32 parent_fd.
    const rule = Buffer.alloc(12);
    rule.writeBigUInt64LE(allowed, 0);
    rule.writeInt32LE(fd, 8);
    const added = n.syscall(SYS_LANDLOCK_ADD_RULE, BigInt(ruleset), 1n, n.address(rule), 0n);
    return added.value < 0 ? err(`landlock_add_rule ${path}: errno ${added.errno}`) : ok(true);
  } finally {
    closeSync(fd);
  }
}

/**
 * Proves the jail: writing beneath `inside` works, creating a file in `outside` (a directory that this user may write) does not.
 * Error says what was possible that must not be; the daemon then refuses to run pretending.
 */
export function jailSelfTest(inside: string, outside: string): Result<true> {
  const good = join(inside, `.jail-test-${process.pid}`);
  try {
    writeFileSync(good, "");
    unlinkSync(good);
  } catch (e) {
    // A disk that is full, read-only or broken is the queue's trouble; only a refusal would be the jail's.
    const code = e instanceof Error && "code" in e ? String(e.code) : "EIO";
    if (code === "EACCES" || code === "EPERM") return err(`the jail ${inside} cannot be written: ${code}`);
  }
  const bad = join(outside, `.postern-jail-test-${process.pid}`);
  try {
    writeFileSync(bad, "", { flag: "wx" });
  } catch (e) {
    const code = e instanceof Error && "code" in e ? String(e.code) : "EIO";
    // Nothing can be written on a read-only file system. Any other failure is not the jail's doing and proves nothing.
    if (code === "EACCES" || code === "EPERM" || code === "EROFS") return ok(true);
    return err(`the jail cannot be proved: ${bad}: ${code}`);
  }
  unlinkSync(bad);
  return err(`the jail does not hold: ${bad} could be created`);
}

/**
 * Opens `relative` beneath `directory` without following any link on the way and without leaving the file system
 * (openat2 with RESOLVE_BENEATH, NO_SYMLINKS, NO_MAGICLINKS, NO_XDEV). `flags` as open(2). Gives a file descriptor
 * or the name of the errno ("ELOOP", "EXDEV", "ENOENT", "ENOSYS" where the kernel lacks it).
 */
export function openBeneath(
  directory: string,
  relative: string,
  flags: number,
  mode: number,
): Result<number> {
  if (relative.includes("\0") || relative === "") return err("EINVAL");
  const n = loadNative();
  if (n === null) return err("ENOSYS");
  let at: number;
  try {
    at = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (e) {
    return err(e instanceof Error && "code" in e ? String(e.code) : "EIO");
  }
  try {
    const path = Buffer.from(`${relative}\0`);
    const how = Buffer.alloc(24);
    how.writeBigUInt64LE(BigInt(flags | 0o2000000), 0);
    how.writeBigUInt64LE((flags & constants.O_CREAT) !== 0 ? BigInt(mode) : 0n, 8);
    how.writeBigUInt64LE(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV, 16);
    const fd = n.syscall(SYS_OPENAT2, BigInt(at), n.address(path), n.address(how), 24n);
    return fd.value < 0 ? err(ERRNO.get(fd.errno) ?? `errno ${fd.errno}`) : ok(fd.value);
  } finally {
    closeSync(at);
  }
}

/**
 * A datagram socket of the Unix domain, connected to `path` and non-blocking (Node has none): write(2) on the descriptor sends one
 * datagram. Error: the name of the errno.
 */
export function connectDatagram(path: string): Result<number> {
  const n = loadNative();
  if (n === null) return err("ENOSYS");
  const name = Buffer.from(path);
  if (name.length >= UNIX_PATH_BYTES_MAX) return err("ENAMETOOLONG");
  const fd = n.syscall(SYS_SOCKET, BigInt(AF_UNIX), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0n);
  if (fd.value < 0) return err(ERRNO.get(fd.errno) ?? `errno ${fd.errno}`);
  // struct sockaddr_un: u16 family, then the path.
  const address = Buffer.alloc(2 + UNIX_PATH_BYTES_MAX);
  address.writeUInt16LE(AF_UNIX, 0);
  name.copy(address, 2);
  const done = n.syscall(SYS_CONNECT, BigInt(fd.value), n.address(address), BigInt(address.length));
  if (done.value === 0) return ok(fd.value);
  closeSync(fd.value);
  return err(ERRNO.get(done.errno) ?? `errno ${done.errno}`);
}

/** Who has connected to a Unix socket, as the kernel noted it then. */
export interface PeerCredentials {
  readonly uid: number;
  /** His group and those besides it. */
  readonly groups: readonly number[];
}

/** The other end of the Unix stream socket `fd` (SO_PEERCRED, SO_PEERGROUPS, see unix(7)). Error: the name of the errno. */
export function peerCredentials(fd: number): Result<PeerCredentials> {
  const n = loadNative();
  if (n === null) return err("ENOSYS");
  const ask = (option: bigint, room: Buffer): Result<number> => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(room.length);
    const done = n.syscall(
      SYS_GETSOCKOPT,
      BigInt(fd),
      SOL_SOCKET,
      option,
      n.address(room),
      n.address(length),
    );
    if (done.value === 0) return ok(length.readUInt32LE());
    return err(done.errno === ENOPROTOOPT ? "ENOPROTOOPT" : (ERRNO.get(done.errno) ?? `errno ${done.errno}`));
  };
  // struct ucred: pid, uid, gid.
  const credentials = Buffer.alloc(12);
  const known = ask(SO_PEERCRED, credentials);
  if (!known.ok) return known;
  const uid = credentials.readUInt32LE(4);
  const gid = credentials.readUInt32LE(8);
  const list = Buffer.alloc(4 * PEER_GROUPS_MAX);
  // Kernels before 4.13 do not know them: his own group has to do.
  const more = ask(SO_PEERGROUPS, list);
  const groups = [gid];
  for (let at = 0; more.ok && at < more.value; at += 4) groups.push(list.readUInt32LE(at));
  return ok({ uid, groups });
}

const ERRNO = new Map<number, string>([
  [1, "EPERM"],
  [2, "ENOENT"],
  [5, "EIO"],
  [6, "ENXIO"],
  [13, "EACCES"],
  [17, "EEXIST"],
  [18, "EXDEV"],
  [20, "ENOTDIR"],
  [21, "EISDIR"],
  [22, "EINVAL"],
  [23, "ENFILE"],
  [24, "EMFILE"],
  [26, "ETXTBSY"],
  [27, "EFBIG"],
  [28, "ENOSPC"],
  [30, "EROFS"],
  [36, "ENAMETOOLONG"],
  [38, "ENOSYS"],
  [40, "ELOOP"],
  [91, "EPROTOTYPE"],
  [111, "ECONNREFUSED"],
  [122, "EDQUOT"],
]);
