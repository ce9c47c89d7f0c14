import { bird } from './bird.ts';
import { ipv6Suite } from './ipv6.ts';

ipv6Suite(bird);
