// Drivers of the cases that need no session: route, alias, rewrite, relay. Each asks the code that the daemon asks.

import { errorLine } from "../../src/route/answerline.ts";
import { expandRecipient } from "../../src/route/expand.ts";
import { prefixed, resolveRecipient } from "../../src/route/resolve.ts";
import { rewriteAddress } from "../../src/route/rewrite.ts";
import { type AliasCase, plainHost, type RelayCase, type RewriteCase, type RouteCase } from "./cases.ts";
import { forgetful, Talk } from "./conversation.ts";
import type { Opened } from "./site.ts";

export async function route({ site }: Opened, c: RouteCase): Promise<RouteCase["expect"]> {
  const answer = await resolveRecipient(site, c.address);
  if (answer.kind === "route") {
    // For the local mailer the host part is $h, which the record leaves out.
    const local = answer.mailer === site.config.localMailer && c.expect.mailer === answer.mailer;
    const host = local && "host" in c.expect && c.expect.host === "" ? "" : plainHost(answer.host);
    return { mailer: answer.mailer, host, user: answer.user };
  }
  const shown = prefixed(answer.reply, c.address.startsWith("<") ? c.address : `<${c.address}>`);
  return { mailer: "error", code: shown.code, enhanced: shown.enhanced, text: shown.lines.join(" ") };
}

export async function alias({ site }: Opened, c: AliasCase): Promise<AliasCase["expect"]> {
  const answer = await expandRecipient(site, { address: c.address });
  return {
    deliveries: answer.deliveries.map(({ mailer, host, user }) => ({ mailer, host: plainHost(host), user })),
    messages: answer.errors.map(errorLine),
    exit: answer.exit,
  };
}

export async function rewrite({ site }: Opened, c: RewriteCase): Promise<RewriteCase["expect"]> {
  return { address: await rewriteAddress(site, c.mailer, c.which, c.address) };
}

/** The last line of a reply, taken apart. */
function answered(stage: RelayCase["expect"]["stage"], lines: readonly string[]): RelayCase["expect"] {
  const match = /^(\d{3})[ -](?:(\d\.\d{1,3}\.\d{1,3}) )?(.*)$/.exec(lines.at(-1) ?? "");
  return { stage, code: Number(match?.[1] ?? "0"), enhanced: match?.[2] ?? "", text: match?.[3] ?? "" };
}

/** One relay question, asked over a whole session: the first refusal, or the reply to RCPT. */
export async function relay(opened: Opened, c: RelayCase): Promise<RelayCase["expect"]> {
  const talk = new Talk(opened, forgetful, c.client);
  const steps: readonly (readonly [RelayCase["expect"]["stage"], string])[] = [
    ["connect", ""],
    ["helo", `${c.proto === "SMTP" ? "HELO" : "EHLO"} ${c.helo ?? "client.test"}`],
    ["mail", `MAIL FROM:<${c.from}>${c.mailparams ?? ""}`],
    ["rcpt", `RCPT TO:<${c.to}>`],
  ];
  try {
    for (const [stage, command] of steps) {
      if (command !== "") talk.send(`${command}\r\n`);
      const reply = await talk.reply();
      if (stage === "rcpt" || !/^2/.test(reply.at(-1) ?? "")) return answered(stage, reply);
    }
    throw new Error("unreachable");
  } finally {
    talk.close();
  }
}
