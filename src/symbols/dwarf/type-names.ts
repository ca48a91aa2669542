// Types written as C: `struct task_struct *`, `int (*)(const char *, ...)`, `char [16]`.
// C declarations wrap around the name, so the text is built inside out, from the name to the base type.

import type { Type } from './types';

const DEPTH_LIMIT = 32;
/** Types within one declaration; function types that take each other would double with each level. */
const TYPE_LIMIT = 400;

/** The type alone, as in a cast. */
export function typeName(type: Type): string {
  return declaration(type, '');
}

/** `name` declared with that type; with an empty name, the abstract type. */
export function declaration(type: Type, name: string): string {
  left = TYPE_LIMIT;
  return declare(type, name, 0).trimEnd();
}

/** Types that the declaration being written may still hold. */
let left = 0;

function declare(type: Type, inner: string, depth: number): string {
  if (depth > DEPTH_LIMIT || --left < 0) return `... ${inner}`;
  switch (type.kind) {
    case 'base':
    case 'void':
    case 'typedef':
      return join(type.name, inner);
    case 'struct':
    case 'union':
    case 'class':
      return join(`${type.kind} ${type.name ?? '{...}'}`, inner);
    case 'enum':
      return join(`enum ${type.name ?? '{...}'}`, inner);
    case 'pointer': {
      const sign = type.what === 'reference' ? '&' : type.what === 'rvalue reference' ? '&&' : '*';
      const { target } = type;
      const wraps = target.kind === 'array' || target.kind === 'function';
      return declare(target, wraps ? `(${sign}${inner})` : `${sign}${inner}`, depth + 1);
    }
    case 'const':
    case 'volatile':
    case 'restrict':
    case 'atomic': {
      const word = type.kind === 'atomic' ? '_Atomic' : type.kind;
      // A qualified pointer has the word after the star; everything else in front.
      if (type.target.kind === 'pointer') return declare(type.target, inner === '' ? ` ${word}` : ` ${word} ${inner}`, depth + 1);
      if (type.target.kind === 'array') return declare(type.target, inner, depth + 1);
      return `${word} ${declare(type.target, inner, depth + 1)}`;
    }
    case 'array':
      return declare(type.element, `${inner === '' ? '' : inner}[${type.count ?? ''}]`, depth + 1);
    case 'function': {
      const parameters = type.parameters.map((p) => declare(p.type, '', depth + 1).trimEnd());
      if (type.variadic) parameters.push('...');
      const list = parameters.length > 0 ? parameters.join(', ') : type.prototyped ? 'void' : '';
      return declare(type.returns, `${inner}(${list})`, depth + 1);
    }
  }
}

function join(name: string, inner: string): string {
  return inner === '' ? name : `${name} ${inner.trimStart()}`;
}
