import { frr } from './frr.ts';
import { interopSuite } from './suite.ts';

interopSuite(frr);
