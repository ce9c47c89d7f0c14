import { featureSuite } from './features.ts';
import { gobgp } from './gobgp.ts';

featureSuite(gobgp);
