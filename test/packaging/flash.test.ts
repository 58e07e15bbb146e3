// What `make flash` refuses to write to.

import assert from "node:assert/strict";
import { test } from "node:test";
import { refusal } from "../../scripts/flash.ts";

const card = {
  path: "/dev/sdz",
  size: 8e9,
  model: "Card",
  type: "disk",
  rm: true,
  hotplug: true,
  mountpoints: [null],
};
const part = { ...card, path: "/dev/sdz1", type: "part", mountpoints: ["/media/card"] };

const CASES = [
  { name: "a removable card is written to", device: card, force: false, expected: null },
  {
    name: "a card with a mounted partition is in use",
    device: { ...card, children: [part] },
    force: true,
    expected: /in use: \/media\/card/,
  },
  {
    name: "a partition is not a whole disk",
    device: { ...part, mountpoints: [null] },
    force: true,
    expected: /is a part, not a whole disk/,
  },
  {
    name: "a disk that is too small",
    device: { ...card, size: 1000 },
    force: true,
    expected: /has 1000 bytes/,
  },
  {
    name: "a fixed disk",
    device: { ...card, rm: false, hotplug: false },
    force: false,
    expected: /not removable; FORCE=1/,
  },
  {
    name: "a fixed disk with FORCE=1",
    device: { ...card, rm: false, hotplug: false },
    force: true,
    expected: null,
  },
] as const;

for (const { name, device, force, expected } of CASES)
  test(name, () => {
    const reason = refusal(device, 4e8, force);
    if (expected === null) assert.equal(reason, null);
    else assert.match(reason ?? "", expected);
  });
