import { arpCases } from './arp.ts';
import type { CaseGroup } from './case.ts';

export const GROUPS: readonly CaseGroup[] = [arpCases];
