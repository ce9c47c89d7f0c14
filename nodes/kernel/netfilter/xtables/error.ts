/** What iptables says on standard error, without the name of the program, and its exit code. */
export class XtablesError extends Error {
  override readonly name = 'XtablesError';
  /** 1: the kernel refuses; 2: the words are off (`PARAMETER_PROBLEM`); 3: not emulated or of another version. */
  readonly code: 1 | 2 | 3;

  constructor(message: string, code: 1 | 2 | 3) {
    super(message);
    this.code = code;
  }
}

/** The words are off. */
export function usage(message: string): XtablesError {
  return new XtablesError(message, 2);
}

/** An option that has to be there is not. */
export function missing(module: string, option: string): XtablesError {
  return usage(`${module}: option "${option}" must be specified\n`);
}

/** What the kernel answers to a rule that it does not take (EINVAL). */
export function invalid(): XtablesError {
  return new XtablesError("Invalid argument. Run `dmesg' for more information.", 1);
}
