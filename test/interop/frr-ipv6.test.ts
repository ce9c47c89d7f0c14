import { frr } from './frr.ts';
import { ipv6Suite } from './ipv6.ts';

ipv6Suite(frr);
