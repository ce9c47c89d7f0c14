// Packets a second and latency: node bench/forward/run.mjs --help
import { setUp } from '../../orchestrator/setup/setup.mjs';
import { runBench } from '../bundle.mjs';

setUp();
await runBench('forward', { 'raw.ts': 'raw.cjs' });
