import test from 'ava';
import type { Capability } from '../../../protocols/bgp/capability.ts';
import type { SpeakerTimings } from '../../../protocols/bgp/config.ts';
import { IPV4_UNICAST } from '../../../protocols/bgp/constants.ts';
import { decodeMessage } from '../../../protocols/bgp/message.ts';
import { encodeRouteRefresh, RefreshSubtype } from '../../../protocols/bgp/route-refresh.ts';
import { encodeEndOfRib } from '../../../protocols/bgp/update.ts';
import { parseIp4 } from '../../../protocols/ip4.ts';
import { route } from './arbitrary.ts';
import { Solo } from './solo.ts';

const P = '10.9.0.0/24';
const ROUTE = `${P} 10.0.0.1`;
const BORR = encodeRouteRefresh({ family: IPV4_UNICAST, subtype: RefreshSubtype.begin });
const EORR = encodeRouteRefresh({ family: IPV4_UNICAST, subtype: RefreshSubtype.end });
const REQUEST = encodeRouteRefresh({ family: IPV4_UNICAST, subtype: RefreshSubtype.request });
const END_OF_RIB = encodeEndOfRib('ipv4');

const CAPABILITIES: readonly Capability[] = [
  { type: 'enhanced-route-refresh' },
  {
    type: 'graceful-restart',
    restarting: false,
    notification: false,
    time: 60,
    families: [{ family: IPV4_UNICAST, forwardingPreserved: true }],
  },
];

function solo(timings: Partial<SpeakerTimings> = {}): Solo {
  const peer = { name: 'p', asn: 65001, address: '10.0.0.1', capabilities: CAPABILITIES };
  return new Solo({ asn: 65000, gracefulRestart: { restartTime: 60_000 } }, [peer], timings);
}

test('RFC 7313 §4: with graceful restart a refresh that begins before the End-of-RIB is ignored', (t) => {
  const one = solo();
  one.announce('p', route(parseIp4('10.0.0.1')!, [65001]), P);
  one.feed('p', BORR);
  one.feed('p', EORR);
  t.deepEqual(one.node.routes(), [ROUTE]);
  one.feed('p', END_OF_RIB);
  one.feed('p', BORR);
  one.feed('p', EORR);
  t.deepEqual(one.node.routes(), []);
});

test('RFC 7313 §4: an end of a refresh that never began is ignored: what a restart has left waits for the End-of-RIB', (t) => {
  const one = solo();
  one.announce('p', route(parseIp4('10.0.0.1')!, [65001]), P);
  one.feed('p', END_OF_RIB);
  one.lose('p');
  one.establish('p');
  one.feed('p', EORR);
  t.deepEqual(one.node.routes(), [ROUTE]);
  t.is(one.speaker.session('p')!.ribIn.staleCount, 1);
  one.feed('p', END_OF_RIB);
  t.deepEqual(one.node.routes(), []);
});

/** What a peer has been sent of refreshes, and of UPDATEs as `told` has them, in order. */
function sent(one: Solo, name: string): string[] {
  return one.node.log.flatMap(({ event }) => {
    if (event.type !== 'bgp.sent' || event.peer !== name) return [];
    const decoded = decodeMessage(event.message);
    if (decoded.type === 'route-refresh')
      return [decoded.refresh.subtype === RefreshSubtype.begin ? 'BoRR' : 'EoRR'];
    return decoded.type === 'update' ? ['update'] : [];
  });
}

test('RFC 7313 §4: no BoRR goes out before the End-of-RIB: a refresh that is asked for earlier comes after it', (t) => {
  const one = solo();
  one.lose('p');
  one.speaker.originate(P);
  one.speaker.restart('daemon-forwarding-kept', 10_000, () => {});
  one.establish('p');
  const before = sent(one, 'p').length;
  one.feed('p', REQUEST);
  one.feed('p', REQUEST);
  t.deepEqual(sent(one, 'p').slice(before), []);
  one.feed('p', END_OF_RIB);
  t.deepEqual(sent(one, 'p').slice(before), ['update', 'update', 'BoRR', 'update', 'EoRR']);
});

test('RFC 7313 §4.2: an end of a refresh waits for what MRAI holds back', (t) => {
  const one = solo({ mraiEbgp: 5_000 });
  one.lose('p');
  one.speaker.originate(P);
  one.speaker.restart('daemon-forwarding-kept', 10_000, () => {});
  one.establish('p');
  const before = sent(one, 'p').length;
  one.feed('p', REQUEST);
  one.feed('p', END_OF_RIB);
  t.deepEqual(sent(one, 'p').slice(before), ['update', 'update', 'BoRR']);
  one.lab.run(6_000);
  t.deepEqual(sent(one, 'p').slice(before), ['update', 'update', 'BoRR', 'update', 'EoRR']);
});
