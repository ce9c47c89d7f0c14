// Whether a node's memory grows under hours of trouble: node bench/soak/run.mjs --help
import { runBench } from '../bundle.mjs';

await runBench('soak', {});
