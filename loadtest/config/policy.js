// The policy of the load test for njs: the same questions that Tollgate answers, asked in the same order.
import crypto from 'crypto';
import people from 'people.js';

const SECRET = '@SECRET@';
const ALLOWED = { USER: { openAI: ['gpt-4o-mini'], MindRoom: ['mindroom-basic'] } };

// The person's role, or nothing.
function role(r) {
    const found = /^Bearer ([\w-]+)\.([\w-]+)\.([\w-]+)$/.exec(r.headersIn.Authorization || '');
    if (!found) {
        return undefined;
    }
    if (JSON.parse(Buffer.from(found[1], 'base64url').toString()).alg !== 'HS256') {
        return undefined;
    }
    const seal = crypto.createHmac('sha256', SECRET).update(found[1] + '.' + found[2]).digest('base64url');
    if (seal !== found[3]) {
        return undefined;
    }
    const claims = JSON.parse(Buffer.from(found[2], 'base64url').toString());
    return claims.exp > Date.now() / 1000 ? people[claims.id] : undefined;
}

function unknown(r) {
    r.headersOut['Content-Type'] = 'application/json';
    r.return(401, '{"message":"Unauthorized"}');
}

function pass(r) {
    if (r.uri !== '/health' && !role(r)) {
        return unknown(r);
    }
    r.internalRedirect('@librechat');
}

function chat(r) {
    const who = role(r);
    if (!who) {
        return unknown(r);
    }
    const body = JSON.parse(r.requestText);
    const models = ALLOWED[who][body.endpoint];
    if (!models || !models.includes(body.model)) {
        r.headersOut['Content-Type'] = 'application/json';
        return r.return(403, JSON.stringify({ type: 'illegal_model_request', info: body.endpoint + '|' + body.model }));
    }
    r.internalRedirect('@librechat');
}

async function models(r) {
    const who = role(r);
    if (!who) {
        return unknown(r);
    }
    const reply = await r.subrequest('/_models');
    const all = JSON.parse(reply.responseText);
    const kept = {};
    Object.keys(all).forEach((endpoint) => {
        const left = all[endpoint].filter((model) => (ALLOWED[who][endpoint] || []).includes(model));
        if (left.length) {
            kept[endpoint] = left;
        }
    });
    r.headersOut['Content-Type'] = 'application/json';
    r.return(200, JSON.stringify(kept));
}

export default { pass, chat, models };
