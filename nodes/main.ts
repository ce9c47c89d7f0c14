import { NodeShell } from './shell/node-shell.ts';

/** The process of one emulated node: `node dist/node.js`, told by its environment which one it is. */
const { REROUTE_NODE_BOOT } = process.env;
if (REROUTE_NODE_BOOT === undefined) {
  process.stderr.write('this is the process of a single node; the orchestrator starts it: reroute up LAB.yaml\n');
  process.exit(2);
}
const shell = new NodeShell(JSON.parse(REROUTE_NODE_BOOT));
await shell.run();
