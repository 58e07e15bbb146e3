// What a handshake proved, in the words of Sendmail's macros: ${tls_version} ${cipher} ${cipher_bits} ${verify} ${cert_subject} ...
// A certificate that an untrusted clock takes for not yet (or no longer) valid is "TEMP": rules then defer, they never condemn.

import { namesHost } from "../sys/crypto.ts";
import { peerVerifyError, type TLSSocket } from "../sys/tls.ts";
import { certificateNames } from "./distinguished.ts";

export interface TlsFacts {
  /** "TLSv1.3" */
  readonly version: string;
  /** OpenSSL's name. */
  readonly cipher: string;
  readonly bits: number;
  /** OK: verified. NO: none was shown. NOT: none was asked for. FAIL: does not verify. TEMP: cannot be judged by this clock. */
  readonly verify: string;
  /** OpenSSL's code when verify is FAIL or TEMP, else "". */
  readonly verifyError: string;
  readonly certIssuer: string;
  readonly certSubject: string;
  readonly cnIssuer: string;
  readonly cnSubject: string;
  /** SHA-256 of the certificate, hex with colons; "" without one. */
  readonly fingerprint: string;
  /** Serial number of the certificate, hex; "" without one. */
  readonly serial: string;
  /** Does the certificate name the host that we meant? False without one. Clients only. */
  readonly nameMatches: boolean;
  readonly resumed: boolean;
}

/** Codes that only say what time it is. */
const TIME_CODES: ReadonlySet<string> = new Set([
  "CERT_NOT_YET_VALID",
  "CERT_HAS_EXPIRED",
  "CRL_NOT_YET_VALID",
  "CRL_HAS_EXPIRED",
]);

/** Strength of a cipher in bits, from OpenSSL's name. */
export function cipherBits(name: string): number {
  if (/CHACHA20|AES_?256|CAMELLIA_?256|ARIA_?256/.test(name)) return 256;
  if (/3DES|DES-CBC3/.test(name)) return 112;
  if (/AES_?128|CAMELLIA_?128|ARIA_?128|RC4|SEED|IDEA|\bCCM/.test(name)) return 128;
  return /DES|EXP/.test(name) ? 56 : 0;
}

/** The facts of an established connection. `meant`: the host a client wanted; "" on a server. */
export function factsOf(
  socket: TLSSocket,
  options: { readonly requested: boolean; readonly clockTrusted: boolean; readonly meant: string },
): TlsFacts {
  const cipher = socket.getCipher().name;
  const certificate = socket.getPeerX509Certificate();
  const common = {
    version: socket.getProtocol() ?? "",
    cipher,
    bits: cipherBits(cipher),
    resumed: socket.isSessionReused(),
  };
  if (certificate === undefined) {
    return {
      ...common,
      verify: options.requested ? "NO" : "NOT",
      verifyError: "",
      certIssuer: "",
      certSubject: "",
      cnIssuer: "",
      cnSubject: "",
      fingerprint: "",
      serial: "",
      nameMatches: false,
    };
  }
  const verifyError = peerVerifyError(socket);
  const names = certificateNames(certificate.raw);
  const undecided = TIME_CODES.has(verifyError) && !options.clockTrusted;
  return {
    ...common,
    verify: verifyError === "" ? "OK" : undecided ? "TEMP" : "FAIL",
    verifyError,
    certIssuer: names.issuer.line,
    certSubject: names.subject.line,
    cnIssuer: names.issuer.commonName,
    cnSubject: names.subject.commonName,
    fingerprint: certificate.fingerprint256,
    serial: certificate.serialNumber,
    nameMatches: options.meant !== "" && namesHost(certificate, options.meant),
  };
}
