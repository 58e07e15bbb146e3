// Warnings about certificates that end soon or have ended, for the log and the console.
// On an untrusted clock nothing is said: 1970 would call everything fine, a wrong 2099 everything dead.

import { CERTIFICATE_FILE_BYTES_MAX } from "../base/limits.ts";
import { readCertificate, type X509Certificate } from "../sys/crypto.ts";
import { readBoundedFile } from "../sys/files.ts";

const DAY_MS = 86_400_000;
/** Days before the end at which warnings begin. */
export const EXPIRY_WARNING_DAYS = 30;

/** The time of a warning: wall clock in milliseconds, and whether it has been set since boot. */
export interface Now {
  readonly ms: number;
  readonly trusted: boolean;
}

/** A certificate as it was read from `file`. */
export interface Dated {
  readonly file: string;
  readonly certificate: Pick<X509Certificate, "validFromDate" | "validToDate">;
}

/** One line for each certificate that is not valid now or ends within `days`. */
export function validityWarnings(
  certificates: readonly Dated[],
  now: Now,
  days: number = EXPIRY_WARNING_DAYS,
): readonly string[] {
  if (!now.trusted) return [];
  const lines: string[] = [];
  for (const { file, certificate } of certificates) {
    const from = certificate.validFromDate.getTime();
    const to = certificate.validToDate.getTime();
    const day = new Date(to).toISOString().slice(0, 10);
    if (now.ms > to) lines.push(`certificate ${file} expired on ${day}`);
    else if (now.ms < from)
      lines.push(`certificate ${file} is not valid before ${new Date(from).toISOString()}`);
    else if (to - now.ms < days * DAY_MS)
      lines.push(`certificate ${file} expires on ${day}, in ${Math.floor((to - now.ms) / DAY_MS)} days`);
  }
  return lines;
}

/** The same for the first certificate of each file. Unreadable files are another's business. */
export function expiryWarnings(
  files: readonly string[],
  now: Now,
  days: number = EXPIRY_WARNING_DAYS,
): readonly string[] {
  const dated: Dated[] = [];
  for (const file of new Set(files.filter((name) => name !== ""))) {
    const bytes = readBoundedFile(file, CERTIFICATE_FILE_BYTES_MAX);
    const certificate = bytes.kind === "found" ? readCertificate(bytes.value) : null;
    if (certificate?.ok === true) dated.push({ file, certificate: certificate.value });
  }
  return validityWarnings(dated, now, days);
}
