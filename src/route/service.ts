// Routing as the rest of the program asks for it: smtpd/ wants checks of recipients and VRFY, the spool wants expansions. Plain objects
// over one site; daemon/ hands them on. Their shapes match smtpd/service.ts (Routes) and spool/router.ts (Router).

import type { Recipient } from "../mail/envelope.ts";
import { formatReply, type Reply } from "../mail/reply.ts";
import { type Delivery, type ExpansionError, expandRecipient, verifyRecipient } from "./expand.ts";
import { hasFlag, prefixed } from "./resolve.ts";
import type { Site } from "./site.ts";

/** One line of a VRFY or EXPN answer. */
export interface VerifiedEntry {
  /** User part of the resolved triple. */
  readonly user: string;
  readonly fullName: string;
  readonly local: boolean;
}

export type CheckAnswer =
  | { readonly kind: "ok"; readonly willQueue: boolean }
  | { readonly kind: "refused"; readonly reply: Reply };

export type VerifyAnswer =
  | { readonly kind: "found"; readonly entries: readonly VerifiedEntry[] }
  | { readonly kind: "refused"; readonly reply: Reply };

/** Lines of one EXPN answer. */
const EXPN_LINES_MAX = 1000;

function entryOf(site: Site, delivery: Delivery): VerifiedEntry {
  const local = hasFlag(site, delivery.mailer, "l");
  const account = local ? site.accounts.find(delivery.user.replace(/["\\]/g, "")) : null;
  return {
    user: delivery.user,
    fullName: account?.kind === "found" ? account.value.fullName : "",
    local,
  };
}

/** What smtpd/ asks. Replies come with their `<address>... ` prefix. */
export function makeRoutes(site: Site) {
  return {
    /** After check_rcpt has passed: parse errors, users, what must wait for DNS. */
    async check(address: string, typed: string): Promise<CheckAnswer> {
      const answer = await verifyRecipient(site, address, typed);
      if (answer.kind === "refused") return answer;
      return { kind: "ok", willQueue: answer.kind === "queued" };
    },
    /** VRFY (`expand` false) and EXPN (true). */
    async verify(argument: string, expand: boolean): Promise<VerifyAnswer> {
      const answer = await expandRecipient(site, { address: argument }, { shallow: !expand });
      const problem = answer.errors[0];
      if (answer.deliveries.length === 0 && problem !== undefined)
        return { kind: "refused", reply: prefixed(problem.reply, problem.address || argument) };
      const entries = answer.deliveries.slice(0, EXPN_LINES_MAX).map((delivery) => entryOf(site, delivery));
      return { kind: "found", entries };
    },
  };
}

/** A final delivery as the spool keeps it. */
export interface SpoolDelivery {
  readonly mailer: string;
  readonly host: string;
  readonly user: string;
  readonly address: string;
  readonly via: string;
  readonly sender: string;
  readonly unsafe: boolean;
}

export interface SpoolError {
  readonly permanent: boolean;
  readonly address: string;
  readonly via: string;
  readonly status: string;
  readonly text: string;
  readonly diagnostic: string;
}

function errorOf(error: ExpansionError): SpoolError {
  const shown = prefixed(error.reply, error.address === "" ? "" : `<${error.address}>`);
  return {
    permanent: error.reply.code >= 500,
    address: error.address,
    via: error.via,
    status: error.reply.enhanced,
    text: error.reply.lines.join(" "),
    diagnostic: formatReply(shown).trimEnd(),
  };
}

function waiting(delivery: Delivery): SpoolError {
  return {
    permanent: false,
    address: delivery.address,
    via: delivery.via,
    status: "4.4.3",
    text: "Deferred: Transient parse error -- message queued for future delivery",
    diagnostic: `451 4.4.3 ${delivery.wait}`,
  };
}

/** What the spool asks. A recipient whose routing could not be decided now is an error that is not permanent. */
export function makeRouter(site: Site) {
  return {
    async expand(
      recipient: Recipient,
      sender: string,
    ): Promise<{ deliveries: SpoolDelivery[]; errors: SpoolError[]; expanded: boolean }> {
      const answer = await expandRecipient(site, { address: recipient.address });
      const errors = [
        ...answer.errors.map(errorOf),
        ...answer.deliveries.filter((delivery) => delivery.wait !== "").map(waiting),
      ];
      const late = errors.filter((error) => !error.permanent);
      // All or nothing: the next run expands the recipient again, and nobody may get the message twice.
      if (late.length > 0) return { deliveries: [], errors: late, expanded: false };
      const deliveries = answer.deliveries.map(
        ({ mailer, host, user, address, via, unsafe, sender: owner }) => ({
          mailer,
          host,
          user,
          address,
          via,
          unsafe,
          sender: owner === null || sender === "" ? sender : owner,
        }),
      );
      return {
        deliveries,
        errors,
        expanded: answer.deliveries.some((delivery) => delivery.sender !== null),
      };
    },
  };
}
