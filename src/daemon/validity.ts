// Certificates that end: said at start by those who read them, and here once a day while the gateway runs, so that an appliance that
// nobody restarts says so before its TLS stops. A clock that was not set at start is looked at each hour until it is.

import type { Clock } from "../sys/clock.ts";
import type { Log } from "../sys/log.ts";

const LOOK_MS = 3_600_000;
const DAY_MS = 24 * LOOK_MS;

/** One side of TLS, as far as its certificates can end. */
export interface Ending {
  readonly side: "server" | "client";
  /** Looks at the files again. */
  refresh(): boolean;
  /** What there is to say about the certificates in use, one line each. */
  warnings(): readonly string[];
}

/**
 * Logs the warnings of `sides` once a day; `clockTrusted` tells whether wall time has been set. The result ends it.
 */
export function watchValidity(
  clock: Clock,
  log: Log,
  clockTrusted: () => boolean,
  sides: () => readonly Ending[],
): () => void {
  // With a trusted clock the start has said it.
  let saidMs = clockTrusted() ? clock.monotonicMs() : null;
  let cancel = (): void => undefined;
  const look = (): void => {
    const now = clock.monotonicMs();
    if (clockTrusted() && (saidMs === null || now - saidMs >= DAY_MS)) {
      saidMs = now;
      for (const side of sides()) {
        // Somebody may have renewed them since the last handshake.
        side.refresh();
        for (const warning of side.warnings()) log.line(5, `STARTTLS=${side.side}: ${warning}`);
      }
    }
    cancel = clock.after(LOOK_MS, look);
  };
  cancel = clock.after(LOOK_MS, look);
  return () => cancel();
}
