-- Image operations: each is img_step, which takes its meaning from its name.  They only add
-- a step to a lazy image; rendering is what costs.

CREATE FUNCTION img_resize(image bytea, width int DEFAULT NULL, height int DEFAULT NULL,
        fit text DEFAULT 'cover', gravity text DEFAULT 'centre', kernel text DEFAULT 'lanczos3',
        enlarge boolean DEFAULT true, background text DEFAULT 'white') RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_resize(bytea, int, int, text, text, text, boolean, text) IS
    'Bring an image to a size. width, height: in pixels, 1 to 100000; one alone keeps the ratio. fit: cover (default) cuts off, contain puts on background, fill stretches, inside and outside keep the whole picture. gravity: what is kept when cutting: centre (default), north to northwest, entropy, attention. kernel: nearest, linear, cubic, mitchell, lanczos2, lanczos3 (default). enlarge: whether it may become larger, default true. background: CSS color, default white. Errors: IX001 not an image, IX003 too many pixels, 22023 an argument.';

CREATE FUNCTION img_thumbnail(image bytea, width int DEFAULT 256, height int DEFAULT NULL,
        format text DEFAULT NULL, quality int DEFAULT NULL) RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_thumbnail(bytea, int, int, text, int) IS
    'Bring an image inside a size, never enlarging it. width: in pixels, 1 to 100000, default 256; height likewise, default by the ratio. format: default the image''s own. quality: 1 to 100, default the format''s. Errors: IX001 not an image, 22023 an argument.';

CREATE FUNCTION img_normalize(image bytea, width int DEFAULT NULL, height int DEFAULT NULL,
        fit text DEFAULT 'cover', background text DEFAULT 'white') RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_normalize(bytea, int, int, text, text) IS
    'Bring an image to RGB without transparency, and to a size. width, height: in pixels, 1 to 100000, default unchanged. fit: as in img_resize, default cover. background: CSS color that shows through, default white. Errors: IX001 not an image, 22023 an argument.';

CREATE FUNCTION img_crop(image bytea, x int, y int, width int, height int) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_crop(bytea, int, int, int, int) IS
    'Cut out a rectangle. x, y: of its upper left corner, in pixels from 0. width, height: in pixels; the rectangle has to lie inside the image. Errors: IX001 not an image, 22023 not inside.';

CREATE FUNCTION img_blur(image bytea, sigma float8 DEFAULT 1.5) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_blur(bytea, float8) IS
    'Blur. sigma: in pixels, 0.3 to 1000, default 1.5. Errors: IX001 not an image, 22023 sigma.';

CREATE FUNCTION img_rotate(image bytea, angle float8, background text DEFAULT '#00000000')
        RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_rotate(bytea, float8, text) IS
    'Turn clockwise. angle: in degrees, -36000 to 36000; quarter turns move pixels and change none, others enlarge the canvas. background: CSS color of the corners that open, default transparent. Errors: IX001 not an image, IX003 too many pixels, 22023 an argument.';

CREATE FUNCTION img_flip(image bytea) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_flip(bytea) IS
    'Mirror upside down. Errors: IX001 not an image.';

CREATE FUNCTION img_flop(image bytea) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_flop(bytea) IS
    'Mirror left to right. Errors: IX001 not an image.';

CREATE FUNCTION img_composite(image bytea, base bytea, opacity float8 DEFAULT 0.7,
        blend text DEFAULT 'over', gravity text DEFAULT 'centre', x int DEFAULT NULL,
        y int DEFAULT NULL, fit text DEFAULT 'cover') RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 20000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_composite(bytea, bytea, float8, text, text, int, int, text) IS
    'Lay an image over a base, which is brought to the image''s size. base: an image. opacity: of the image, 0 to 1, default 0.7. blend: a blend mode of libvips, default over. gravity, fit (cover, contain, fill): how the base is brought to size, default centre and cover. x, y: in pixels; with one of them the base keeps its size and the image is put there. Errors: IX001 not an image, 22023 an argument, base NULL.';

CREATE FUNCTION img_convert(image bytea, format text, quality int DEFAULT NULL,
        options jsonb DEFAULT '{}') RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_convert(bytea, text, int, jsonb) IS
    'Set the format an image is written in. format: jpeg, png, webp, avif, heif, gif, tiff; NULL keeps it. quality: 0 to 100 (0 counts as 1), default JPEG and TIFF 85, WebP 80, AVIF and HEIF 50; with PNG below 100 it makes a palette. options by format: background (CSS color under what is transparent, default white), progressive, interlace, subsampling, compression, palette, colors, lossless, near_lossless, effort. Errors: IX001 not an image, 22023 an argument or option, 0A000 an option not supported.';
