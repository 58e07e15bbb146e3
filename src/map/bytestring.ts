// Byte strings: keys and values of tables are JavaScript strings of one character per byte (latin1), so that whatever
// bytes a source holds come out as they went in. Case folding is ASCII only (house rule 8), as Sendmail's makelower.

/** Bytes as a byte string. */
export function fromBytes(bytes: Buffer): string {
  return bytes.toString("latin1");
}

/** A byte string as bytes. Text with characters beyond U+00FF cannot be a byte string and is encoded as UTF-8. */
export function toBytes(text: string): Buffer {
  return isByteString(text) ? Buffer.from(text, "latin1") : Buffer.from(text, "utf8");
}

/** The byte string of `text`: itself, or its UTF-8 bytes when it holds characters beyond U+00FF. */
export function byteString(text: string): string {
  return isByteString(text) ? text : fromBytes(Buffer.from(text, "utf8"));
}

function isByteString(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0xff) return false;
  return true;
}

/** ASCII capitals to small letters, every other character as it is. */
export function foldCase(text: string): string {
  return /[A-Z]/.test(text) ? text.replace(/[A-Z]+/g, (capitals) => capitals.toLowerCase()) : text;
}

/** The byte string of text as people type it (UTF-8). */
export function fromText(text: string): string {
  return fromBytes(Buffer.from(text, "utf8"));
}

/** A byte string as text for people: its bytes read as UTF-8, what is not UTF-8 shown as U+FFFD. */
export function asText(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString("utf8");
}
