/** What the Engine API answers where it cannot do what it was asked to; the client puts its own words before it. */
export class DockerError extends Error {
  override readonly name = 'DockerError';
  /** 'process': the container's process could not be started, for want of a program ('not-found') or by its own doing. */
  readonly kind: 'daemon' | 'not-found';

  constructor(message: string, kind: 'daemon' | 'not-found' = 'daemon') {
    super(message);
    this.kind = kind;
  }
}

export function noSuchContainer(ref: string): DockerError {
  return new DockerError(`No such container: ${ref}`);
}

export function noSuchNetwork(ref: string): DockerError {
  return new DockerError(`network ${ref} not found`);
}
