import { gobgp } from './gobgp.ts';
import { ipv6Suite } from './ipv6.ts';

ipv6Suite(gobgp);
