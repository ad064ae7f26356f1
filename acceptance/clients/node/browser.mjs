// A real browser that listens to server-sent events: headless Chromium, driven without a test runner.
//
// It reads one JSON command per line from standard input: {"do":"visit","url"}, {"do":"open","id","url","types"},
// {"do":"close","id"}. It reports one line of JSON per thing that happens: {"ready"}, {"visited"}, and for each event
// source {"id","happened":"open"|"error"|"event",...}. It judges nothing, and ends when its standard input does.
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const report = (line) => console.log(JSON.stringify(line));

const browser = await chromium.launch({
  executablePath: process.env.CARRYALL_TEST_CHROMIUM || '/usr/bin/chromium',
  args: [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
const page = await browser.newPage();
await page.exposeFunction('report', report);

const commands = {
  async visit({ url }) {
    const answer = await page.goto(url);
    report({ visited: url, status: answer?.status() ?? 0 });
  },
  // A source calls back only for the types that it was asked to listen to.
  open: (command) =>
    page.evaluate(({ id, url, types }) => {
      const source = new EventSource(url);
      (window.sources ??= new Map()).set(id, source);
      source.onopen = () => window.report({ id, happened: 'open' });
      source.onerror = () => window.report({ id, happened: 'error', closed: source.readyState === EventSource.CLOSED });
      for (const type of types) {
        source.addEventListener(type, ({ data, lastEventId }) =>
          window.report({ id, happened: 'event', type, lastEventId, data }),
        );
      }
    }, command),
  close: ({ id }) => page.evaluate((closed) => window.sources.get(closed).close(), id),
};

report({ ready: browser.version() });
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  try {
    await commands[command.do](command);
  } catch (trouble) {
    report({ trouble: String(trouble) });
  }
}
await browser.close();
process.exit();
