// A value as text that differs wherever two values do: JSON.stringify takes -0 for 0, and Infinity for null.

'use strict';

function spelt(value) {
  if (typeof value === 'number') {
    return Object.is(value, -0) ? '-0' : String(value);
  }
  if (value === null || typeof value !== 'object') {
    return JSON.stringify(value) ?? String(value);
  }
  if (Array.isArray(value)) {
    return `[${value.map(spelt).join(',')}]`;
  }
  // Own members only, and the prototype where somebody has put one of his own.
  const members = Object.keys(value).map((key) => `${JSON.stringify(key)}:${spelt(value[key])}`);
  const prototype = Object.getPrototypeOf(value);
  const plain = prototype === Object.prototype || prototype === null;
  return `{${members.join(',')}}${plain ? '' : '<prototype>'}`;
}

module.exports = { spelt };
