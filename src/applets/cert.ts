// postern cert: the small certificate authority of the appliance. The work is in tls/clerk.ts and tls/authority.ts.
// What it makes passes openssl verify and loads in other mail programs.

import { notInBuild } from "../base/build.ts";
import { systemClock } from "../sys/clock.ts";
import { systemEntropy } from "../sys/entropy.ts";
import { absolutePath } from "../sys/path.ts";
import { AUTHORITIES } from "../tls/registry.ts";
import { type Applet, EX } from "./applet.ts";

const CERTIFICATES = "/etc/mail/certs";

export const cert: Applet = {
  names: ["cert"],
  summary: "a small certificate authority",
  help: `usage: postern cert ca init [--name NAME] [--org ORG] [--country CC] [--days N] [--bits N]
       postern cert ca issue NAME [--server|--client] [--alt NAME]... [--days N] [--bits N] [--out DIR]
       postern cert ca csr NAME [--alt NAME]... [--org ORG] [--country CC] [--out DIR]
       postern cert ca sign FILE.csr [--server|--client] [--alt NAME]... [--days N] [--out FILE]
       postern cert ca renew NAME|SERIAL [--days N] [--out DIR]
       postern cert ca revoke NAME|SERIAL [--reason REASON]
       postern cert ca crl [--days N]
       postern cert ca show [NAME|SERIAL] [--json]
       postern cert ca export NAME|SERIAL [--key FILE] [--legacy] [--out FILE.p12]

Every command takes --dir DIR, the folder of the authority (default /etc/mail/certs/ca): cacert.pem,
cakey.pem, crl.pem, ca.json and a copy of every certificate issued. Keep cakey.pem off the gateway
when you can.

  init     makes the authority: confCACERT is its cacert.pem, confCRL its crl.pem
  issue    makes a key and a certificate, NAME.key (0600) and NAME.pem in DIR (default
           /etc/mail/certs). NAME is a host name, or a mail address or user for a client
           certificate. --alt adds names: DNS:host, IP:address, email:address
  csr      makes a key and a request for another authority
  sign     issues a certificate for a request made elsewhere (RSA, 2048 bits or more); of the
           request only key, common name and alternative names are taken
  renew    issues again for the same key and names
  revoke   revokes and writes crl.pem; a running gateway refuses the certificate from then on.
           REASON: unspecified keyCompromise affiliationChanged superseded
           cessationOfOperation privilegeWithdrawn
  crl      writes crl.pem anew; it is valid as long as the authority, or N days
  show     lists what was issued
  export   key and certificates as PKCS#12 for a mail client; the password is asked twice.
           --key FILE: when NAME.key is not in /etc/mail/certs
           --legacy: triple DES for old programs

Certificates are RSA and valid for 825 days unless --days says otherwise, the authority for 3650.
There is no passphrase on keys: a gateway that starts alone cannot be asked for one.

exit status: 0; 64 usage; 70 it did not work, the reason is on standard error.
`,
  async run(args, io) {
    const clerk = await AUTHORITIES[0]?.();
    if (clerk === undefined) {
      io.err(`postern cert: ${notInBuild("the certificate authority")}\n`);
      return EX.UNAVAILABLE;
    }
    const words = clerk.parseCertWords(args);
    if (!words.ok) {
      io.err(`postern cert: ${words.error}\n${cert.help.split("\n\n")[0]}\n`);
      return EX.USAGE;
    }
    const values = new Map(
      [...words.value.values].map(([k, v]) => [
        k,
        ["dir", "out", "key"].includes(k) ? absolutePath(io.cwd, v) : v,
      ]),
    );
    const done = await clerk.runCert(
      { ...words.value, values },
      {
        folder: `${CERTIFICATES}/ca`,
        out: CERTIFICATES,
        nowMs: systemClock.wallMs(),
        entropy: systemEntropy,
        ask: (prompt) => io.askSecret(prompt),
      },
    );
    if (done.ok) {
      io.out(done.value);
      return EX.OK;
    }
    io.err(`postern cert: ${done.error.text}\n${done.error.usage ? `${cert.help.split("\n\n")[0]}\n` : ""}`);
    return done.error.usage ? EX.USAGE : EX.SOFTWARE;
  },
};
