// The benchmarks' work by sharp: reads "CASE FILE" a line, answers "MILLISECONDS BYTES".
// Each case makes the picture that SQL makes, in the fastest way found: raw pixels between two
// pipelines where one cannot do it, and nothing decoded twice.
//
// Threads are sharp's default, one an image where libc's malloc is used.  Its cache keeps operations
// on inputs that come again; the codec and the C program have theirs switched off as well.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const sharp = createRequire(process.env.NODE_MODULES + '/')('sharp');
sharp.cache(false);

const pixels = (image) => image.raw().toBuffer({ resolveWithObject: true })
    .then(({ data, info }) => () => sharp(data, { raw: info }));

const cases = {
    resize: (bytes) => sharp(bytes).resize(800).jpeg({ quality: 85, optimizeCoding: true }).toBuffer(),
    // sharp mirrors before it turns, so what is flipped afterwards is flopped before.
    five: async (bytes) => {
        const cut = await pixels(sharp(bytes).resize(960, 540).extract({ left: 80, top: 20, width: 800, height: 500 }));
        return cut().blur(1.5).flop().rotate(90).jpeg({ quality: 85 }).toBuffer();
    },
    webp: (bytes) => sharp(bytes).resize(256).webp({ quality: 80, effort: 4 }).toBuffer(),
    effects: async (bytes) => {
        const base = await pixels(sharp(bytes).resize(800).rotate(90));
        const over = await base().blur(3).ensureAlpha(0.7).raw().toBuffer({ resolveWithObject: true });
        return base().composite([{ input: over.data, raw: over.info }]).removeAlpha().jpeg({ quality: 85 }).toBuffer();
    },
    export: async (bytes) => {
        const image = await pixels(sharp(bytes));
        const [png] = await Promise.all([
            image().png({ compressionLevel: 9 }).toBuffer(),
            image().jpeg({ quality: 85 }).toBuffer(),
            image().webp({ quality: 80, effort: 4 }).toBuffer()]);
        return png;
    },
    tiny: (bytes) => sharp(bytes).webp({ quality: 80, effort: 4 }).toBuffer(),
    header: (path) => sharp(path).metadata(),
};

for await (const line of createInterface({ input: process.stdin })) {
    const [name, path] = line.split(' ');
    const start = process.hrtime.bigint();
    // A header is read without the rest of the file, as SQL reads it.
    const made = await cases[name](name === 'header' ? path : await readFile(path));
    const took = Number(process.hrtime.bigint() - start) / 1e6;
    process.stdout.write(`${took.toFixed(4)} ${made.length ?? 0}\n`);
}
