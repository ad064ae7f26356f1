// One device of one user: the unmodified amazon-cognito-js sync manager on aws-sdk v2.
//
// It reads one JSON command per line from standard input and answers each with one line of JSON. What the sync
// manager calls back is recorded in the answer, never judged here. Every command has a time limit, since the
// manager itself can wait for ever when a server misbehaves.
'use strict';

process.env.AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE = '1';
const fs = require('node:fs');
const readline = require('node:readline');
const AWS = require('aws-sdk');

const COMMAND_MILLISECONDS_MAX = 60_000;
const endpoint = process.env.CARRYALL_ENDPOINT;
const storeFile = process.env.CARRYALL_DEVICE_FILE;

// A stand-in for the browser's local storage. Kept in a file, it survives the process as an app's storage would.
const stored = new Map(storeFile && fs.existsSync(storeFile) ? JSON.parse(fs.readFileSync(storeFile, 'utf8')) : []);
const save = () => storeFile && fs.writeFileSync(storeFile, JSON.stringify([...stored]));
global.window = {
  localStorage: {
    getItem: (key) => (stored.has(key) ? stored.get(key) : null),
    setItem: (key, value) => {
      stored.set(key, String(value));
      save();
    },
    removeItem: (key) => {
      stored.delete(key);
      save();
    },
  },
};

AWS.config.update({
  region: 'us-east-1',
  cognitosync: { endpoint },
  cognitoidentity: { endpoint },
  sts: { endpoint },
});
const who = { IdentityPoolId: process.env.CARRYALL_POOL };
if (process.env.CARRYALL_IDENTITY) who.IdentityId = process.env.CARRYALL_IDENTITY;
if (process.env.CARRYALL_ROLE) who.RoleArn = process.env.CARRYALL_ROLE;
AWS.config.credentials = new AWS.CognitoIdentityCredentials(who, { region: 'us-east-1' });
require('amazon-cognito-js');

let manager;
let unanswered = null;
const answer = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
process.on('uncaughtException', (error) => {
  if (unanswered) unanswered({ error: `outside every callback: ${error.stack}` });
  else answer({ error: `outside every command: ${error.stack}` });
});

const open = (name) =>
  new Promise((resolve, reject) =>
    manager.openOrCreateDataset(name, (error, dataset) => (error ? reject(error) : resolve(dataset))),
  );
const called = (target, method, ...given) =>
  new Promise((resolve, reject) =>
    target[method](...given, (error, value) => (error ? reject(error) : resolve(value))),
  );
const plain = (record) => ({
  key: record.getKey(),
  value: record.getValue() ?? null,
  count: record.getSyncCount() ?? null,
  modified: Boolean(record.isModified()),
});

// Resolutions of a conflict by the name that a command gives.
const RESOLUTIONS = {
  local: (conflict) => conflict.resolveWithLocalRecord(),
  remote: (conflict) => conflict.resolveWithRemoteRecord(),
  joined: (conflict) =>
    conflict.resolveWithValue(`${conflict.getRemoteRecord().getValue()}+${conflict.getLocalRecord().getValue()}`),
};

const COMMANDS = {
  put: async (dataset, { key, value }) => void (await called(dataset, 'put', key, value)),
  // One put after the other: the client's own putAll recurses for each key and overflows the stack at a thousand.
  putAll: async (dataset, { values }) => {
    for (const [key, value] of Object.entries(values)) await called(dataset, 'put', key, value);
  },
  remove: async (dataset, { key }) => void (await called(dataset, 'remove', key)),
  get: async (dataset, { key }) => ({ value: (await called(dataset, 'get', key)) ?? null }),
  getAll: async (dataset) => ({ values: await called(dataset, 'getAll') }),
  records: async (dataset) => ({ records: (await called(dataset, 'getAllRecords')).map(plain) }),
  // Marks the dataset as deleted on this device; the next synchronize deletes it on the server.
  delete: async (dataset) => void (await called(manager.local, 'deleteDataset', manager.getIdentityId(), dataset.datasetName)),
  // Drops this device's copy, as an app does after it was told that the dataset is gone.
  forget: async (dataset) => void (await called(manager.local, 'purgeDataset', manager.getIdentityId(), dataset.datasetName)),
  remoteDatasets: async () => ({
    datasets: (await called(manager, 'refreshDatasetMetadata')).map((metadata) => ({
      name: metadata.getDatasetName(),
      records: metadata.getRecordCount(),
      bytes: metadata.getDataStorage(),
    })),
  }),
  synchronize: (dataset, { resolve = 'abort' }) =>
    new Promise((done) => {
      const events = [];
      dataset.synchronize({
        onSuccess: (_, updates) => done({ outcome: 'success', updates: (updates ?? []).map(plain), events }),
        onFailure: (error) => done({ outcome: 'failure', message: String(error && error.message), events }),
        onConflict: (_, conflicts, next) => {
          events.push({
            conflict: conflicts.map((conflict) => ({
              key: conflict.getKey(),
              local: conflict.getLocalRecord().getValue() ?? null,
              remote: conflict.getRemoteRecord().getValue() ?? null,
            })),
          });
          if (resolve === 'abort') return next(false);
          return dataset.resolve(conflicts.map(RESOLUTIONS[resolve]), () => next(true));
        },
        onDatasetDeleted: (_, name, next) => {
          events.push({ deleted: name });
          next(false);
        },
        onDatasetsMerged: (_, names, next) => {
          events.push({ merged: names });
          next(false);
        },
      });
    }),
};

async function obey(command) {
  const limit = new Promise((resolve) => {
    const timer = setTimeout(() => resolve({ error: `no answer within ${COMMAND_MILLISECONDS_MAX} ms` }), COMMAND_MILLISECONDS_MAX);
    timer.unref();
  });
  const thrown = new Promise((resolve) => {
    unanswered = resolve;
  });
  const work = open(command.dataset ?? 'prefs')
    .then((dataset) => COMMANDS[command.do](dataset, command))
    .then((result) => result ?? {})
    .catch((error) => ({ error: String(error && error.message) }));
  answer(await Promise.race([work, limit, thrown]));
  unanswered = null;
}

AWS.config.credentials.get(async (error) => {
  if (error) {
    answer({ error: `${error.code}: ${error.message}` });
    process.exit(1);
  }
  manager = new AWS.CognitoSyncManager();
  answer({ identity: manager.getIdentityId() });
  for await (const line of readline.createInterface({ input: process.stdin })) await obey(JSON.parse(line));
  process.exit(0);
});
