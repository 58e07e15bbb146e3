// LMTP (RFC 2033) to a Unix socket (A=FILE path) or a host (A=TCP host port): LHLO,
// and an answer of its own for each recipient.

import { HostMailer } from "./hostmailer.ts";
import type { Factory } from "./shared.ts";

export const makeLmtp: Factory = (spec, needs, shared) => new HostMailer(needs, spec, shared, true);
