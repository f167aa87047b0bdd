// An Express application with the parsers, the middleware order and the routes of LibreChat 0.8.6 (CONTRACT.md A.1,
// appendix 1), in the versions that it locks. It does nothing but say what it has read: the route that matched, the body,
// and what a chat turn would be made of. Tests hold what Tollgate judged against what it says.
//
//   node app.js DIRECTORY      DIRECTORY/node_modules holds the packages of package-lock.json
//
// The first line on standard output is the port. It ends when standard input does.

'use strict';

const { createRequire } = require('node:module');
const path = require('node:path');

const installed = createRequire(path.join(path.resolve(process.argv[2]), 'package.json'));
const express = installed('express');
const mongoSanitize = installed('express-mongo-sanitize');
const cors = installed('cors');
const cookieParser = installed('cookie-parser');
const compression = installed('compression');

const { mounts } = require('./routes.js');
const { spelt } = require('./spelt.js');

// Requests that have got as far as a route, probes left out.
let reached = 0;

function main() {
  const app = express();
  app.set('trust proxy', 1);
  for (const probe of ['/health', '/livez', '/readyz']) {
    app.get(probe, (_req, res) => res.status(200).send('OK'));
  }
  parsers(app);
  for (const { at, routes } of mounts) {
    const router = express.Router();
    for (const [methods, pattern] of routes) {
      for (const method of methods.split(' ')) {
        router[method](expressed(pattern), (req, res) => tell(req, res, (at + pattern).replace(/(.)\/$/, '$1')));
      }
    }
    app.use(at, router);
  }
  app.use('/metrics', (req, res) => tell(req, res, '/metrics/*'));
  app.use('/api', (req, res) => tell(req, res, null, 404));
  app.use((req, res) => tell(req, res, '/*'));
  app.use((fault, req, res, _next) => tell(req, res, null, fault.status ?? 500, fault));

  const server = app.listen(0, '127.0.0.1', () => console.log(server.address().port));
  // A test that looks at one request in a million must not lose its connection in between.
  server.keepAliveTimeout = 60_000;
  server.maxRequestsPerSocket = 0;
  process.stdin.resume();
  process.stdin.on('end', () => process.exit(0));
}

function parsers(app) {
  app.use(express.json({ limit: '3mb' }));
  app.use(express.urlencoded({ extended: true, limit: '3mb' }));
  app.use((fault, req, res, next) =>
    fault instanceof SyntaxError && fault.status === 400 ? tell(req, res, null, 400, fault) : next(fault),
  );
  // In Express 5 the query is a getter; the sanitiser assigns to it.
  app.use((req, _res, next) => {
    Object.defineProperty(req, 'query', { value: { ...req.query }, writable: true, configurable: true, enumerable: true });
    next();
  });
  app.use(mongoSanitize());
  app.use(cors());
  app.use(cookieParser());
  app.use(compression());
}

// `*` at the end stands for any rest, also none.
function expressed(pattern) {
  return pattern.replace(/\/\*$/, '{/*rest}');
}

function tell(req, res, route, status = 200, fault = undefined) {
  reached += 1;
  const chat = route === '/api/agents/chat' || route === '/api/agents/chat/:endpoint';
  res.status(status).json({
    reached,
    route,
    method: req.method,
    url: req.originalUrl,
    fault: fault && String(fault.type ?? fault.message),
    query: req.query && spelt(req.query),
    headers: chat ? { type: req.headers['content-type'], encoding: req.headers['content-encoding'] } : undefined,
    body: fault || req.body === undefined ? undefined : spelt(req.body),
    turn: chat && !fault ? turn(req.body ?? {}) : undefined,
  });
}

// The members from which LibreChat makes a turn (CONTRACT.md B.1, B.3), each spelt out.
function turn(body) {
  const choice = (from) =>
    Object.fromEntries(
      ['endpoint', 'endpointType', 'model', 'agent_id', 'spec'].map((name) => [name, from[name] === undefined ? undefined : spelt(from[name])]),
    );
  const added = body.addedConvo;
  return {
    ...choice(body),
    conversationId: body.conversationId === undefined ? undefined : spelt(body.conversationId),
    addedConvo: added !== null && typeof added === 'object' && !Array.isArray(added) ? choice(added) : undefined,
  };
}

main();
