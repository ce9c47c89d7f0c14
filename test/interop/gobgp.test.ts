import { gobgp } from './gobgp.ts';
import { interopSuite } from './suite.ts';

interopSuite(gobgp);
