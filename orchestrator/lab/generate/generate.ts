import type { GenerateSpec } from '../schema.ts';
import { generateCluster } from './cluster.ts';
import { generateLeafSpine } from './leaf-spine.ts';
import type { GeneratedLab } from './raw-lab.ts';
import { generateRouters } from './routers.ts';

/** What a `generate` section stands for, written out as the file could have had it. */
export function generate(spec: GenerateSpec): GeneratedLab {
  switch (spec.kind) {
    case 'cluster':
      return generateCluster(spec);
    case 'leaf-spine':
      return generateLeafSpine(spec);
    default:
      return generateRouters(spec);
  }
}
