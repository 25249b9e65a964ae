// What the three queues of the benchmark share: commands on standard input, an answer each.
//
//   noop N CONCURRENCY                      seconds to work off N jobs that do nothing
//   image N CONCURRENCY WIDTH HEIGHT FILE   the same, each making a WebP of a file by sharp and storing it
//   latency N                               median milliseconds from handing in a job to its end
//
// N jobs are handed in before the clock starts, with no worker running; it stops when the last
// of them is done in the store.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

export const require = createRequire(process.env.NODE_MODULES + '/');
const sharp = require('sharp');
sharp.cache(false);
// Jobs run side by side, so threads within one image only get in each other's way.
sharp.concurrency(1);

export const seconds = () => Number(process.hrtime.bigint()) / 1e9;

// Wait until a question is answered by true, asked often enough for the figures' last digit.
export async function until(asked, ms = 5) {
    while (!await asked()) await new Promise((wake) => setTimeout(wake, ms));
}

export const webp = async ({ file, width, height }) =>
    sharp(await readFile(file)).resize(width, height, { fit: 'cover' }).webp({ quality: 80, effort: 4 }).toBuffer();

// queue: { run(count, concurrency, data, work) -> seconds, open(work), one() -> when it is done, close() }
export async function serve(queue) {
    for await (const line of createInterface({ input: process.stdin })) {
        const [command, count, ...rest] = line.split(' ');
        try {
            if (command === 'noop') console.log(await queue.run(+count, +rest[0], {}, null));
            else if (command === 'image') {
                const [concurrency, width, height, file] = rest;
                console.log(await queue.run(+count, +concurrency, { file, width: +width, height: +height }, webp));
            } else {
                const times = [];
                await queue.open();
                for (let i = 0; i < +count + 20; i++) {
                    const start = seconds();
                    await queue.one();
                    if (i >= 20) times.push(seconds() - start);
                }
                await queue.close();
                console.log(times.sort((a, b) => a - b)[times.length >> 1] * 1000);
            }
        } catch (error) {
            console.log(`error ${error.message.split('\n')[0]}`);
        }
    }
    process.exit(0);
}
