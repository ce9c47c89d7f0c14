import type { JoinInfo, NetworkDriver } from '../driver.ts';

const NOTHING: JoinInfo = { mac: 0, gateway: { type: 'none' } };

/** The host driver: the container is in the host's own namespace, so there is nothing to make. */
export class HostDriver implements NetworkDriver {
  validate(): void {}
  createNetwork(): void {}
  deleteNetwork(): void {}
  join(): JoinInfo {
    return NOTHING;
  }
  leave(): void {}
}

/** The null driver: a namespace with nothing but lo. */
export class NullDriver extends HostDriver {}
