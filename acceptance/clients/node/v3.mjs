// The JavaScript SDK v3: its own credential provider, static keys, all operations, and typed errors.
// One line of JSON per case; the exit code is 1 if any failed.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { CognitoIdentityClient, CreateIdentityPoolCommand, DeleteIdentityPoolCommand, GetIdCommand } from '@aws-sdk/client-cognito-identity';
import * as sync from '@aws-sdk/client-cognito-sync';
import { AssumeRoleWithWebIdentityCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { fromCognitoIdentity, fromCognitoIdentityPool } from '@aws-sdk/credential-providers';

const endpoint = process.env.CARRYALL_ENDPOINT;
const region = 'us-east-1';
const base = { region, endpoint, maxAttempts: 1 };

const cases = [];
const test = (name, body) => cases.push([name, body]);

// What every pool is set up for: a trigger, a stream and push, or nothing.
const effects = JSON.parse(process.env.CARRYALL_EFFECTS ?? 'null');

async function newPool() {
  const IdentityPoolId = await barePool();
  if (effects) {
    const { Events, ...blocks } = effects;
    await developer().send(new sync.SetCognitoEventsCommand({ IdentityPoolId, Events }));
    await developer().send(new sync.SetIdentityPoolConfigurationCommand({ IdentityPoolId, ...blocks }));
  }
  return IdentityPoolId;
}

// A pool that is set up for nothing, for cases about these very settings.
async function barePool() {
  const answer = await new CognitoIdentityClient(base).send(
    new CreateIdentityPoolCommand({ IdentityPoolName: 'v3', AllowUnauthenticatedIdentities: true }),
  );
  return answer.IdentityPoolId;
}

async function newGuest(pool) {
  const IdentityPoolId = pool ?? (await newPool());
  const credentials = fromCognitoIdentityPool({ identityPoolId: IdentityPoolId, clientConfig: base });
  const { identityId } = await credentials();
  const client = new sync.CognitoSyncClient({ ...base, credentials });
  const owner = { IdentityPoolId, IdentityId: identityId };
  return { client, owner, at: (DatasetName) => ({ ...owner, DatasetName }) };
}

const developer = () => new sync.CognitoSyncClient(base);

async function put(guest, dataset, patches) {
  const { SyncSessionToken } = await guest.client.send(new sync.ListRecordsCommand(guest.at(dataset)));
  return guest.client.send(
    new sync.UpdateRecordsCommand({ ...guest.at(dataset), SyncSessionToken, RecordPatches: patches }),
  );
}

async function refused(promise, type, status, message = /./) {
  const error = await promise.then(
    (answer) => assert.fail(`expected ${type.name ?? type}, got ${JSON.stringify(answer)}`),
    (error) => error,
  );
  if (typeof type === 'string') assert.equal(error.name, type, error.message);
  else assert.ok(error instanceof type, `expected ${type.name}, got ${error.name}: ${error.message}`);
  assert.equal(error.$metadata.httpStatusCode, status);
  assert.match(error.message, message);
}

test('the credential provider of an identity pool signs everything a device needs', async () => {
  const guest = await newGuest();
  const date = new Date('2015-03-04T05:06:07.089Z');
  const answer = await put(guest, 'prefs', [
    { Op: 'replace', Key: 'theme', Value: 'dark', SyncCount: 0, DeviceLastModifiedDate: date },
  ]);
  assert.equal(answer.Records[0].SyncCount, 1);
  const listing = await guest.client.send(new sync.ListRecordsCommand(guest.at('prefs')));
  assert.equal(listing.Records[0].Value, 'dark');
  assert.equal(listing.Records[0].DeviceLastModifiedDate.getTime(), date.getTime());
  assert.ok(Math.abs(listing.Records[0].LastModifiedDate - Date.now()) < 60_000);
  assert.equal(listing.DatasetSyncCount, 1);
  assert.equal(listing.DatasetExists, true);
  assert.equal(listing.DatasetDeletedAfterRequestedSyncCount, false);
  const described = await guest.client.send(new sync.DescribeDatasetCommand(guest.at('prefs')));
  assert.equal(described.Dataset.DataStorage, 9);
  const datasets = await guest.client.send(new sync.ListDatasetsCommand(guest.owner));
  assert.equal(datasets.Count, 1);
  const usage = await guest.client.send(new sync.DescribeIdentityUsageCommand(guest.owner));
  assert.equal(usage.IdentityUsage.DataStorage, 9);
  const deleted = await guest.client.send(new sync.DeleteDatasetCommand(guest.at('prefs')));
  assert.equal(deleted.Dataset.NumRecords, 1);
});

test('a device that knows its identity gets credentials of that identity', async () => {
  const pool = await newPool();
  const { IdentityId } = await new CognitoIdentityClient(base).send(new GetIdCommand({ IdentityPoolId: pool }));
  const credentials = fromCognitoIdentity({ identityId: IdentityId, clientConfig: base });
  const client = new sync.CognitoSyncClient({ ...base, credentials });
  const answer = await client.send(new sync.ListDatasetsCommand({ IdentityPoolId: pool, IdentityId }));
  assert.deepEqual(answer.Datasets, []);
});

test('a colon in a dataset name arrives', async () => {
  const guest = await newGuest();
  await put(guest, 'prefs.us-east-1:0-0', [{ Op: 'replace', Key: 'k', Value: 'v', SyncCount: 0 }]);
  const datasets = await guest.client.send(new sync.ListDatasetsCommand(guest.owner));
  assert.equal(datasets.Datasets[0].DatasetName, 'prefs.us-east-1:0-0');
});

test('static keys of the developer reach every operation of the pool', async () => {
  const guest = await newGuest();
  const { IdentityPoolId } = guest.owner;
  const root = developer();
  await put(guest, 'prefs', [{ Op: 'replace', Key: 'k', Value: 'v', SyncCount: 0 }]);
  const usage = await root.send(new sync.DescribeIdentityPoolUsageCommand({ IdentityPoolId }));
  assert.equal(usage.IdentityPoolUsage.DataStorage, 2);
  const pools = await root.send(new sync.ListIdentityPoolUsageCommand({ MaxResults: 1024 }));
  assert.ok(pools.IdentityPoolUsages.some((pool) => pool.IdentityPoolId === IdentityPoolId));
  const function_ = 'arn:aws:lambda:us-east-1:123456789012:function:on-sync';
  await root.send(new sync.SetCognitoEventsCommand({ IdentityPoolId, Events: { SyncTrigger: function_ } }));
  const events = await root.send(new sync.GetCognitoEventsCommand({ IdentityPoolId }));
  assert.deepEqual(events.Events, { SyncTrigger: function_ });
  await root.send(new sync.SetCognitoEventsCommand({ IdentityPoolId, Events: { SyncTrigger: '' } }));
  const CognitoStreams = {
    StreamName: 'changes',
    RoleArn: 'arn:aws:iam::123456789012:role/streams',
    StreamingStatus: 'DISABLED',
  };
  await root.send(new sync.SetIdentityPoolConfigurationCommand({ IdentityPoolId, CognitoStreams }));
  const configuration = await root.send(new sync.GetIdentityPoolConfigurationCommand({ IdentityPoolId }));
  assert.deepEqual(configuration.CognitoStreams, CognitoStreams);
  const bulk = await root.send(new sync.GetBulkPublishDetailsCommand({ IdentityPoolId }));
  assert.equal(bulk.BulkPublishStatus, 'NOT_STARTED');
  await refused(root.send(new sync.BulkPublishCommand({ IdentityPoolId })), sync.InvalidParameterException, 400);
  const caller = await new STSClient(base).send(new GetCallerIdentityCommand({}));
  assert.equal(caller.Account, '000000000000');
});

test('errors arrive as their types', async () => {
  const guest = await newGuest();
  const bare = await newGuest(await barePool());
  const root = developer();
  const { client } = guest;
  const DeviceId = randomUUID();
  await put(guest, 'prefs', [{ Op: 'replace', Key: 'k', Value: 'v', SyncCount: 0 }]);
  await refused(
    put(guest, 'prefs', [{ Op: 'replace', Key: 'k', Value: 'w', SyncCount: 0 }]),
    sync.ResourceConflictException,
    409,
    /^Current SyncCount for: k is: 1 not: 0$/,
  );
  await refused(
    client.send(new sync.ListRecordsCommand({ ...guest.at('prefs'), LastSyncCount: 2 })),
    sync.InvalidParameterException,
    400,
    /^No such SyncCount: 2 exists for this Dataset/,
  );
  await refused(client.send(new sync.DescribeDatasetCommand(guest.at('none'))), sync.ResourceNotFoundException, 404);
  await refused(client.send(new sync.ListIdentityPoolUsageCommand({})), sync.NotAuthorizedException, 403);
  await put(bare, 'prefs', [{ Op: 'replace', Key: 'k', Value: 'v', SyncCount: 0 }]);
  await refused(
    bare.client.send(new sync.RegisterDeviceCommand({ ...bare.owner, Platform: 'APNS', Token: 't' })),
    sync.InvalidConfigurationException,
    400,
  );
  await refused(
    bare.client.send(new sync.SubscribeToDatasetCommand({ ...bare.at('prefs'), DeviceId })),
    sync.InvalidConfigurationException,
    400,
  );
  await refused(
    bare.client.send(new sync.UnsubscribeFromDatasetCommand({ ...bare.at('prefs'), DeviceId })),
    sync.ResourceNotFoundException,
    404,
  );
  const many = Array.from({ length: 1025 }, (_, n) => ({ Op: 'replace', Key: `k${n}`, Value: 'v', SyncCount: 0 }));
  await refused(put(guest, 'many', many), sync.LimitExceededException, 400);
  await refused(
    root.send(new sync.UpdateRecordsCommand({ ...guest.at('prefs'), SyncSessionToken: 't', RecordPatches: [] })),
    sync.NotAuthorizedException,
    403,
  );
  const credentials = { accessKeyId: 'AKIAUNKNOWNUNKNOWN00', secretAccessKey: 's' };
  await refused(
    new sync.CognitoSyncClient({ ...base, credentials }).send(new sync.ListIdentityPoolUsageCommand({})),
    'UnrecognizedClientException',
    403,
  );
  await refused(
    new STSClient(base).send(
      new AssumeRoleWithWebIdentityCommand({
        RoleArn: 'arn:aws:iam::123456789012:role/guests',
        RoleSessionName: 'web-identity',
        WebIdentityToken: 'nonsense',
      }),
    ),
    'InvalidIdentityTokenException',
    400,
  );
});

test('a client whose clock is wrong mends itself by the Date header', async () => {
  const guest = await newGuest();
  const credentials = await fromCognitoIdentity({ identityId: guest.owner.IdentityId, clientConfig: base })();
  const client = new sync.CognitoSyncClient({
    ...base,
    maxAttempts: 3,
    systemClockOffset: -3_600_000,
    credentials: { ...credentials, expiration: undefined },
  });
  const answer = await client.send(new sync.ListDatasetsCommand(guest.owner));
  assert.equal(answer.Count, 0);
});

test('a deleted pool refuses the credentials that are out', async () => {
  const guest = await newGuest();
  const { IdentityPoolId } = guest.owner;
  // The provider fetches credentials with the first call; they have to be out before the pool goes.
  await guest.client.send(new sync.ListRecordsCommand(guest.at('prefs')));
  await new CognitoIdentityClient(base).send(new DeleteIdentityPoolCommand({ IdentityPoolId }));
  await refused(guest.client.send(new sync.ListRecordsCommand(guest.at('prefs'))), sync.NotAuthorizedException, 403);
});

let failed = 0;
for (const [name, body] of cases) {
  try {
    await body();
    console.log(JSON.stringify({ case: name, passed: true }));
  } catch (error) {
    failed += 1;
    console.log(JSON.stringify({ case: name, passed: false, trace: String(error.stack ?? error) }));
  }
}
process.exit(failed ? 1 : 0);
