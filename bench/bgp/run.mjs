// Bundles the bench and its target as dist is bundled, and runs it: node bench/bgp/run.mjs --help
import { runBench } from '../bundle.mjs';

await runBench('bgp', { 'target.ts': 'node-bundle.cjs', 'sink.ts': 'sink.cjs' });
