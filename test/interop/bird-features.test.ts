import { bird } from './bird.ts';
import { featureSuite } from './features.ts';

featureSuite(bird);
