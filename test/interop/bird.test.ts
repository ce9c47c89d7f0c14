import { bird } from './bird.ts';
import { interopSuite } from './suite.ts';

interopSuite(bird);
