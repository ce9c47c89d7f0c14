import type { Runtime } from '../../../runtime.ts';
import type { StoreValue } from '../../../store.ts';
import type { StoreClient } from '../../store-client.ts';
import type { StoreView } from '../../store-view.ts';

/** Time until a row that somebody else has written meanwhile is looked at again, ms: the watch brings it. */
const LOOK_AGAIN = 5;

/**
 * Changes a row that several nodes write, by compare and swap: `change` makes of what stands there what is to stand there,
 * null for nothing to be done. `done` gets what it made last, in a later step or, for null, at once.
 */
export function changeRow<T extends StoreValue>(
  rt: Runtime,
  store: StoreClient,
  view: StoreView<T>,
  key: string,
  change: (row: T | null) => T | null,
  done: (row: T | null) => void,
): void {
  const value = change(view.get(key));
  if (value === null) {
    done(null);
    return;
  }
  const revision = view.revision(key);
  const op = view.has(key)
    ? ({ op: 'update', key, value, revision } as const)
    : ({ op: 'create', key, value } as const);
  store.request(op, (answer) => {
    if (answer.type === 'done') {
      view.wrote(key, value, answer.revision);
      done(value);
      return;
    }
    rt.timers.set(rt.now + LOOK_AGAIN, () => changeRow(rt, store, view, key, change, done));
  });
}
