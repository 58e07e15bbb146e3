// What a session takes from the configuration, read once per Service: privacy flags as booleans, limits as numbers, the texts that
// never change as bytes. Nothing here depends on the client.

import type { Configuration } from "../config/configuration.ts";

export interface Settings {
  readonly privacy: ReadonlySet<string>;
  readonly sizeMax: number;
  readonly headerMax: number;
  readonly recipientsMax: number;
  readonly hopsMax: number;
  readonly noopMax: number;
  readonly badRcptThrottle: number;
  readonly bogusHelo: boolean;
  readonly commandTimeoutMs: number;
  readonly dataTimeoutMs: number;
  readonly authTimeoutMs: number;
  readonly tlsTimeoutMs: number;
  /** Seconds; below 0 DELIVERBY is off. */
  readonly deliverByMin: number;
  readonly smtpUtf8: boolean;
  readonly requireTls: boolean;
  readonly requestClientCert: boolean;
  /** EightBitMode strict: 8-bit bytes only when BODY=8BITMIME was declared. */
  readonly strictEightBit: boolean;
  /** SevenBitInput: the eighth bit of message data is taken off. */
  readonly sevenBit: boolean;
  readonly greeting: string;
}

export function settingsOf(config: Configuration): Settings {
  const o = config.options;
  return {
    privacy: new Set(o.PrivacyOptions),
    sizeMax: o.MaxMessageSize,
    headerMax: o.MaxHeadersLength,
    recipientsMax: o.MaxRecipientsPerMessage,
    hopsMax: o.MaxHopCount,
    noopMax: o.MaxNOOPCommands,
    badRcptThrottle: o.BadRcptThrottle,
    bogusHelo: o.AllowBogusHELO,
    commandTimeoutMs: o["Timeout.command"],
    dataTimeoutMs: o["Timeout.datablock"],
    authTimeoutMs: o["Timeout.auth"],
    tlsTimeoutMs: o["Timeout.starttls"],
    deliverByMin: Math.ceil(o.DeliverByMin / 1000),
    smtpUtf8: o.SMTPUTF8,
    requireTls: o.RequireTLS,
    requestClientCert: !o.TLSSrvOptions.includes("V"),
    strictEightBit: o.EightBitMode === "strict",
    sevenBit: o.SevenBitInput,
    greeting: o.SmtpGreetingMessage,
  };
}
