// Dates of mail as Sendmail's arpadate() writes them: RFC 5322 3.3 with "GMT" for UTC, else the numeric offset and the zone's name.
// Pure: the time comes in as wall-clock milliseconds (which may be wrong: see house rule 10), the zone is the system's.

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function two(n: number): string {
  return n < 10 ? `0${n}` : String(n);
}

/** Short zone name ("CET") of that moment; "" when the system knows none but an offset. */
function zoneName(date: Date): string {
  const match = /\(([^)]*)\)$/.exec(date.toString());
  const long = match?.[1] ?? "";
  const short = long.includes(" ")
    ? long
        .split(" ")
        .map((word) => word[0] ?? "")
        .join("")
    : long;
  return /^[A-Z]{2,6}$/.test(short) ? short : "";
}

/** The zone of a moment as a date ends with it: `GMT`, or `+0100 (CET)`. */
export function zoneText(wallMs: number): string {
  const date = new Date(wallMs);
  const east = -date.getTimezoneOffset();
  const sign = east < 0 ? "-" : "+";
  const offset = `${sign}${two(Math.floor(Math.abs(east) / 60))}${two(Math.abs(east) % 60)}`;
  const name = east === 0 ? "" : zoneName(date);
  return east === 0 ? "GMT" : name === "" ? offset : `${offset} (${name})`;
}

/** `Sun, 22 Nov 2026 06:43:12 GMT`, or `... +0100 (CET)` in other zones. */
export function formatDate(wallMs: number): string {
  const date = new Date(wallMs);
  return (
    `${DAYS[date.getDay()]}, ${date.getDate()} ${MONTHS[date.getMonth()]} ${date.getFullYear()} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())} ${zoneText(wallMs)}`
  );
}
