// Runs the transcripts (*.txt) of this folder: dialogs as data, one runner. Where a transcript says so it was recorded from Sendmail
// 8.17.1; host names are ours. Lines: `== name` begins a dialog, `option NAME VALUE` and `refuse QUESTION CODE ENHANCED TEXT` set
// the stage, `C: ` is what the client sends (CRLF is added; \r \n \0 \t \xHH are escapes; `C. ` adds nothing), `S: ` what it is told,
// `EOF` that the server closes.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { defaultOptions, type Options, setOption } from "../../src/config/options.ts";
import { reply } from "../../src/mail/reply.ts";
import type { Policy, Verdict } from "../../src/policy/policy.ts";
import { systemClock } from "../../src/sys/clock.ts";
import { makeStage } from "./stage.ts";

interface Dialog {
  readonly name: string;
  readonly set: string[];
  readonly lines: string[];
}

function dialogsOf(text: string): Dialog[] {
  const dialogs: Dialog[] = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("== ")) dialogs.push({ name: line.slice(3), set: [], lines: [] });
    else if (line.startsWith("#") || line === "") continue;
    else if (/^(C[:.]|S:|EOF)/.test(line)) dialogs.at(-1)?.lines.push(line);
    else dialogs.at(-1)?.set.push(line);
  }
  return dialogs;
}

function bytesOf(text: string): string {
  return text.replace(/\\(r|n|0|t|\\|x[0-9a-f]{2})/g, (_all, c: string) => {
    switch (c) {
      case "r":
        return "\r";
      case "n":
        return "\n";
      case "0":
        return "\0";
      case "t":
        return "\t";
      case "\\":
        return "\\";
      default:
        return String.fromCharCode(Number.parseInt(c.slice(1), 16));
    }
  });
}

function optionsOf(set: readonly string[]): Options {
  let options = defaultOptions();
  options = { ...options, SmtpGreetingMessage: "$j Postern" };
  for (const line of set) {
    const [word, name = "", ...value] = line.split(" ");
    if (word !== "option") continue;
    const made = setOption(options, name, value.join(" "));
    assert.ok(made.ok, line);
    options = made.value;
  }
  return options;
}

function policyOf(set: readonly string[]): Partial<Policy> {
  const policy = new Map<string, () => Promise<Verdict>>();
  for (const line of set) {
    const [word, question = "", code = "", enhanced = "", ...text] = line.split(" ");
    if (word !== "refuse" && word !== "terminate") continue;
    const verdict: Verdict = {
      kind: "reject",
      reply: reply(Number(code), enhanced, text.join(" ")),
      close: word === "terminate",
    };
    policy.set(question, async () => verdict);
  }
  const pause = set.find((line) => line.startsWith("pause "));
  return {
    ...Object.fromEntries(policy),
    ...(pause === undefined ? {} : { greetPauseMs: () => Number(pause.slice(6)) }),
  };
}

/** Waits are as long as the rule says, a thousand times faster. */
const fast = {
  ...systemClock,
  after: (ms: number, fn: () => void) => systemClock.after(ms / 1000, fn),
};

async function perform(dialog: Dialog): Promise<void> {
  const client = dialog.set.find((line) => line.startsWith("client "))?.slice(7);
  const modifiers = dialog.set.find((line) => line.startsWith("modifiers "))?.slice(10) ?? "";
  const early = dialog.set.some((line) => line.startsWith("pause "));
  const stage = makeStage({
    options: optionsOf(dialog.set),
    policy: policyOf(dialog.set),
    clock: early ? systemClock : fast,
  });
  const talk = stage.connect(client, { modifiers });
  let lineNumber = 0;
  for (const line of dialog.lines) {
    lineNumber++;
    const where = `${dialog.name}, line ${lineNumber}: ${line}`;
    if (line.startsWith("C: ")) talk.send(`${bytesOf(line.slice(3))}\r\n`);
    else if (line === "C:") talk.send("\r\n");
    else if (line.startsWith("C. ")) talk.send(bytesOf(line.slice(3)));
    else if (line === "EOF") assert.equal(await talk.line(), null, where);
    else {
      const heard = await talk.line();
      // Queue ids differ at every message.
      assert.equal(heard?.replace(/\bQ0{3,}\d+\b/, "QUEUEID"), line.slice(3), where);
    }
  }
  assert.equal(talk.heard, "", `${dialog.name}: more was said`);
  await talk.leave();
  assert.equal(stage.intake.open_, 0, `${dialog.name}: a draft was left open`);
}

for (const file of readdirSync(import.meta.dirname).filter((name) => name.endsWith(".txt")))
  describe(file, () => {
    for (const dialog of dialogsOf(readFileSync(join(import.meta.dirname, file), "utf8")))
      it(dialog.name, () => perform(dialog));
  });
