// A real Node http server that tells on its standard output all it has understood: one JSON object a line.
'use strict';
const http = require('node:http');

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
// LibreChat's parser is the strict one. The lenient one is for the test that the harness finds faults.
const options = { insecureHTTPParser: process.argv[2] === 'lenient' };
let connections = 0;

const server = http.createServer(options, (request, response) => {
  if (request.url === '/health') {
    response.end('OK');
    return;
  }
  const pieces = [];
  const told = (whole) => ({
    what: 'request',
    whole,
    connection: request.socket.number,
    method: request.method,
    target: request.url,
    headers: request.rawHeaders,
    body: Buffer.concat(pieces).toString('base64'),
  });
  let ended = false;
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    ended = true;
    say(told(true));
    const body = '{"seen":true}';
    const seen = request.headers['x-request-id'] ?? '';
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length, 'x-seen': seen });
    response.end(body);
  });
  request.on('close', () => {
    if (!ended) say(told(false));
  });
  request.on('error', () => {});
});
server.on('connection', (socket) => {
  connections += 1;
  socket.number = connections;
});
server.on('clientError', (error, socket) => {
  say({ what: 'fault', code: error.code ?? String(error), connection: socket.number });
  socket.destroy();
});
server.on('upgrade', (request, socket) => {
  say({ what: 'fault', code: 'UPGRADE', connection: socket.number });
  socket.destroy();
});
server.on('connect', (request, socket) => {
  say({ what: 'fault', code: 'CONNECT', connection: socket.number });
  socket.destroy();
});
server.listen(0, '127.0.0.1', 1024, () => say({ what: 'listening', port: server.address().port }));
// Whoever started this has the other end of its input; when that is gone, so is the use of this.
process.stdin.on('end', () => process.exit()).resume();
