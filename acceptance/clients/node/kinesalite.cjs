// The Kinesis peer of the tests: kinesalite on a free port of the loopback, which its own command line cannot do.
// It says where it listens, and ends when its standard input does. Its limits are its own, but for the number of
// shards: the tests of one run share it.
'use strict';

const kinesalite = require('kinesalite');

const server = kinesalite({ shardLimit: 1000 });
server.listen(0, '127.0.0.1', () => {
  console.log(`Running on http://127.0.0.1:${server.address().port}`);
});
process.stdin.on('end', () => process.exit());
process.stdin.resume();
