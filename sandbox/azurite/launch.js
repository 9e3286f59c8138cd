// Runs Azurite's blob service until its parent is gone, even if that was killed: then it ends and takes its log along.
// Arguments: the folder Azurite is installed in, the parent's process id, the folder of the log (empty where the log is
// to stay), then Azurite's own.

const fs = require("node:fs");
const path = require("node:path");

const WATCH_MS = 500;

const [installed, parent, logs] = process.argv.splice(2, 3);

function endWithParent() {
  if (process.ppid !== Number(parent)) {
    if (logs) fs.rmSync(logs, { recursive: true, force: true });
    process.exit(0);
  }
}

delete process.env.AZURITE_DB; // it would move the metadata into a database server
setInterval(endWithParent, WATCH_MS).unref();
require(path.join(installed, "node_modules/azurite/dist/src/blob/main.js"));
