// The way in of the packaged binary, the main script of Node's single executable: it runs the bundle of main.ts that the binary
// carries. The packager's own way in would do the same through a virtual file system and without a code cache for the bundle,
// which doubles the time from start to greeting (performance.md).

import { runPackaged } from "./sys/packaged.ts";

runPackaged();
