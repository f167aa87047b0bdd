// Writes bodies in charsets and content codings: an array of {text, charset, coding} comes as JSON on standard input, an
// array of Base64 goes out. The coding `members` is gzip in two members, cut where the text holds `<CUT>`.
//
//   node encode.js DIRECTORY      DIRECTORY/node_modules holds the packages of package-lock.json

'use strict';

const { readFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const path = require('node:path');
const zlib = require('node:zlib');

const iconv = createRequire(path.join(path.resolve(process.argv[2]), 'package.json'))('iconv-lite');

const codings = {
  plain: (bytes) => bytes,
  gzip: (bytes) => zlib.gzipSync(bytes),
  twice: (bytes) => zlib.gzipSync(zlib.gzipSync(bytes)),
  deflate: (bytes) => zlib.deflateSync(bytes),
  br: (bytes) => zlib.brotliCompressSync(bytes),
};

const bodies = JSON.parse(readFileSync(0, 'utf8'));
const encoded = bodies.map(({ text, charset, coding }) => {
  const parts = text.split('<CUT>').map((part) => (charset === 'raw' ? Buffer.from(part, 'latin1') : iconv.encode(part, charset)));
  const coded = coding === 'members' ? Buffer.concat(parts.map((part) => zlib.gzipSync(part))) : codings[coding](Buffer.concat(parts));
  return coded.toString('base64');
});
process.stdout.write(JSON.stringify(encoded));
