// The routes of LibreChat 0.8.6, in the order in which it mounts them (CONTRACT.md appendix 1). `*` at the end of a pattern
// stands for what a router has that nobody needs to tell apart: none of it chooses or reveals a model.

'use strict';

const CRUD = 'get post patch delete';
const ANY = 'get post put patch delete';

const agents = [
  // The remote API comes first, with identity by key.
  ['post', '/v1/responses'],
  ['get', '/v1/responses/models'],
  ['get', '/v1/responses/:id'],
  ['post', '/v1/chat/completions'],
  ['get', '/v1/models'],
  ['get', '/v1/models/:model'],
  // The streams.
  ['get', '/chat/stream/:id'],
  ['get', '/chat/active'],
  ['get', '/chat/status/:id'],
  ['post', '/chat/abort'],
  // Agents, their tools and actions: before chat, so that `chat` is an id here.
  ['get', '/actions'],
  ['post', '/actions/:agentId'],
  ['delete', '/actions/:agentId/:actionId'],
  ['get', '/tools'],
  ['get', '/tools/calls'],
  ['get', '/tools/:id/auth'],
  ['post', '/tools/:id/call'],
  ['get', '/categories'],
  ['get post', '/'],
  ['get patch delete', '/:id'],
  ['get', '/:id/expanded'],
  ['post', '/:id/duplicate'],
  ['post', '/:id/revert'],
];

const assistants = ['/v1', '/v2'].flatMap((version) => [
  ['post', `${version}/actions/:assistantId`],
  ['delete', `${version}/actions/:assistantId/:actionId/:model`],
  ['get', `${version}/tools`],
  ['get', `${version}/documents`],
  ['get post', version],
  ['get patch delete', `${version}/:id`],
  ...(version === '/v2' ? [['post', `${version}/avatar/:id`]] : []),
  ['post', `${version}/chat/abort`],
  ['post', `${version}/chat`],
]);

const mounts = [
  {
    at: '/oauth',
    routes: [
      ['get', '/error'],
      ...['google', 'facebook', 'openid', 'github', 'discord', 'apple', 'saml'].flatMap((name) => [
        ['get', `/${name}`],
        [['apple', 'saml'].includes(name) ? 'get post' : 'get', `/${name}/callback`],
      ]),
    ],
  },
  {
    at: '/api/auth',
    routes: [
      ['post', '/logout'],
      ['post', '/login'],
      ['post', '/refresh'],
      ['post', '/register'],
      ['post', '/requestPasswordReset'],
      ['post', '/resetPassword'],
      ['post', '/cloudfront/refresh'],
      // By GET from LibreChat's own client.
      ['get post', '/2fa/enable'],
      ['post', '/2fa/verify'],
      ['post', '/2fa/verify-temp'],
      ['post', '/2fa/confirm'],
      ['post', '/2fa/disable'],
      ['post', '/2fa/backup/regenerate'],
      ['get', '/graph-token'],
    ],
  },
  {
    at: '/api/admin',
    routes: [
      ['post', '/login/local'],
      ['get', '/verify'],
      ['post', '/oauth/apple/callback'],
      ['post', '/oauth/saml/callback'],
      ['get post', '/oauth/*'],
      ...['config', 'grants', 'groups', 'roles', 'users'].map((name) => [ANY, `/${name}/*`]),
    ],
  },
  { at: '/api/actions', routes: [['post', '/:id/oauth/bind'], ['get', '/:id/oauth/callback']] },
  { at: '/api/keys', routes: [['get put delete', '/'], ['delete', '/:name']] },
  { at: '/api/api-keys', routes: [['get post', '/'], ['get delete', '/:id']] },
  {
    at: '/api/user',
    routes: [
      ['get post', '/settings/favorites'],
      ['get post', '/settings/skills/active'],
      ['get', '/'],
      ['get', '/terms'],
      ['post', '/terms/accept'],
      ['post', '/plugins'],
      ['delete', '/delete'],
      ['post', '/verify'],
      ['post', '/verify/resend'],
    ],
  },
  { at: '/api/search', routes: [['get', '/enable']] },
  {
    at: '/api/messages',
    routes: [
      ['get', '/'],
      ['post', '/branch'],
      ['post', '/artifact/:id'],
      ['get post', '/:conversationId'],
      ['get put delete', '/:conversationId/:messageId'],
      ['put', '/:conversationId/:messageId/feedback'],
    ],
  },
  {
    at: '/api/convos',
    routes: [
      ['get delete', '/'],
      ['get', '/gen_title/:id'],
      ['get', '/:id'],
      ['delete', '/all'],
      ['post', '/archive'],
      ['post', '/update'],
      ['post', '/import'],
      ['post', '/fork'],
      ['post', '/duplicate'],
    ],
  },
  { at: '/api/presets', routes: [['get post', '/'], ['post', '/delete']] },
  { at: '/api/prompts', routes: [[ANY, '/*']] },
  { at: '/api/categories', routes: [[ANY, '/*']] },
  { at: '/api/endpoints', routes: [['get', '/']] },
  { at: '/api/balance', routes: [['get', '/']] },
  { at: '/api/models', routes: [['get', '/']] },
  { at: '/api/config', routes: [['get', '/']] },
  { at: '/api/assistants', routes: assistants },
  {
    at: '/api/files',
    routes: [
      ['post', '/speech/stt'],
      ['get post', '/speech/tts'],
      ['post', '/speech/tts/manual'],
      ['get', '/speech/tts/voices'],
      ['get', '/speech/config/get'],
      ['get delete', '/'],
      ['get', '/config'],
      ['get', '/agent/:id'],
      ['get', '/:id/preview'],
      ['get', '/code/download/*'],
      ['get', '/download/*'],
      ['post', '/'],
      ['post', '/images'],
      ['post', '/images/avatar'],
      ['post', '/images/agents/:id/avatar'],
      ['post', '/images/assistants/:id/avatar'],
    ],
  },
  { at: '/images', routes: [['get', '/*']] },
  {
    at: '/api/share',
    routes: [
      ['get', '/link/:id'],
      ['get', '/'],
      ['get post patch delete', '/:id'],
    ],
  },
  { at: '/api/roles', routes: [['get', '/:name'], ['put', '/:name/:feature']] },
  { at: '/api/agents', routes: agents },
  { at: '/api/agents/chat', routes: [['post', '/'], ['post', '/:endpoint']] },
  { at: '/api/banner', routes: [['get', '/']] },
  { at: '/api/memories', routes: [[ANY, '/*']] },
  { at: '/api/permissions', routes: [['get put', '/*']] },
  { at: '/api/tags', routes: [[ANY, '/*']] },
  {
    at: '/api/mcp',
    routes: [
      ['get', '/:server/oauth/callback'],
      [CRUD, '/*'],
    ],
  },
  {
    at: '/api/skills',
    routes: [
      ['post', '/import'],
      ['post', '/:id/files'],
      [ANY, '/*'],
    ],
  },
];

module.exports = { mounts };
