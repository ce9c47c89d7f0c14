/** An MRT file that cannot be read or written; the message names it. */
export class MrtFileError extends Error {
  override readonly name = 'MrtFileError';

  constructor(file: string, reason: string, options?: ErrorOptions) {
    super(`${file}: ${reason}`, options);
  }
}

const SYSTEM_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  EISDIR: 'is a folder, not a file',
  EACCES: 'permission denied',
  ENOSPC: 'no space left on the device',
};

export function systemError(file: string, error: unknown): MrtFileError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const message = error instanceof Error ? error.message : String(error);
  return new MrtFileError(file, SYSTEM_ERRORS[code] ?? message, { cause: error });
}
