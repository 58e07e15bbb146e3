// route/ as the spool and the SMTP server ask it: expansion for the queue, the RCPT check and VRFY/EXPN for sessions.
// Only shapes change here; every decision is route/'s.

import { reply } from "../mail/reply.ts";
import { checkCompat } from "../policy/compat.ts";
import { discreet } from "../route/answerline.ts";
import { expandRecipient, verifyRecipient } from "../route/expand.ts";
import { hostSignature } from "../route/mx.ts";
import { hasFlag, prefixed, recipientRefusal, senderFullName, senderRefusal } from "../route/resolve.ts";
import type { Trace } from "../route/run.ts";
import type { Site } from "../route/site.ts";
import type { Routes, VerifiedAddress } from "../smtpd/service.ts";
import type { RoutedDelivery, RoutedError, Router } from "../spool/router.ts";

/** Codes of a reply that will be another one later. */
function temporary(code: number): boolean {
  return code >= 400 && code < 500;
}

/** The spool's Router over a site. `site()` is asked each time, so that a reload is seen by mail that waits. `trace` hears each rule. */
export function makeRouter(site: () => Site, trace?: Trace): Router {
  return {
    async expand(recipient, sender) {
      const expansion = await expandRecipient(site(), recipient, { trace });
      const waiting = expansion.deliveries.filter((d) => d.wait !== "");
      const errors: RoutedError[] = expansion.errors.map(discreet).map((e) => ({
        permanent: !temporary(e.reply.code),
        address: e.address === "" ? recipient.address : e.address,
        via: e.via,
        status: e.reply.enhanced === "" ? "5.0.0" : e.reply.enhanced,
        text: e.reply.lines.join(" "),
        diagnostic: `${e.reply.code} ${e.reply.enhanced} ${prefixed(e.reply, `<${e.address}>`).lines.join(" ")}`,
      }));
      for (const d of waiting)
        errors.push({
          permanent: false,
          address: d.address,
          via: d.via,
          status: "4.4.3",
          text: d.wait,
          diagnostic: `451 4.4.3 ${d.wait}`,
        });
      const refused = new Set<string>();
      const dropped = new Set<string>();
      for (const d of expansion.deliveries) {
        const compat = checkCompat(site(), sender, d.address.replace(/^<|>$/g, ""));
        if (compat.kind === "discard") dropped.add(d.address);
        if (compat.kind !== "refuse") continue;
        refused.add(d.address);
        const [text = ""] = compat.reply.lines;
        errors.push({
          permanent: !temporary(compat.reply.code),
          address: d.address,
          via: d.via,
          status: compat.reply.enhanced,
          text,
          diagnostic: `${compat.reply.code} ${compat.reply.enhanced} ${text}`,
        });
      }
      const several = expansion.deliveries.length + expansion.errors.length > 1;
      const deliveries = expansion.deliveries
        .filter((d) => d.wait === "" && !refused.has(d.address))
        .map((d) => ({
          // What compat_check discards goes nowhere, without a word to anybody.
          mailer: dropped.has(d.address) ? "discard" : d.mailer,
          host: d.host,
          user: d.user,
          address: d.address,
          via: d.via,
          sender: d.sender ?? sender,
          ...(d.sender !== null
            ? { member: "list" as const }
            : several && d.via !== ""
              ? { member: "alias" as const }
              : {}),
          unsafe: d.unsafe,
          ...(d.notify === undefined ? {} : { notify: d.notify }),
          ...(d.orcpt === undefined ? {} : { orcpt: d.orcpt }),
        }));
      const expanded = expansion.deliveries.some((d) => d.sender !== null);
      return { deliveries: await Promise.all(deliveries.map((d) => signed(site(), d))), errors, expanded };
    },
  };
}

/** The delivery with its host's signature, where a mailer looks hosts up in DNS. */
async function signed(site: Site, delivery: RoutedDelivery): Promise<RoutedDelivery> {
  const spec = site.mailers.get(delivery.mailer);
  if (spec === undefined || spec.kind !== "smtp") return delivery;
  return { ...delivery, signature: await hostSignature(site, delivery.host, !spec.flags.includes("0")) };
}

/** What sessions ask of routing. */
export function makeRoutes(site: () => Site): Routes {
  return {
    async check(address, typed) {
      const verdict = await verifyRecipient(site(), address, typed);
      if (verdict.kind === "refused") return verdict;
      if (verdict.kind === "queued") return { kind: "ok", willQueue: true };
      return { kind: "ok", willQueue: false, target: verdict.target };
    },
    async refusal(typed, side) {
      const problem = await (side === "sender" ? senderRefusal : recipientRefusal)(site(), typed);
      return problem === null ? null : prefixed(problem, typed);
    },
    fullName: (sender) => senderFullName(site(), sender),
    async verify(argument, expand) {
      const now = site();
      const entry = (mailer: string, user: string): VerifiedAddress => {
        const local = hasFlag(now, mailer, "l");
        // VRFY stops at the alias, before anybody has looked for an account.
        const aliased = !expand && local && now.aliases?.lookup(user).kind === "found";
        const account = local && !aliased ? now.accounts.find(user.replace(/^\\/, "")) : undefined;
        return { user, fullName: account?.kind === "found" ? account.value.fullName : "", local };
      };
      // VRFY names the address itself: aliases stay closed (Sendmail's EF_VRFYONLY).
      const expansion = await expandRecipient(now, { address: argument }, { shallow: !expand });
      const entries = expansion.deliveries.map((d) => entry(d.mailer, d.user));
      const refusal = expansion.errors[0]?.reply ?? reply(550, "5.1.1", "User unknown");
      return entries.length > 0
        ? { kind: "found", entries }
        : { kind: "refused", reply: prefixed(refusal, argument) };
    },
  };
}
