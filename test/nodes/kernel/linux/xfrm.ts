import { settleIpId } from '../../../interop/linux/settle.ts';
import { type CaseGroup, type CaseStep, show, wait } from './case.ts';

/** When something was made is nobody's to say. */
const settle = (text: string) => text.replaceAll(/add \d{4}-\S+ \S+/g, 'add TIME');
const said = (line: string) => show(line, settle);
/** Each command with what there is after it. */
const after = (...lines: readonly string[]): CaseStep[] =>
  lines.flatMap((line) => [said(line), said('ip xfrm policy')]);

/** What once differed from Linux in `ip xfrm`, and what else it takes and refuses. */
export const xfrmCases: CaseGroup = {
  name: 'xfrm',
  ports: [{ name: 'v0' }],
  settle: settleIpId,
  cases: [
    {
      name: 'a policy has a direction, a selector and templates',
      setUp: [],
      steps: after(
        'ip xfrm policy add src 10.0.0.0/24 dst 10.0.1.0/24 proto tcp sport 80 dir out priority 5 tmpl src 10.0.0.1 dst 10.0.0.2 proto esp mode tunnel',
        'ip xfrm policy add src fd00::/64 dst fd01::/64 proto ipv6-icmp type 8 dir in tmpl proto esp',
        'ip xfrm policy add sport 7 dport 9 dir in action block',
        'ip xfrm policy add sport 7 dport 9 dir in',
        'ip xfrm policy update sport 7 dport 9 dir in priority 3',
        'ip xfrm policy get dir in',
        'ip xfrm policy get sport 7 dport 9 dir in',
        'ip xfrm policy delete sport 8 dir in',
        'ip xfrm policy list dir out',
        'ip xfrm policy list priority 3',
        'ip xfrm policy list proto tcp',
        'ip xfrm policy count',
        'ip xfrm policy deleteall dir out',
        'ip xfrm policy flush',
      ),
    },
    {
      name: 'a policy is known by its index, which tells its direction',
      setUp: [
        'ip xfrm policy add dir fwd src 1.0.0.0/8 dst 0.0.0.0/0',
        'ip xfrm policy add dir out src 2.0.0.0/8',
      ],
      steps: [
        said('ip -s xfrm policy count'),
        ...['fwd', 'out', 'in'].flatMap((dir) =>
          [1, 2, 3, 9, 10, 17, 18].map((index) => said(`ip xfrm policy get dir ${dir} index ${index}`)),
        ),
        ...after('ip xfrm policy delete dir fwd index 10', 'ip xfrm policy delete dir out index 10'),
      ],
    },
    {
      name: 'a policy has lifetimes, and an index, that statistics show',
      setUp: [],
      steps: [
        wait(1_000),
        said('ip xfrm policy add dir fwd src 1.0.0.0/8 dst 0.0.0.0/0 limit time-soft 5000 limit byte-hard 7'),
        said('ip -s xfrm policy'),
        said('ip xfrm policy add dir out limit time-use-hard 9 limit packet-soft 8 limit byte-soft 6'),
        said('ip -s xfrm policy'),
        said('ip xfrm policy add dir out limit time-soft x'),
        said('ip xfrm policy add dir out limit nonsense 5'),
      ],
    },
    {
      name: 'a template of another family is taken where it says both ends of a tunnel',
      setUp: [],
      steps: after(
        'ip xfrm policy add dir out tmpl src fd00::1 dst fd00::2 proto esp spi 0x77 reqid 9 mode tunnel level use',
        'ip xfrm policy add dir out tmpl src fd00::1 dst fd00::2 proto esp',
        'ip xfrm policy add dir in tmpl src fd00::1 dst fd00::2 proto esp spi 0x77 reqid 9 mode tunnel level use',
        'ip -6 xfrm policy add dir out tmpl proto esp',
        'ip -6 xfrm policy add dir fwd tmpl src 10.0.0.1 dst 10.0.0.2 proto esp mode tunnel',
        'ip xfrm policy add src 10.0.0.0/24 dir out tmpl src 10.0.0.1 dst fd00::1',
        'ip xfrm policy add src 10.0.0.0/24 dst fd00::/1 dir out',
      ),
    },
    {
      name: 'a selector has ports, or types, of protocols that have them',
      setUp: [],
      steps: after(
        'ip xfrm policy add src 10.0.0.0/24 proto gre sport 7 dir out',
        'ip xfrm policy add proto icmp type 3 code 4 dir out',
        'ip xfrm policy add proto udp type 3 dir out',
        'ip xfrm policy add sport 70000 dir out',
        'ip xfrm policy add proto nonsense dir out',
        'ip xfrm policy add src x dir out',
        'ip xfrm policy add dir sideways',
        'ip xfrm policy add src 10.0.0.0/24',
        'ip xfrm policy foo',
      ),
    },
    {
      // What is refused before the kernel is asked, which here has no ESP.
      name: 'an association is refused that cannot be',
      setUp: [],
      steps: [
        'ip xfrm state add src 10.0.0.1 dst fd00::1 proto esp spi 1',
        'ip xfrm state add src x dst fd00::1 proto esp spi 1',
        'ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 1 flag esn enc "cbc(aes)" 0x000102030405060708090a0b0c0d0e0f',
        'ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 1 replay-window 5000',
        'ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 1 flag nonsense',
        'ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 1 encap nonsense',
        'ip xfrm state add src 10.0.0.1 dst 10.0.0.2 proto esp spi 1 limit packet-soft x',
        'ip xfrm state add src 10.0.0.1 dst 10.0.0.2 spi 1',
        'ip xfrm state count',
        'ip xfrm state',
      ].map(said),
    },
  ],
};
