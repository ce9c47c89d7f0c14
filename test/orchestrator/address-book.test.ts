import { readFileSync } from 'node:fs';
import test from 'ava';
import { AddressBook } from '../../orchestrator/address-book.ts';
import { simulate } from '../support/sim.ts';

test('nodes have the addresses of their interfaces, those without go by their loopback', async (t) => {
  const lab = await simulate(
    readFileSync(new URL('../../examples/unnumbered.yaml', import.meta.url), 'utf8'),
  );
  const book = await AddressBook.open(lab, null);
  t.is(await book.addressOf('h2'), '10.1.2.2');
  t.is(await book.addressOf('h2', 'IPv6'), '2001:db8:2::2');
  t.is(await book.addressOf('spine1'), '10.255.0.1');
  t.is(await book.addressOf('spine1', 'IPv6'), '10.255.0.1');
  t.is(await book.addressOf('nobody'), '');
});
