// The benchmarks' work by sharp: reads "CASE FILE" a line, answers "MILLISECONDS BYTES".
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const sharp = createRequire(process.env.NODE_MODULES + '/')('sharp');
sharp.cache(false);

const cases = {
    resize: (bytes) => sharp(bytes).resize(800).jpeg({ quality: 85, optimizeCoding: true }).toBuffer(),
    five: (bytes) => sharp(bytes).resize(960, 540).extract({ left: 80, top: 20, width: 800, height: 500 })
        .toBuffer().then((cut) => sharp(cut).blur(1.5).rotate(90).flip().jpeg({ quality: 85 }).toBuffer()),
    webp: (bytes) => sharp(bytes).resize(256).webp({ quality: 80, effort: 4 }).toBuffer(),
    effects: async (bytes) => {
        const base = sharp(bytes).resize(800);
        const over = await base.clone().blur(3).ensureAlpha(0.7).raw().toBuffer({ resolveWithObject: true });
        const laid = await base.composite([{ input: over.data, raw: over.info }]).raw()
            .toBuffer({ resolveWithObject: true });
        return sharp(laid.data, { raw: laid.info }).rotate(90).flatten().jpeg({ quality: 85 }).toBuffer();
    },
    export: async (bytes) => {
        const image = sharp(bytes);
        const [png] = await Promise.all([
            image.clone().png({ compressionLevel: 9 }).toBuffer(),
            image.clone().jpeg({ quality: 85 }).toBuffer(),
            image.clone().webp({ quality: 80, effort: 4 }).toBuffer()]);
        return png;
    },
    header: (bytes) => sharp(bytes).metadata(),
};

for await (const line of createInterface({ input: process.stdin })) {
    const [name, path] = line.split(' ');
    const start = process.hrtime.bigint();
    const made = await cases[name](await readFile(path));
    const took = Number(process.hrtime.bigint() - start) / 1e6;
    process.stdout.write(`${took.toFixed(4)} ${made.length ?? 0}\n`);
}
