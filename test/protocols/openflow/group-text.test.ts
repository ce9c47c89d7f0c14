import test from 'ava';
import fc from 'fast-check';
import { formatGroup, parseGroup } from '../../../protocols/openflow/group-text.ts';
import { FlowSyntaxError } from '../../../protocols/openflow/match-text.ts';
import { formatMeter, meterLine, parseMeter } from '../../../protocols/openflow/meter-text.ts';

const actions = fc
  .array(
    fc.constantFrom(
      'output:1',
      'output:2',
      'group:7',
      'LOCAL',
      'CONTROLLER:65535',
      'set_field:10.0.0.9->ip_dst',
    ),
    {
      minLength: 1,
      maxLength: 3,
    },
  )
  .map((words) => words.join(','));
const id = fc.integer({ min: 0, max: 0xffffff00 });
const group = fc.oneof(
  fc
    .tuple(id, fc.array(fc.tuple(fc.integer({ min: 0, max: 0xffff }), actions), { maxLength: 3 }))
    .map(([number, buckets]) =>
      [
        `group_id=${number},type=select`,
        ...buckets.map(([weight, done]) => `bucket=weight:${weight},actions=${done}`),
      ].join(','),
    ),
  fc
    .tuple(id, fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), id, actions), { maxLength: 3 }))
    .map(([number, buckets]) =>
      [
        `group_id=${number},type=ff`,
        ...buckets.map(
          ([port, other, done]) => `bucket=watch_port:${port},watch_group:${other},actions=${done}`,
        ),
      ].join(','),
    ),
);

test('a group that is shown is the same when it is read', (t) => {
  fc.assert(
    fc.property(group, (text) => {
      const spec = parseGroup(text, 'spec');
      t.deepEqual(parseGroup(formatGroup(spec), 'spec'), spec);
    }),
  );
});

test('a meter that is told in a line is the same when it is read', (t) => {
  const band = fc.record({
    type: fc.constantFrom('drop', 'dscp_remark,prec_level=2'),
    rate: fc.integer({ min: 1, max: 0xffffffff }),
    burst: fc.integer({ min: 1, max: 0xffffffff }),
  });
  fc.assert(
    fc.property(
      fc.constantFrom('kbps', 'pktps', 'kbps,stats'),
      fc.boolean(),
      fc.array(band, { minLength: 1, maxLength: 3 }),
      (unit, isBurst, bands) => {
        const words = bands.map(
          ({ type, rate, burst }) => `type=${type},rate=${rate}${isBurst ? `,burst_size=${burst}` : ''}`,
        );
        const spec = parseMeter(`meter=9,${unit}${isBurst ? ',burst' : ''},bands=${words.join(',')}`, 'spec');
        t.is(spec.bands.length, bands.length);
        t.deepEqual(parseMeter(meterLine(spec), 'spec'), spec);
        t.is(formatMeter(spec).split('\n').length, 1 + bands.length);
      },
    ),
  );
});

test('any text is a group or a meter, or a FlowSyntaxError', (t) => {
  const words = fc.constantFrom(
    'group_id=1',
    'type=select',
    'type=ff',
    'bucket=',
    'weight:5',
    'watch_port:1',
    'actions=output:1',
    'meter=1',
    'kbps',
    'burst',
    'band=type=drop',
    'rate=5',
    'type=drop',
    '=',
    ',',
    'x',
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(words, { maxLength: 8 }).map((all) => all.join(',')),
  );
  const parsers = [parseGroup, parseMeter];
  fc.assert(
    fc.property(
      text,
      fc.constantFrom(...parsers),
      fc.constantFrom('spec' as const, 'id' as const),
      (text, parse, what) => {
        try {
          parse(text, what);
        } catch (error) {
          if (!(error instanceof FlowSyntaxError)) throw error;
        }
      },
    ),
  );
  t.pass();
});
