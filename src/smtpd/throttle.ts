// Commands that a client has no reason to repeat cost time when it does (Sendmail's checksmtpattack(): NOOP, HELO, VRFY, ETRN).
// From the limit on each reply waits twice as long as the one before, up to four minutes; a client that goes on for fifty of them has had enough chances.

import {
  BAD_COMMANDS_MAX,
  ETRN_COMMANDS_MAX,
  HELO_COMMANDS_MAX,
  THROTTLE_MS_MAX,
  VRFY_COMMANDS_MAX,
} from "../base/limits.ts";

export type ThrottleName = "noop" | "helo" | "verify" | "etrn";

export class Throttle {
  readonly #limits: Readonly<Record<ThrottleName, number>>;
  #counts: Record<ThrottleName, number> = { noop: 0, helo: 0, verify: 0, etrn: 0 };

  /** `noopMax`: MaxNOOPCommands, 0: no limit. */
  constructor(noopMax: number) {
    this.#limits = {
      noop: noopMax,
      helo: HELO_COMMANDS_MAX,
      verify: VRFY_COMMANDS_MAX,
      etrn: ETRN_COMMANDS_MAX,
    };
  }

  /** Counts one command: milliseconds to wait before its reply, or "stop" when the client has had enough chances. */
  count(name: ThrottleName): number | "stop" {
    const max = this.#limits[name];
    const count = ++this.#counts[name];
    if (max <= 0 || count < max) return 0;
    if (count >= Math.max(2 * max, 2 * BAD_COMMANDS_MAX)) return "stop";
    return Math.min(1000 * 2 ** Math.min(count - max, 20), THROTTLE_MS_MAX);
  }

  /** True for the one count that is worth a log line. */
  reached(name: ThrottleName): boolean {
    return this.#counts[name] === this.#limits[name];
  }

  of(name: ThrottleName): number {
    return this.#counts[name];
  }

  reset(name: ThrottleName): void {
    this.#counts[name] = 0;
  }
}
