import test from 'ava';
import { explainRoute, neighborText, summary } from '../../../nodes/daemons/bgp/explain.ts';
import { parseKey } from '../../../protocols/bgp/nlri.ts';
import { Lab, type LabNode } from '../../protocols/bgp/lab.ts';
import { build, type LinkSpec, type SpeakerSpec } from '../../protocols/bgp/topology.ts';

const P = '10.9.0.0/24';

/** n4 hears of P from three peers, and of one of them nothing that it may take. */
function network(links: readonly Partial<LinkSpec>[] = []): Lab {
  const spec = (i: number, asn: number, networks: readonly string[] = []): SpeakerSpec => ({
    name: `n${i}`,
    asn,
    address: `10.0.0.${i}`,
    networks,
  });
  const lab = new Lab();
  build(
    lab,
    [spec(1, 65001, [P]), spec(2, 65002), spec(3, 65003, [P]), spec(4, 65004), spec(5, 65005)],
    [
      { a: 'n1', b: 'n2' },
      { a: 'n1', b: 'n4', ...links[0] },
      { a: 'n2', b: 'n4', ...links[1] },
      { a: 'n3', b: 'n4', ...links[2] },
      { a: 'n4', b: 'n5', ...links[3] },
    ],
  );
  lab.start();
  lab.converge();
  return lab;
}

function why(node: LabNode): string[] {
  return explainRoute(node.speaker.locRib.get(parseKey(P)!)!, node.speaker).split('\n');
}

test('why a path won: each other one with the step at which it lost, and the two values', (t) => {
  t.deepEqual(why(network().node('n4')), [
    '10.9.0.0/24: 3 candidates',
    '* from n1 (AS 65001, external) via 10.0.0.1',
    '    AS path 65001, origin IGP',
    '  from n3 (AS 65003, external) via 10.0.0.3',
    '    AS path 65003, origin IGP',
    '    lost at router-id: identifier 10.0.0.3, the best has identifier 10.0.0.1',
    '  from n2 (AS 65002, external) via 10.0.0.2',
    '    AS path 65002 65001, origin IGP',
    '    lost at as-path-length: 2 AS hops, the best has 1 AS hop',
    '- not told to n1: it came from there',
    '> told to n2: AS path 65004 65001, next hop 10.0.0.4',
    '> told to n3: AS path 65004 65001, next hop 10.0.0.4',
    '> told to n5: AS path 65004 65001, next hop 10.0.0.4',
    '',
  ]);
});

test('what was refused stands with the reason, and preference by LOCAL_PREF is said', (t) => {
  const lab = network([
    { options: { n4: { enforceFirstAs: 'on' } } },
    { options: { n4: { localPref: 200 } } },
    {},
    { options: { n4: { med: 5 } } },
  ]);
  const lines = why(lab.node('n4'));
  t.true(lines.includes('* from n2 (AS 65002, external) via 10.0.0.2'));
  t.true(lines.includes('    lost at local-pref: LOCAL_PREF 100, the best has LOCAL_PREF 200'));
  // n1 hears its own AS back from n4: refused there, with the reason.
  const [head, ...rest] = why(lab.node('n1'));
  t.is(head, '10.9.0.0/24: 1 candidate, 1 refused');
  t.true(rest.some((line) => line.includes('refused: as-loop: our own AS is in its path')));
});

test('a summary has a line for every neighbour, and the neighbour what was agreed on', (t) => {
  const lab = network();
  const { speaker } = lab.node('n4');
  const lines = summary(speaker, lab.now).split('\n');
  t.is(lines[0], 'BGP router identifier 10.0.0.4, local AS number 65004');
  t.regex(lines[3]!, /^Neighbor +AS +UpdRcvd +UpdSent +Up\/Down +State\/PfxRcd +Refused +PfxSnt$/);
  t.regex(lines[4]!, /^n1 +65001 +\d+ +\d+ +00:00:00 +1 +0 +0$/);
  t.is(lines.length, 4 + 4 + 1);
  const text = neighborText(speaker.session('n1')!, lab.now);
  t.regex(text, /^BGP neighbor n1, 10\.0\.0\.1, remote AS 65001, external\n {2}State: Established/);
  t.regex(text, /messages up to 65535 bytes, route refresh: enhanced/);
  t.regex(text, /Graceful restart: not agreed on/);
});
