-- Image operations that cut, add room, or change colours.

CREATE FUNCTION img_crop_to(image bytea, aspect text, gravity text DEFAULT 'centre') RETURNS
        bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_crop_to(bytea, text, text) IS
    'Cut to a ratio of the sides, keeping as much as possible. aspect: width to height as 16:9, 16/9 or 1.78, between 0.001 and 1000. gravity: what is kept, as in img_resize, default centre. Errors: IX001 not an image, 22023 an argument.';

CREATE FUNCTION img_trim(image bytea, threshold float8 DEFAULT 10, background text DEFAULT NULL)
        RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_trim(bytea, float8, text) IS
    'Cut off a border of one colour. threshold: how far from the colour still is border, 0 to 255, default 10. background: CSS color, default that of the upper left pixel. Colours and alpha are looked at by themselves. An image of nothing else stays as it is. Errors: IX001 not an image, 22023 an argument.';

CREATE FUNCTION img_autocrop(image bytea, padding int DEFAULT 50, alpha_threshold int DEFAULT
        10, white_threshold int DEFAULT 250) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_autocrop(bytea, int, int, int) IS
    'Cut to what is in the picture. padding: pixels left around it, 0 to 100000, default 50, never more than there are. alpha_threshold: where anything is transparent, what has more alpha is kept, 0 to 255, default 10. white_threshold: else what has a mean of red, green and blue below it, 0 to 255, default 250. Errors: IX001 not an image, 22023 an argument.';

CREATE FUNCTION img_extend(image bytea, north int DEFAULT 0, east int DEFAULT 0, south int
        DEFAULT 0, west int DEFAULT 0, background text DEFAULT 'white', mode text DEFAULT
        'background') RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_extend(bytea, int, int, int, int, text, text) IS
    'Add room. north, east, south, west: pixels above, right, below and left, 0 to 100000, default 0. background: CSS color, default white. mode: background (default), copy (the edge), repeat, mirror. Errors: IX001 not an image, IX003 too many pixels, 22023 an argument.';

CREATE FUNCTION img_orient(image bytea, orientation int DEFAULT NULL) RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_orient(bytea, int) IS
    'Turn and mirror as an EXIF orientation says. orientation: 1 to 8; NULL (default) does nothing more, for every decode applies the image''s own. Errors: IX001 not an image, 22023 an argument.';

CREATE FUNCTION img_flatten(image bytea, background text DEFAULT 'white') RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_flatten(bytea, text) IS
    'Put what is transparent on a colour; the result has no alpha. background: CSS color, default white. Errors: IX001 not an image, 22023 an argument.';

CREATE FUNCTION img_sharpen(image bytea, sigma float8 DEFAULT NULL, m1 float8 DEFAULT 1, m2
        float8 DEFAULT 2, x1 float8 DEFAULT 2, y2 float8 DEFAULT 10, y3 float8 DEFAULT 20)
        RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_sharpen(bytea, float8, float8, float8, float8, float8, float8) IS
    'Sharpen. sigma: 0.01 to 10 pixels; NULL (default) is a fast mild sharpening. With sigma, as in sharp: m1: of flat areas, default 1; m2: of jagged ones, default 2; x1: where jagged begins, default 2; y2, y3: most brightening and darkening, default 10 and 20. Errors: IX001 not an image, 22023 an argument.';

CREATE FUNCTION img_grayscale(image bytea) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_grayscale(bytea) IS
    'Make grey; transparency stays. Errors: IX001 not an image.';

CREATE FUNCTION img_negate(image bytea, alpha boolean DEFAULT true) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_negate(bytea, boolean) IS
    'Make the negative. alpha: of the transparency too, default true as in sharp. Errors: IX001 not an image.';

CREATE FUNCTION img_gamma(image bytea, gamma float8 DEFAULT 2.2) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_gamma(bytea, float8) IS
    'Brighten (above 1) or darken the middle tones: each value to the power of 1 / gamma. gamma: 0.1 to 10, default 2.2. Errors: IX001 not an image, 22023 gamma.';

CREATE FUNCTION img_modulate(image bytea, brightness float8 DEFAULT 1, saturation float8 DEFAULT
        1, hue float8 DEFAULT 0, lightness float8 DEFAULT 0) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_modulate(bytea, float8, float8, float8, float8) IS
    'Change brightness, saturation and hue in LCh, as in sharp. brightness, saturation: factors, 0 to 100, default 1. hue: degrees that it turns, default 0. lightness: added, -100 to 100, default 0. Errors: IX001 not an image, 22023 an argument.';

CREATE FUNCTION img_tint(image bytea, color text) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_tint(bytea, text) IS
    'Tint, keeping luminance: grey takes the colour, black and white stay. color: CSS color. Errors: IX001 not an image, 22023 color.';

CREATE FUNCTION img_normalise_contrast(image bytea, lower float8 DEFAULT 1, upper float8 DEFAULT
        99) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_normalise_contrast(bytea, float8, float8) IS
    'Stretch luminance over the whole range, as sharp''s normalise. lower, upper: percentiles that become black and white, 0 to 99 and 1 to 100, default 1 and 99. Errors: IX001 not an image, 22023 an argument.';

CREATE FUNCTION img_round_corners(image bytea, radius float8 DEFAULT NULL) RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_round_corners(bytea, float8) IS
    'Make the corners transparent. radius: in pixels, 0 to 100000; NULL (default) is half the shorter side. Errors: IX001 not an image, 22023 radius.';

CREATE FUNCTION img_redact(image bytea, x int, y int, width int, height int, color text DEFAULT
        'black', style text DEFAULT 'fill') RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_redact(bytea, int, int, int, int, text, text) IS
    'Make a rectangle unreadable. x, y: of its upper left corner; width, height: in pixels; what lies outside the image is left out. style: fill (default), pixelate, blur; only fill is safe for text. color: CSS color, default black, made opaque. Errors: IX001 not an image, 22023 it does not touch the image.';
