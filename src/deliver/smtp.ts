// The mailers smtp, esmtp, smtp8, dsmtp and relay (RFC 5321).
// They differ in flags only (a: EHLO at once, 8: 8-bit unasked).

import { HostMailer } from "./hostmailer.ts";
import type { Factory } from "./shared.ts";

export const makeSmtp: Factory = (spec, needs, shared) => new HostMailer(needs, spec, shared);
