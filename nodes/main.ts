import { NodeShell } from './shell/node-shell.ts';

/** The process of one emulated node: `node dist/node.cjs`, told by its environment which one it is. */
const { REROUTE_NODE_BOOT } = process.env;
if (REROUTE_NODE_BOOT === undefined) {
  process.stderr.write(
    'this is the process of a single node; the orchestrator starts it: reroute up LAB.yaml\n',
  );
  process.exit(2);
}
void new NodeShell(JSON.parse(REROUTE_NODE_BOOT)).run();
