import test from 'ava';
import { formatIp4 } from '../../../protocols/ip4.ts';
import { route } from './arbitrary.ts';
import { Solo } from './solo.ts';

const NEXT_HOP = 0x0a000001;

/** Prefixes of 24 bits from 20.0.0.0 on, in UPDATEs of a thousand. */
function* batches(count: number): Generator<string[]> {
  for (let first = 0; first < count; first += 1000) {
    yield Array.from({ length: 1000 }, (_, i) => `${formatIp4(0x14000000 + (first + i) * 256)}/24`);
  }
}

test('a peer that floods with routes is stopped at its limit, and nothing of it is left', (t) => {
  const solo = new Solo({ asn: 65000 }, [{ name: 'p', asn: 65001, address: '10.0.0.1' }], {});
  const limited = new Solo(
    { asn: 65000 },
    [{ name: 'p', asn: 65001, address: '10.0.0.1', options: { maximumPrefixes: { limit: 5_000 } } }],
    {},
  );
  let fed = 0;
  for (const prefixes of batches(50_000)) {
    solo.announce('p', route(NEXT_HOP, [65001]), ...prefixes);
    if (limited.speaker.session('p')?.state !== 'Established') continue;
    limited.announce('p', route(NEXT_HOP, [65001]), ...prefixes);
    fed += prefixes.length;
  }
  t.is(solo.speaker.session('p')?.ribIn.size, 50_000, 'without a limit all are taken');
  t.is(fed, 6_000);
  const session = limited.speaker.session('p');
  t.is(session?.state, 'Idle');
  t.is(session?.ribIn.size, 0);
  t.deepEqual(limited.speaker.stats.routes, 0);
  t.true(limited.told('p').some((text) => /Maximum Number of Prefixes/i.test(text)));
});

test('a peer that floods with changes of one route leaves one route, and one set of attributes', (t) => {
  const solo = new Solo({ asn: 65000 }, [
    { name: 'p', asn: 65001, address: '10.0.0.1' },
    { name: 'q', asn: 65002, address: '10.0.0.2' },
  ]);
  const chunk: Uint8Array[] = [];
  for (let i = 0; i < 20_000; i++)
    chunk.push(solo.announcement('p', route(NEXT_HOP, [65001, 1 + (i % 60_000)], { med: i }), '20.0.0.0/24'));
  // All of it in one read of the socket: nothing is told before its end, and then the last word alone.
  solo.forget();
  solo.feed('p', Buffer.concat(chunk));
  t.is(solo.speaker.session('p')?.ribIn.size, 1);
  t.is(solo.speaker.stats.routes, 1);
  solo.lab.run(10);
  t.is(solo.told('q').length, 1);
});
