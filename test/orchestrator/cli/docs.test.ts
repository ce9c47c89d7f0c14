import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { Command, CommanderError } from 'commander';
import { toolNames } from '../../../nodes/tools/start.ts';
import { program } from '../../../orchestrator/cli/program.ts';
import { pastedCommands, quotedCommands } from '../../support/docs.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const PAGES = ['README.md', ...readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`)];

const TOOLS = new Set([
  ...toolNames,
  ...['birdc', 'calicoctl', 'docker', 'ovs-ofctl', 'ovs-vsctl', 'ovs-appctl'],
  ...['vtysh', 'gobgp'],
]);

/** Commands that only take their arguments, and throw where they would end the process. */
function disarm(command: Command): void {
  command.exitOverride().configureOutput({ writeErr: () => {}, writeOut: () => {} });
  if (command.commands.length === 0) command.action(() => {});
  for (const one of command.commands) disarm(one);
}
disarm(program);

/** What the command line says against the words behind `reroute`, null if it takes them. */
async function refusal(words: readonly string[]): Promise<CommanderError | null> {
  try {
    await program.parseAsync([...words], { from: 'user' });
    return null;
  } catch (error) {
    return error as CommanderError;
  }
}

for (const page of PAGES) {
  const text = readFileSync(join(ROOT, page), 'utf8');

  test(`${page}: the command line takes what is to be pasted, and the files are there`, async (t) => {
    for (const { line, words } of pastedCommands(text)) {
      const error = await refusal(words);
      t.is(error, null, `${page}:${line}: reroute ${words.join(' ')}: ${error?.message}`);
      const tool = words[0] === 'exec' ? words[words.indexOf('--') + 1] : undefined;
      if (tool !== undefined) t.true(TOOLS.has(tool), `${page}:${line}: there is no tool ${tool}`);
      for (const word of words)
        if (/^(\.\.\/)*examples\/[\w./-]+$/.test(word))
          t.true(existsSync(join(ROOT, word)), `${page}:${line}: ${word} is not there`);
    }
    t.pass();
  });

  test(`${page}: commands that are spoken of, and their options, exist`, async (t) => {
    // Those may be cut short, or leave the rest to the reader.
    const halves = ['missingArgument', 'optionMissingArgument', 'missingMandatoryOptionValue', 'help'];
    for (const { line, words } of quotedCommands(text)) {
      const error = await refusal(words);
      if (error !== null && halves.includes(error.code.replace('commander.', ''))) continue;
      t.is(error, null, `${page}:${line}: reroute ${words.join(' ')}: ${error?.message}`);
    }
    t.pass();
  });
}
