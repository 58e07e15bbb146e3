// Local accounts as routing sees them: who has a mailbox, where home is (for .forward), the full name (for VRFY and From);
// and the files that name recipients.

import type { Lookup } from "../base/result.ts";

export interface Account {
  /** Login name as the account file writes it. */
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** GECOS up to the first comma, "&" replaced by the capitalised login. */
  readonly fullName: string;
  readonly home: string;
  readonly shell: string;
}

export interface Accounts {
  /** By login name, exact first, then without case. */
  find(name: string): Lookup<Account>;
}

/**
 * The user whose word a file of recipients is (Sendmail's controlling address): what it names is read, run and written only as far as he
 * might do so himself.
 */
export type Controller = Pick<Account, "name" | "uid" | "gid" | "shell">;

/** The contents of a file of recipients, or why it is not read. */
export type RecipientFile =
  | {
      readonly kind: "found";
      readonly text: string;
      readonly unsafe: boolean;
      /** null: root's or the gateway's own, which may name what aliases may name. */
      readonly controller: Controller | null;
    }
  | { readonly kind: "absent"; readonly reason: string }
  /** Refused or unreadable: `reason` is errno text ("No such file or directory") or the safety rule broken ("Group writable file"). */
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "tempfail"; readonly reason: string };

/** Files that name recipients, behind the safety rules of safefile/. */
export interface RecipientFiles {
  /** An :include: file, named by a file of `controller`; null: by an alias. */
  include(path: string, controller: Controller | null): RecipientFile;
  /** A .forward file that must belong to `account` or root. */
  forward(path: string, account: Account): RecipientFile;
  /** Is `shell` one of /etc/shells (or SENDMAIL/ANY/SHELL there)? Programs and files in a .forward need it. */
  validShell(shell: string): boolean;
}
