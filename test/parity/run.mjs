// Compare our functions with sharp on the cases of cases.mjs; psql has to reach a server.
//
//     node run.mjs PHOTO [DOC]      DOC gets the list of differences
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { cases, makeFixtures } from './cases.mjs';

const sharp = createRequire(process.env.NODE_MODULES + '/')('sharp');
const [photo, doc] = process.argv.slice(2);

function sql(statement) {
    return execFileSync('psql', ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-f', '-'],
        { input: statement, maxBuffer: 1 << 28, stdio: ['pipe', 'pipe', 'pipe'] }).toString().trim();
}

// Pixels as premultiplied RGBA: colours that cannot be seen do not count.
async function pixels(bytes, pages) {
    const { data, info } = await sharp(bytes, { pages: pages ? -1 : 1 }).ensureAlpha().toColourspace('srgb')
        .raw().toBuffer({ resolveWithObject: true });
    const values = new Float64Array(data.length);
    for (let i = 0; i < data.length; i += 4) {
        for (let c = 0; c < 3; c++) values[i + c] = data[i + c] * data[i + 3] / 255;
        values[i + 3] = data[i + 3];
    }
    // Sizes, and of an animation how many pages there are, how long each stays and how often they loop.
    const { delay, loop } = pages ? await sharp(bytes, { pages: -1 }).metadata() : {};
    const shape = `${info.width}x${info.height}` + (pages ? `, delays ${delay}, loop ${loop}` : '');
    return { values, shape, width: info.width, height: info.height };
}

// The mean difference, and the largest difference between the means of 8 x 8 blocks.
function difference(a, b) {
    let sum = 0;
    let worst = 0;
    for (let i = 0; i < a.values.length; i++) sum += Math.abs(a.values[i] - b.values[i]);
    for (let top = 0; top < a.height; top += 8)
        for (let left = 0; left < a.width; left += 8)
            for (let c = 0; c < 4; c++) {
                let block = 0;
                let count = 0;
                for (let y = top; y < Math.min(top + 8, a.height); y++)
                    for (let x = left; x < Math.min(left + 8, a.width); x++, count++) {
                        const at = 4 * (y * a.width + x) + c;
                        block += a.values[at] - b.values[at];
                    }
                worst = Math.max(worst, Math.abs(block / count));
            }
    return { mean: sum / a.values.length, block: worst };
}

const fixtures = await makeFixtures(sharp, photo);
sql('CREATE EXTENSION IF NOT EXISTS imgexport; DROP TABLE IF EXISTS fixtures; CREATE TABLE fixtures (name text, image bytea);'
    + Object.entries(fixtures).map(([name, bytes]) => `INSERT INTO fixtures VALUES ('${name}', '\\x${bytes.toString('hex')}');`).join('\n')
    + 'CREATE OR REPLACE FUNCTION fixture(wanted text) RETURNS bytea LANGUAGE sql STABLE AS $$ SELECT image FROM fixtures WHERE name = wanted $$;');

let failed = 0;
const differences = [];
for (const [index, [name, fixture, theirs, ours, options = {}]] of cases.entries()) {
    let verdict;
    try {
        const source = sharp(fixtures[fixture], { pages: options.pages ? -1 : 1 });
        const [theirFormat, ourFormat] = options.written ?? (options.pages
            ? [(s) => s.webp({ lossless: true }), `'webp', options => '{"lossless": true}'`] : [(s) => s.png(), "'png'"]);
        const made = theirs(source, (wanted) => fixtures[wanted]);
        const expected = await pixels(await theirFormat(made).toBuffer(), options.pages);
        const hex = sql(`SELECT encode(img_convert(${ours}, ${ourFormat}), 'hex') FROM fixtures WHERE name = '${fixture}';`);
        const found = await pixels(Buffer.from(hex, 'hex'), options.pages);

        if (found.shape !== (options.size ?? expected.shape))
            verdict = `${found.shape}, not ${options.size ?? expected.shape}`;
        else if (options.size) differences.push([name, `${expected.shape} in sharp, ${options.size} here: ${options.differs}`]);
        else {
            const { mean, block } = difference(found, expected);
            const shown = `mean ${mean.toFixed(2)}, block ${block.toFixed(1)}`;
            if (options.differs) differences.push([name, options.differs]);
            else if (mean > (options.mean ?? 0.5) || block > (options.block ?? 1.5)) verdict = shown;
            if ((options.mean || options.block) && !options.why) verdict = 'a tolerance of its own without a why';
            console.log(`# ${name}: ${shown}`);
        }
    } catch (error) {
        verdict = String(error.stderr ?? error).trim();
    }
    failed += verdict !== undefined;
    console.log(`${verdict === undefined ? 'ok' : 'not ok'} ${index + 1} - ${name}${verdict === undefined ? '' : `: ${verdict}`}`);
}
if (doc)
    writeFileSync(doc, `# Compared with sharp

\`make parity\` runs ${cases.length} cases of sharp ${sharp.versions.sharp} (libvips ${sharp.versions.vips}) and the same in SQL on one set of
pictures, and compares sizes exactly and pixels by what can be seen: the mean difference, and that of the
means of 8 x 8 blocks. cases.mjs says why some may differ by more than others. This page is written by that run.

What comes out differently:

| case | why |
| --- | --- |
${differences.map(([name, why]) => `| ${name} | ${why} |`).join('\n')}

Defaults that differ, and are passed in the comparison: the ground of \`contain\`, \`extend\` and \`flatten\` is white here
and black in sharp; \`img_rotate\` opens transparent corners, sharp black ones; what is laid on an opaque picture stays
opaque here, where sharp adds an alpha band; \`img_convert\` writes JPEG 85 where sharp writes 80.
`);
console.log(`${cases.length - failed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
