// The guest that a board is measured against: the same kernel, initramfs, libraries and disk, and in place of the appliance a
// BusyBox init with ten lines of set-up and a Node server of twenty that answers 220. What the appliance takes longer is ours.

import { chmodSync, copyFileSync, cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { type Board, outputOf } from "../../scripts/board.ts";
import { SQUASHFS_OPTIONS } from "../../scripts/image.ts";
import { nodeBinary } from "../../scripts/runtime.ts";

const SERVER = `const net = require("node:net");
net.createServer((socket) => {
  socket.on("error", () => socket.destroy());
  socket.write("220 bare ESMTP\\r\\n");
  let data = false;
  let text = "";
  socket.on("data", (part) => {
    text += part.toString("latin1");
    let at;
    while ((at = text.indexOf("\\r\\n")) >= 0) {
      const line = text.slice(0, at);
      text = text.slice(at + 2);
      if (data) {
        if (line === ".") { data = false; socket.write("250 ok\\r\\n"); }
      } else if (/^data/i.test(line)) { data = true; socket.write("354 go\\r\\n"); }
      else if (/^quit/i.test(line)) socket.end("221 bye\\r\\n");
      else socket.write("250 ok\\r\\n");
    }
  });
}).listen(25, "0.0.0.0");
`;

const RCS = `#!/bin/sh
mount -t tmpfs -o mode=0755 run /run
mount -t tmpfs tmp /tmp
while read -r module; do modprobe -q "$module"; done </etc/modules
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
`;

/** Builds build/<board>/bare.squashfs from the appliance's own tree; returns its path. */
export async function makeBareGuest(board: Board): Promise<string> {
  const appliance = join(outputOf(board.name), "rootfs");
  const tree = join(outputOf(board.name), "bare");
  const image = join(outputOf(board.name), "bare.squashfs");
  rmSync(tree, { recursive: true, force: true });
  for (const folder of ["bin", "etc/init.d", "usr/bin", "proc", "sys", "dev", "run", "tmp", "srv"])
    mkdirSync(join(tree, folder), { recursive: true });
  cpSync(join(appliance, "lib"), join(tree, "lib"), { recursive: true, verbatimSymlinks: true });
  cpSync(join(appliance, "bin"), join(tree, "bin"), { recursive: true, verbatimSymlinks: true });
  copyFileSync(join(appliance, "etc/modules"), join(tree, "etc/modules"));
  symlinkSync("bin", join(tree, "sbin"));
  symlinkSync("lib", join(tree, "lib64"));
  copyFileSync(await nodeBinary(board.architecture), join(tree, "usr/bin/node"));
  writeFileSync(join(tree, "srv/server.cjs"), SERVER);
  writeFileSync(join(tree, "etc/init.d/rcS"), RCS);
  chmodSync(join(tree, "etc/init.d/rcS"), 0o755);
  writeFileSync(
    join(tree, "etc/inittab"),
    "::sysinit:/etc/init.d/rcS\n::respawn:/usr/bin/node /srv/server.cjs\n",
  );
  await execa("mksquashfs", [tree, image, ...SQUASHFS_OPTIONS]);
  rmSync(tree, { recursive: true });
  return image;
}
