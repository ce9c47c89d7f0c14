import { featureSuite } from './features.ts';
import { frr } from './frr.ts';

featureSuite(frr);
