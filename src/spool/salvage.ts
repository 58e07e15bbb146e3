// A message out of quarantined bytes, when enough of it can be read: the administrator's choice to send it after all
// (reliability.md CR-06). The checksum is known to be wrong or missing, so nothing of this happens by itself, and nothing is proved of such a body.

import type { Envelope } from "../mail/envelope.ts";
import { ACCEPT_FIXED_BYTES, decodeAccept, decodeEnvelope } from "./codec.ts";
import type { Placement } from "./entry.ts";
import type { BodyForm } from "./mailer.ts";
import { RECORD, RECORD_HEAD_BYTES, RECORD_TYPE_AT } from "./record.ts";

/** Where the parts of a large message lie in its file. */
export type FilePlace = Omit<Placement, "location">;

/** A message that was whole in its record, or the place of one in a file of its own. */
export type Salvaged =
  | {
      readonly kind: "whole";
      readonly envelope: Envelope;
      readonly header: Buffer;
      readonly body: Buffer;
      readonly form: BodyForm;
    }
  | { readonly kind: "file"; readonly place: FilePlace };

/** The message in `bytes`, a whole record or only its payload; null when it cannot be read. */
export function salvage(bytes: Buffer): Salvaged | null {
  return salvagePayload(bytes.subarray(RECORD_HEAD_BYTES)) ?? salvagePayload(bytes);
}

/** The number of the file that a damaged record points to, 0 when it points to none or its type is another. */
export function slotIn(bytes: Buffer): number {
  if (bytes.length < RECORD_HEAD_BYTES || bytes.readUInt8(RECORD_TYPE_AT) !== RECORD.accept) return 0;
  const saved = salvagePayload(bytes.subarray(RECORD_HEAD_BYTES));
  return saved?.kind === "file" ? saved.place.slot : 0;
}

function salvagePayload(payload: Buffer): Salvaged | null {
  if (payload.length < ACCEPT_FIXED_BYTES) return null;
  const alone = decodeAccept(payload.subarray(0, ACCEPT_FIXED_BYTES));
  if (alone.ok && alone.value.place.inFile) return { kind: "file", place: alone.value.place };
  // Behind the payload lie the end mark and padding: its length follows from its parts.
  const wanted =
    ACCEPT_FIXED_BYTES + payload.readUInt32LE(32) + payload.readUInt32LE(36) + payload.readDoubleLE(40);
  if (!(wanted <= payload.length)) return null;
  const facts = decodeAccept(payload.subarray(0, wanted));
  if (!facts.ok || facts.value.place.inFile) return null;
  const { envelopeBytes, headerBytes, bodyBytes, eightBit } = facts.value.place;
  const atHeader = ACCEPT_FIXED_BYTES + envelopeBytes;
  const envelope = decodeEnvelope(payload.subarray(ACCEPT_FIXED_BYTES, atHeader));
  if (!envelope.ok) return null;
  const atBody = atHeader + headerBytes;
  return {
    kind: "whole",
    envelope: envelope.value,
    header: Buffer.from(payload.subarray(atHeader, atBody)),
    body: Buffer.from(payload.subarray(atBody, atBody + bodyBytes)),
    form: { eightBit, lineMax: 0 },
  };
}
