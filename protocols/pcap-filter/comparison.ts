import {
  bytesAt,
  CONSTANTS,
  combine,
  compare,
  constant,
  type Expression,
  frameLength,
  LOCATE,
  OPERATORS,
  RELATIONS,
} from './arithmetic.ts';
import type { Cursor } from './cursor.ts';
import type { FrameFilter } from './match.ts';

const isOperator = (text: string | undefined) =>
  text !== undefined && (RELATIONS.has(text) || OPERATORS.some((level) => level.has(text)));

/** Whether `tcp[13] & 2 != 0` or the like is next, and not a primitive or a group of them. */
export function comparesNext(cursor: Cursor): boolean {
  const first = cursor.peek()?.text;
  const second = cursor.peek(1)?.text;
  if (first === undefined) return false;
  if (first === '(') return isOperator(cursor.behindBrackets()?.text);
  if (first === '-' || first === 'len') return true;
  return LOCATE.has(first) ? second === '[' : scalar(first) !== null && isOperator(second);
}

/** `expr relop expr` of pcap-filter(7). @throws FilterError */
export function comparison(cursor: Cursor): FrameFilter {
  const left = expression(cursor, 0);
  const token = cursor.next('a comparison, as != 0,');
  const relation = RELATIONS.get(token.text);
  if (relation === undefined)
    throw cursor.error(token, `'${token.text}' stands where a comparison should, as != 0`);
  return compare(left, relation, expression(cursor, 0));
}

function expression(cursor: Cursor, level: number): Expression {
  const operators = OPERATORS[level];
  if (operators === undefined) return operand(cursor);
  let left = expression(cursor, level + 1);
  for (;;) {
    const operator = operators.get(cursor.peek()?.text ?? '');
    if (operator === undefined) return left;
    cursor.skip();
    left = combine(left, operator, expression(cursor, level + 1));
  }
}

function operand(cursor: Cursor): Expression {
  const token = cursor.next('a number');
  const { text } = token;
  if (text === '(') {
    const inner = expression(cursor, 0);
    if (!cursor.accept(')')) throw cursor.error(token, "this '(' is not closed");
    return inner;
  }
  if (text === '-') return combine(constant(0), (a, b) => (a - b) >>> 0, operand(cursor));
  if (text === 'len') return frameLength;
  const locate = LOCATE.get(text);
  if (locate !== undefined && cursor.accept('[')) {
    const offset = expression(cursor, 0);
    const size = cursor.accept(':') ? sizeOf(cursor) : 1;
    if (!cursor.accept(']')) throw cursor.error(token, `'${text}[' is not closed`);
    return bytesAt(locate, offset, size);
  }
  const value = scalar(text);
  if (value === null)
    throw cursor.error(token, `'${text}' is no number, no constant and no bytes like tcp[13]`);
  return constant(value);
}

function sizeOf(cursor: Cursor): 1 | 2 | 4 {
  const token = cursor.next('a size of 1, 2 or 4');
  const size = scalar(token.text);
  if (size === 1 || size === 2 || size === 4) return size;
  throw cursor.error(token, `'${token.text}' is no size: 1, 2 or 4 bytes can be read`);
}

/** A number as C writes it, or a constant's name. */
function scalar(text: string): number | null {
  const named = CONSTANTS.get(text);
  if (named !== undefined) return named;
  const value = /^0[0-7]+$/.test(text)
    ? Number.parseInt(text, 8)
    : /^(0[xX][0-9a-fA-F]+|\d+)$/.test(text)
      ? Number(text)
      : Number.NaN;
  return value <= 0xffff_ffff ? value : null;
}
