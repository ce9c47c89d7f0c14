// What a packet takes through an OpenFlow switch's tables: node bench/openflow/run.mjs --help
import { runBench } from '../bundle.mjs';

await runBench('openflow', {});
