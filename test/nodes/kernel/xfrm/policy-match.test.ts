import test from 'ava';
import { run } from '../../tools/support/run.ts';
import { ENDS, FAR, type Family, gateways, sh } from './gateways.ts';

/** Rules of `-m policy`, and how many packets of an echo through a tunnel each counts at the gateway that is asked first. */
const RULES: readonly (readonly [place: string, match: string, packets: number])[] = [
  // The request comes as it is and leaves through the tunnel, the answer comes through it and leaves as it is.
  ['raw PREROUTING', '--dir in --pol ipsec', 1],
  ['filter FORWARD', '--dir out --pol ipsec', 1],
  ['filter FORWARD', '--dir out --pol none', 1],
  ['filter FORWARD', '--dir in --pol ipsec', 1],
  ['filter FORWARD', '--dir in --pol none', 1],
  ['mangle POSTROUTING', '--dir out --pol ipsec', 1],
  // Linux compares SPIs as they are sent with numbers as the machine has them: one of a PC is the other turned round.
  ['filter FORWARD', '--dir out --pol ipsec --reqid 1 --spi 0x01100000 --proto esp --mode tunnel', 1],
  ['filter FORWARD', '--dir out --pol ipsec --spi 0x1001', 0],
  ['filter FORWARD', '--dir out --pol ipsec --spi 0x02100000', 0],
  ['filter FORWARD', '--dir in --pol ipsec --spi 0x02100000', 1],
  ['filter FORWARD', '--dir in --pol ipsec ! --spi 0x1002', 1],
  ['filter FORWARD', '--dir in --pol ipsec ! --reqid 1', 0],
  ['filter FORWARD', '--dir in --pol ipsec ! --reqid 2 ! --mode transport', 1],
  ['filter FORWARD', '--dir in --pol ipsec --proto ah', 0],
  ['filter FORWARD', '--dir out --pol ipsec --strict --reqid 1', 1],
  ['filter FORWARD', '--dir out --pol ipsec --strict --reqid 1 --next --reqid 1', 0],
];

/** Packets that the rules of a chain have counted. */
function counts(text: string): number[] {
  return text.split('\n').flatMap((line) => (/^ *\d+ +\d+ /.test(line) ? [Number.parseInt(line, 10)] : []));
}

for (const outer of ['inet', 'inet6'] as const)
  for (const inner of ['inet', 'inet6'] as const)
    test(`-m policy knows what comes and goes through a tunnel of ${outer} for ${inner}`, (t) => {
      const { net, h1, a } = gateways(t, outer, inner, outer === inner ? '' : 'flag af-unspec');
      const program = (family: Family) => (family === 'inet' ? 'iptables' : 'ip6tables');
      const rules = [...RULES];
      if (outer === inner) {
        const [left, right] = ENDS[outer];
        const ends = `--dir out --pol ipsec --mode tunnel --tunnel-src ${left}`;
        rules.push(['filter FORWARD', `${ends} --tunnel-dst ${right}`, 1]);
        rules.push(['filter FORWARD', `${ends} ! --tunnel-dst ${right}`, 0]);
      }
      for (const [place, match] of rules) {
        const [table, chain] = place.split(' ');
        sh(t, a, `${program(inner)} -t ${table} -A ${chain} -p ${ICMP[inner]} -m policy ${match}`);
      }
      // What is sealed passes the rules too, and goes through no other association.
      for (const [chain, dir] of [
        ['INPUT', 'in'],
        ['OUTPUT', 'out'],
      ])
        for (const pol of ['ipsec', 'none'])
          sh(t, a, `${program(outer)} -A ${chain} -p esp -m policy --dir ${dir} --pol ${pol}`);
      const ping = run(`ping -n -c 1 -W 1 ${FAR[inner]}`, h1.kernel.root);
      net.advance(3_000);
      t.regex(ping.text, / 1 received/);
      for (const place of new Set(rules.map(([first]) => first))) {
        const [table, chain] = place.split(' ');
        const here = rules.filter(([first]) => first === place);
        const counted = counts(sh(t, a, `${program(inner)} -t ${table} -nvxL ${chain}`));
        t.deepEqual(
          here.map(([, match], i) => `${match}: ${counted[i]}`),
          here.map(([, match, packets]) => `${match}: ${packets}`),
        );
      }
      const listed = sh(t, a, `${program(inner)} -nvxL FORWARD`);
      t.regex(listed, /pol ipsec strict reqid 1\n/);
      t.regex(listed, /pol ipsec strict \[0\] reqid 1 \[1\] reqid 1\n/);
      for (const chain of ['INPUT', 'OUTPUT'])
        t.deepEqual(counts(sh(t, a, `${program(outer)} -nvxL ${chain}`)), [0, 1], chain);
    });

const ICMP = { inet: 'icmp', inet6: 'icmpv6' } as const;
