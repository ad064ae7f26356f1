// Node's own HTTP client, which the JavaScript SDKs use: one request, sent again and again, that is refused before its
// body is read. Whatever but the answer comes of a try is a failure, a reset after the answer too.

import http from 'node:http';

const refusal = JSON.parse(process.env.CARRYALL_REFUSAL);
const endpoint = new URL(process.env.CARRYALL_ENDPOINT);
const body = Buffer.alloc(refusal.bytes, ' ');
const headers = Object.fromEntries(refusal.headers);
const agents = [true, false].map((keepAlive) => new http.Agent({ keepAlive, maxSockets: 1 }));

function attempt({ keepAlive, apart }) {
  return new Promise((resolve, reject) => {
    const request = http.request({
      host: endpoint.hostname,
      port: endpoint.port,
      method: refusal.method,
      path: refusal.target,
      headers: { ...headers, Host: endpoint.host, 'Content-Length': body.length },
      agent: agents[keepAlive ? 0 : 1],
    });
    let answer;
    let sent = false;
    const settle = () => answer !== undefined && sent && resolve(answer);
    request.on('error', reject);
    request.on('close', () => reject(new Error('closed without an answer, or before all was sent')));
    request.on('finish', () => {
      sent = true;
      settle();
    });
    request.on('response', (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('error', reject);
      response.on('end', () => {
        const { __type } = JSON.parse(Buffer.concat(parts));
        answer = `${response.statusCode} ${__type}`;
        settle();
      });
    });
    if (apart) {
      request.flushHeaders();
      setImmediate(() => request.end(body));
    } else {
      request.end(body);
    }
  });
}

const failures = new Map();
const fail = (what) => failures.set(what, (failures.get(what) ?? 0) + 1);
// A reset after the answer finds nobody who listens for errors of the socket.
process.on('uncaughtException', (error) => fail(`after an answer: ${error}`));

const expected = `${refusal.status} ${refusal.error}`;
for (let number = 0; number < refusal.tries; number += 1) {
  const manner = { keepAlive: number % 2 === 0, apart: number % 4 >= 2 };
  const outcome = await attempt(manner).catch((error) => String(error));
  if (outcome !== expected) {
    fail(`${JSON.stringify(manner)}: ${outcome}`);
  }
}
for (const agent of agents) agent.destroy();
const trace = [...failures].map(([what, count]) => `${count} × ${what}`).join('\n');
console.log(JSON.stringify({ case: refusal.case, passed: failures.size === 0, trace }));
process.exitCode = failures.size === 0 ? 0 : 1;
