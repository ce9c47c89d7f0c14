import { PLAIN } from './arguments.ts';
import { program } from './program.ts';

/** Errors that name a fault of the user's or the lab's: shown without a stack. */
function isPlain(error: unknown): error is Error {
  return (
    error instanceof Error &&
    error.name !== 'Error' &&
    error.name.endsWith('Error') &&
    !(error instanceof TypeError)
  );
}

// A reader that has seen enough, as head, is no fault of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
  throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  const text = isPlain(error)
    ? error.message
    : error instanceof Error
      ? (error.stack ?? error.message)
      : String(error);
  process.stderr.write(`reroute: ${text}\n`);
  process.exitCode = PLAIN;
}
