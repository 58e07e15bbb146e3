// A trace for people: what was asked, what was found, what would be sent. One fact a line, so that it can be read aloud on the phone.
// Everything that came from outside is printed without control bytes.

import { printable } from "../sys/log.ts";
import type { HistoryEvent } from "./statistics.ts";
import type { Finding } from "./tracedsite.ts";
import type { TraceDelivery, TraceReport } from "./tracing.ts";

function findingLine(f: Finding): string {
  const arrow = f.value === "" ? "" : ` -> ${f.value}`;
  const key = f.key === "" ? "" : ` ${f.key}`;
  const text =
    f.text === "" ? "" : ` ${key === "" && arrow === "" ? "" : ": "}${f.text}`.replace(" : ", ": ");
  const place = f.place === "" ? "" : `   (${f.place})`;
  return `    ${f.rule}${key}${arrow}${text}${place}`;
}

function deliveryLines(d: TraceDelivery, number: number): string[] {
  const host = d.host === "" ? "" : `, host ${d.host}`;
  const via = d.via === "" ? "" : `   (from ${d.via})`;
  const lines = [`delivery ${number}: mailer ${d.mailer}${host}, user ${d.user}${via}`];
  lines.push(...d.findings.map(findingLine));
  for (const hop of d.hops) {
    lines.push(
      `  host ${hop.host}${hop.address === "" ? "" : ` [${hop.address}]`}${hop.port === 0 ? "" : ` port ${hop.port}`}`,
    );
    lines.push(`    STARTTLS: ${hop.tls}`, `    AUTH: ${hop.auth}`);
    lines.push(...hop.commands.map((command) => `    >>> ${command}`));
    const header = hop.data.split("\r\n\r\n")[0] ?? "";
    if (header !== "") lines.push(...header.split("\r\n").map((field) => `        ${field}`));
  }
  if (d.action !== "") lines.push(`  ${d.action}`);
  if (d.written !== "")
    lines.push(
      ...d.written
        .trimEnd()
        .split("\r\n")
        .map((field) => `        ${field}`),
    );
  lines.push(`  => ${d.outcome}`);
  return lines;
}

export function formatTrace(report: TraceReport): string {
  const { question } = report;
  const lines = [
    `client     ${question.client === "" ? "this machine" : question.client} (${report.clientName})`,
    `sender     <${question.sender}>`,
    `recipient  <${question.recipient}>`,
    "",
  ];
  for (const { stage, findings, answer } of report.stages) {
    if (stage === "route" && !report.accepted) lines.push("(refused in the session; were it accepted:)");
    lines.push(stage, ...findings.map(findingLine), `  => ${answer}`);
  }
  report.deliveries.forEach((delivery, i) => {
    lines.push(...deliveryLines(delivery, i + 1));
  });
  for (const error of report.errors) lines.push(`error: ${error}`);
  return `${lines.map(printable).join("\n")}\n`;
}

const two = (n: number): string => String(n).padStart(2, "0");

/** `2026-11-22 06:43:12`, local time. */
export function timeText(wallMs: number): string {
  const d = new Date(wallMs);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

/** The life of a message, oldest event first. */
export function formatHistory(events: readonly HistoryEvent[]): string {
  return events
    .map((e) => {
      const to = e.recipient === "" ? "" : ` <${e.recipient}>`;
      const status = e.status === "" ? "" : ` ${e.status}`;
      return `${printable(`${timeText(e.wallMs)}  ${e.id}  ${e.result}${to}  ${e.mailer}${status}  ${e.text}`)}\n`;
    })
    .join("");
}
