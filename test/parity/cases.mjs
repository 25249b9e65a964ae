// What sharp does and what our functions do, side by side.  Each case: a name, the fixture, sharp's
// way, ours (an expression over "image", others by fixture('name')), and where it must be told:
//   mean     largest mean difference, of 255; 0.5 unless said otherwise
//   block    largest difference of an 8 x 8 block's mean; 1.5 unless said otherwise
//   why      what a larger mean or block is owed to; without it run.mjs refuses them
//   differs  why the pixels are not sharp's: sizes are still compared, and doc/sharp.md lists it
//   size     what ours has to be instead, where sharp's is not the picture's own
//   pages    compare all pages, their delays and how often they loop
//   written  sharp's way and ours to write the result, where that is what is compared
import { readFileSync } from 'node:fs';

const resize = (width, height, options) => (s) => s.resize(width, height, options);
const gravities = ['centre', 'north', 'northeast', 'east', 'southeast', 'south', 'southwest', 'west', 'northwest'];
const blends = ['over', 'dest-over', 'atop', 'dest-in', 'dest-out', 'xor', 'add', 'multiply', 'screen', 'overlay',
    'darken', 'lighten', 'hard-light', 'soft-light', 'difference', 'exclusion', 'colour-dodge', 'colour-burn'];
const clear = { r: 0, g: 0, b: 0, alpha: 0 };
const white = '#ffffff';

// Each of these was measured with one side's way repeated on the other side.
const rounding = { mean: 0.6, block: 2.5, why: 'sharp cuts premultiplied values off to 8 bits, we round them in the end' };
const luminance = { mean: 1.5, block: 5, why: 'libvips 8.14 reckons grey otherwise than the 8.17 in sharp, by up to 5 levels' };
const strip = 'sharp filters an animation as one tall picture, so pages reach into each other at their edges; here each page is alone';
const nearPower = 'where the whole part of the ratio is 2, 4 or 8, sharp lets the JPEG decoder shrink by half of that only, we by all of it';
const oddRow = 'of a side that does not divide, the JPEG decoder drops a row; sharp goes on from what is left, here the size is that of the whole picture';
const lossy = (what) => ({ mean: 3, block: 10, why: `the ${what} encoder in sharp is another one or another version` });

export const cases = [
    // Size
    ['resize cover', 'photo', resize(150, 150), "img_resize(image, 150, 150)"],
    ['resize contain', 'photo', resize(150, 150, { fit: 'contain', background: '#306090' }), "img_resize(image, 150, 150, 'contain', background => '#306090')"],
    ['resize contain, transparent', 'alpha', resize(150, 90, { fit: 'contain', background: clear }), "img_resize(image, 150, 90, 'contain', background => '#00000000')"],
    ['resize contain, position', 'photo', resize(150, 150, { fit: 'contain', position: 'top', background: white }), "img_resize(image, 150, 150, 'contain', 'north')"],
    ['resize fill', 'photo', resize(120, 170, { fit: 'fill' }), "img_resize(image, 120, 170, 'fill')"],
    ['resize inside', 'photo', resize(150, 150, { fit: 'inside' }), "img_resize(image, 150, 150, 'inside')"],
    ['resize outside', 'photo', resize(150, 150, { fit: 'outside' }), "img_resize(image, 150, 150, 'outside')"],
    ['resize width alone', 'photo', resize(177), "img_resize(image, 177)"],
    ['resize height alone', 'photo', resize(null, 91), "img_resize(image, height => 91)"],
    ['resize enlarges', 'photo', resize(700), "img_resize(image, 700)"],
    ['resize withoutEnlargement', 'photo', resize(700, null, { withoutEnlargement: true }), "img_resize(image, 700, enlarge => false)"],
    ['resize withoutEnlargement, cover', 'photo', resize(700, 200, { withoutEnlargement: true }), "img_resize(image, 700, 200, enlarge => false)"],
    ['resize to 1 x 1', 'photo', resize(1, 1), "img_resize(image, 1, 1)"],
    ...['nearest', 'cubic', 'mitchell', 'lanczos2', 'lanczos3'].map((kernel) =>
        [`kernel ${kernel}`, 'photo', resize(123, null, { kernel }), `img_resize(image, 123, kernel => '${kernel}')`]),
    ...gravities.map((gravity) =>
        [`cover, ${gravity}`, 'photo', resize(90, 170, { position: gravity }), `img_resize(image, 90, 170, gravity => '${gravity}')`]),
    ['cover, wide', 'photo', resize(300, 60, { position: 'south' }), "img_resize(image, 300, 60, gravity => 'south')"],
    ['cover, attention', 'photo', resize(120, 120, { position: 'attention' }), "img_resize(image, 120, 120, gravity => 'attention')"],
    ['cover, entropy', 'photo', resize(120, 120, { position: 'entropy' }), "img_resize(image, 120, 120, gravity => 'entropy')"],
    ['resize with alpha', 'alpha', resize(100), "img_resize(image, 100)"],
    ['resize grey with alpha', 'greyalpha', resize(100), "img_resize(image, 100)"],
    ['resize palette', 'palette', resize(100), "img_resize(image, 100)"],
    ['resize 16 bits', 'deep', resize(100), "img_resize(image, 100)"],
    ['resize CMYK', 'cmyk', resize(100), "img_resize(image, 100)"],
    ['resize another profile', 'p3', resize(100), "img_resize(image, 100)"],

    // Cut and extend
    ['extract', 'photo', (s) => s.extract({ left: 20, top: 30, width: 111, height: 77 }), "img_crop(image, 20, 30, 111, 77)"],
    ['trim', 'bordered', (s) => s.trim(), "img_trim(image)"],
    ['trim with a threshold', 'bordered', (s) => s.trim({ threshold: 40 }), "img_trim(image, 40)"],
    ['trim a background', 'bordered', (s) => s.trim({ background: '#ff0000', threshold: 5 }), "img_trim(image, 5, '#ff0000')"],
    ['trim transparency', 'logo', (s) => s.trim(), "img_trim(image)"],
    ['trim nothing', 'plain', (s) => s.trim(), "img_trim(image)"],
    ['extend', 'photo', (s) => s.extend({ top: 5, right: 10, bottom: 15, left: 20, background: '#aa3300' }), "img_extend(image, 5, 10, 15, 20, '#aa3300')"],
    ['extend, transparent', 'photo', (s) => s.extend({ top: 9, left: 9, background: clear }), "img_extend(image, 9, 0, 0, 9, '#00000000')"],
    ...['copy', 'repeat', 'mirror'].map((mode) =>
        [`extend, ${mode}`, 'photo', (s) => s.extend({ top: 12, right: 13, bottom: 14, left: 15, extendWith: mode }), `img_extend(image, 12, 13, 14, 15, mode => '${mode}')`]),

    // Turn
    ...[90, 180, 270, -90].map((angle) => [`rotate ${angle}`, 'photo', (s) => s.rotate(angle), `img_rotate(image, ${angle})`]),
    ...[10, 45, 200].map((angle) => [`rotate ${angle}`, 'photo', (s) => s.rotate(angle, { background: '#208040' }), `img_rotate(image, ${angle}, '#208040')`]),
    ['rotate 30, transparent', 'photo', (s) => s.rotate(30, { background: clear }), "img_rotate(image, 30)"],
    ['rotate 30, with alpha', 'logo', (s) => s.rotate(30, { background: clear }), "img_rotate(image, 30)"],
    ['flip', 'photo', (s) => s.flip(), "img_flip(image)"],
    ['flop', 'photo', (s) => s.flop(), "img_flop(image)"],
    ...[1, 2, 3, 4, 5, 6, 7, 8].map((n) => [`EXIF orientation ${n}`, `turned${n}`, (s) => s.autoOrient(), "img_orient(image)"]),
    ...[1, 2, 3, 4, 5, 6, 7, 8].map((n) => [`EXIF orientation ${n}, resized`, `turned${n}`, (s) => s.autoOrient().resize(60), "img_resize(image, 60)"]),

    // Pixels
    ['flatten', 'alpha', (s) => s.flatten({ background: '#ff8800' }), "img_flatten(image, '#ff8800')"],
    ...[0.5, 1.5, 7].map((sigma) => [`blur ${sigma}`, 'photo', (s) => s.blur(sigma), `img_blur(image, ${sigma})`]),
    ['blur with alpha', 'alpha', (s) => s.blur(3), "img_blur(image, 3)", rounding],
    ['sharpen', 'photo', (s) => s.sharpen(), "img_sharpen(image)"],
    ['sharpen 2', 'photo', (s) => s.sharpen({ sigma: 2 }), "img_sharpen(image, 2)"],
    ['sharpen all', 'photo', (s) => s.sharpen({ sigma: 1, m1: 0, m2: 3, x1: 3, y2: 15, y3: 15 }), "img_sharpen(image, 1, 0, 3, 3, 15, 15)"],
    ['greyscale', 'photo', (s) => s.greyscale(), "img_grayscale(image)", luminance],
    ['greyscale with alpha', 'alpha', (s) => s.greyscale(), "img_grayscale(image)", luminance],
    ['greyscale of grey with alpha', 'greyalpha', (s) => s.greyscale(), "img_grayscale(image)"],
    ['negate', 'photo', (s) => s.negate(), "img_negate(image)"],
    ['negate with alpha', 'alpha', (s) => s.negate(), "img_negate(image)"],
    ['negate without alpha', 'alpha', (s) => s.negate({ alpha: false }), "img_negate(image, false)"],
    ['modulate brightness', 'photo', (s) => s.modulate({ brightness: 1.3 }), "img_modulate(image, 1.3)"],
    ['modulate saturation', 'photo', (s) => s.modulate({ saturation: 0.4 }), "img_modulate(image, saturation => 0.4)"],
    ['modulate hue', 'photo', (s) => s.modulate({ hue: 120 }), "img_modulate(image, hue => 120)"],
    ['modulate lightness', 'photo', (s) => s.modulate({ lightness: 15 }), "img_modulate(image, lightness => 15)"],
    ['modulate all, with alpha', 'alpha', (s) => s.modulate({ brightness: 0.8, saturation: 1.4, hue: 40 }), "img_modulate(image, 0.8, 1.4, 40)"],
    ['tint', 'photo', (s) => s.tint('#c08040'), "img_tint(image, '#c08040')", luminance],
    ['tint with alpha', 'alpha', (s) => s.tint('#2040ff'), "img_tint(image, '#2040ff')", luminance],
    ['normalise', 'photo', (s) => s.normalise(), "img_normalise_contrast(image)"],
    ['normalise 5 to 95', 'photo', (s) => s.normalise({ lower: 5, upper: 95 }), "img_normalise_contrast(image, 5, 95)"],
    // The second of sharp's two values is the one that brightens.
    ['gamma', 'photo', (s) => s.gamma(1, 2.2), "img_gamma(image, 2.2)"],
    ['gamma around a resize', 'photo', (s) => s.gamma(2.2).resize(100), "img_gamma(img_resize(image, 100), 2.2)",
        { differs: 'one value is for a resize in linear light in sharp: it darkens before and brightens after; img_gamma only brightens' }],

    // Two images
    ...blends.map((blend) => [`composite ${blend}`, 'alpha', (s, file) => s.composite([{ input: file('logo'), blend }]),
        `img_overlay(image, fixture('logo'), '${blend}')`]),
    ...['northwest', 'southeast', 'east'].map((gravity) => [`composite ${gravity}`, 'photo', (s, file) => s.composite([{ input: file('logo'), gravity }]),
        `img_overlay(image, fixture('logo'), gravity => '${gravity}')`]),
    ['composite at a place', 'photo', (s, file) => s.composite([{ input: file('logo'), left: 33, top: 44 }]), "img_overlay(image, fixture('logo'), x => 33, y => 44)"],
    ['composite outside', 'photo', (s, file) => s.composite([{ input: file('logo'), left: -20, top: -30 }]), "img_overlay(image, fixture('logo'), x => -20, y => -30)"],
    ['composite tiled', 'photo', (s, file) => s.composite([{ input: file('logo'), tile: true, gravity: 'northwest' }]), "img_overlay(image, fixture('logo'), tile => true, gravity => 'northwest')"],
    ['composite on grey', 'grey', (s, file) => s.composite([{ input: file('logo') }]), "img_overlay(image, fixture('logo'))"],

    // Pages
    ['animation resized', 'animation', (s) => s.resize(50), "img_resize(image, 50)", { pages: true, differs: strip }],
    ['animation blurred', 'animation', (s) => s.blur(2), "img_blur(image, 2)", { pages: true, differs: strip }],
    ['animation cropped', 'animation', (s) => s.extract({ left: 5, top: 5, width: 60, height: 40 }), "img_crop(image, 5, 5, 60, 40)", { pages: true }],
    ['animation, grey', 'animation', (s) => s.greyscale(), "img_grayscale(image)", { pages: true, ...luminance }],
    ['animation, first page', 'animation', (s) => s, "img_page(image, 0)"],
    ['animation, one page resized', 'animation', (s) => s.resize(50), "img_resize(img_page(image, 0), 50)"],
    ['animation without delays', 'hasty', (s) => s, "image", { pages: true }],
    ['animation as GIF', 'animation', (s) => s, "image", { pages: true, written: [(s) => s.gif(), "'gif'"] }],

    // What is decoded: nothing done but sRGB and 8 bits
    ...['grey', 'greyalpha', 'palette', 'deep', 'cmyk', 'p3', 'jpeg'].map((kind) => [`${kind} as it is`, kind, (s) => s, "image"]),

    // A JPEG may be decoded smaller
    ...[100, 50, 30].map((width) => [`JPEG to ${width}`, 'even', resize(width), `img_resize(image, ${width})`]),
    ['JPEG cover', 'even', resize(120, 120, { position: 'east' }), "img_resize(image, 120, 120, gravity => 'east')"],
    ['JPEG contain', 'even', resize(101, 101, { fit: 'contain', background: white }), "img_resize(image, 101, 101, 'contain')"],
    ['JPEG to a half', 'even', resize(320), "img_resize(image, 320)", { differs: nearPower }],
    ['JPEG to less than a quarter', 'even', resize(150), "img_resize(image, 150)", { differs: nearPower }],
    ['JPEG 640 x 427 to 320', 'jpeg', resize(320), "img_resize(image, 320)"],
    ['JPEG 640 x 427 to 100', 'jpeg', resize(100), "img_resize(image, 100)", { differs: oddRow, size: '100x67' }],
    ['JPEG 640 x 427 to 213', 'jpeg', resize(213), "img_resize(image, 213)", { differs: oddRow }],
    ['JPEG 640 x 427 cover', 'jpeg', resize(137, 137), "img_resize(image, 137, 137)", { differs: oddRow }],

    // What is written
    ['written as JPEG 85', 'photo', (s) => s, "image", { written: [(s) => s.jpeg({ quality: 85 }), "'jpeg', 85"] }],
    ['written as JPEG 60, 4:4:4', 'photo', (s) => s, "image",
        { written: [(s) => s.jpeg({ quality: 60, chromaSubsampling: '4:4:4' }), `'jpeg', 60, '{"subsampling": "4:4:4"}'`] }],
    ['written as PNG', 'alpha', (s) => s, "image", { written: [(s) => s.png({ compressionLevel: 9 }), "'png'"] }],
    ['written as WebP 80', 'photo', (s) => s, "image", { written: [(s) => s.webp({ quality: 80, effort: 4 }), "'webp', 80"] }],
    ['written as WebP 80 with alpha', 'alpha', (s) => s, "image", { written: [(s) => s.webp({ quality: 80, effort: 4 }), "'webp', 80"] }],
    ['written as lossless WebP', 'alpha', (s) => s, "image", { written: [(s) => s.webp({ lossless: true }), `'webp', options => '{"lossless": true}'`] }],
    ['written as AVIF 50', 'photo', (s) => s, "image", { written: [(s) => s.avif({ quality: 50 }), `'avif', 50, '{"subsampling": "4:4:4"}'`], ...lossy('AVIF') }],
    ['written as TIFF', 'photo', (s) => s, "image", { written: [(s) => s.tiff({ compression: 'lzw' }), "'tiff'"] }],
    ['written as GIF', 'photo', (s) => s, "image", { written: [(s) => s.gif(), "'gif'"], ...lossy('GIF') }],
];

// The fixtures are made by sharp from one photograph.
export async function makeFixtures(sharp, photo) {
    const bytes = readFileSync(photo);
    const base = () => sharp(bytes).resize(320, 200);
    const circle = (size) => Buffer.from(`<svg width="${size}" height="${size}"><defs><radialGradient id="g">
        <stop offset="40%" stop-color="#fff"/><stop offset="100%" stop-color="#fff" stop-opacity="0"/></radialGradient></defs>
        <rect width="${size}" height="${size}" fill="url(#g)"/></svg>`);
    const png = await base().png().toBuffer();
    const fade = await sharp(circle(320)).resize(320, 200, { fit: 'fill' }).png().toBuffer();
    const logo = await sharp(Buffer.from(`<svg width="90" height="70"><circle cx="45" cy="35" r="28" fill="#e04020" fill-opacity="0.8"/>
        <rect x="30" y="25" width="50" height="12" fill="#2060e0"/></svg>`)).png().toBuffer();
    const alpha = await base().ensureAlpha().composite([{ input: fade, blend: 'dest-in' }]).png().toBuffer();
    const frames = await Promise.all([0, 90, 180].map((hue) => sharp(png).resize(80, 50).modulate({ hue }).png().toBuffer()));
    const fixtures = {
        photo: png, logo, alpha,
        grey: await base().greyscale().png().toBuffer(),
        greyalpha: await sharp(alpha).greyscale().png().toBuffer(),
        palette: await base().png({ palette: true, colours: 32 }).toBuffer(),
        deep: await base().toColourspace('rgb16').png().toBuffer(),
        cmyk: await base().toColourspace('cmyk').jpeg({ quality: 95 }).toBuffer(),
        p3: await base().withIccProfile('p3').png().toBuffer(),
        bordered: await sharp(png).resize(200).extend({ top: 20, right: 30, bottom: 10, left: 25, background: '#fe0202' }).png().toBuffer(),
        plain: await sharp({ create: { width: 40, height: 30, channels: 3, background: '#456' } }).png().toBuffer(),
        even: await sharp(bytes).resize(640, 400).jpeg({ quality: 95 }).toBuffer(),
        jpeg: await sharp(bytes).resize(640, 427).jpeg({ quality: 95 }).toBuffer(),
        animation: await sharp(frames, { join: { animated: true } }).gif({ delay: [40, 200, 90], loop: 3 }).toBuffer(),
        hasty: await sharp(frames, { join: { animated: true } }).gif({ delay: [0, 0, 0] }).toBuffer(),
    };
    for (let n = 1; n <= 8; n++)
        fixtures[`turned${n}`] = await base().jpeg({ quality: 95 }).withMetadata({ orientation: n }).toBuffer();
    return fixtures;
}
