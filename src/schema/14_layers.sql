-- Image operations with a second image, a text, a shadow, a cut-out.

CREATE FUNCTION img_overlay(image bytea, mark bytea, blend text DEFAULT 'over', gravity text
        DEFAULT 'centre', x int DEFAULT NULL, y int DEFAULT NULL, opacity float8 DEFAULT 1, tile
        boolean DEFAULT false) RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 20000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_overlay(bytea, bytea, text, text, int, int, float8, boolean) IS
    'Lay a mark on an image; what hangs over is cut off. mark: an image. blend: a blend mode of libvips, default over. gravity: where, as in img_resize, default centre; or x, y: of its upper left corner, in pixels. opacity: 0 to 1, default 1. tile: repeat it over the whole image, default false. Errors: IX001 not an image, 22023 an argument, mark NULL.';

CREATE FUNCTION img_watermark(image bytea, mark bytea, gravity text DEFAULT 'southeast', opacity
        float8 DEFAULT 1, scale float8 DEFAULT 0.2, margin int DEFAULT 16, tile boolean DEFAULT
        false) RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 20000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_watermark(bytea, bytea, text, float8, float8, int, boolean) IS
    'Mark an image. mark: an image. gravity: where, default southeast. opacity: 0 to 1, default 1. scale: the share of the image''s width and height that it fits into, 0 to 1, default 0.2; 0 leaves its size. margin: pixels around it, 0 to 10000, default 16. tile: repeat it, default false. Errors: IX001 not an image, 22023 an argument, mark NULL.';

CREATE FUNCTION img_watermark_text(image bytea, text text, font text DEFAULT 'sans', size float8
        DEFAULT NULL, color text DEFAULT 'white', opacity float8 DEFAULT 0.5, gravity text
        DEFAULT 'southeast', margin int DEFAULT 16, angle float8 DEFAULT 0, tile boolean DEFAULT
        false) RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 20000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_watermark_text(bytea, text, text, float8, text, float8, text, int, float8, boolean) IS
    'Write on an image. text: at most 2000 bytes, no markup. font: of the server''s system, as Pango names it (DejaVu Sans Bold), default sans. size: in pixels, 1 to 2000, default a twentieth of the height. color: CSS color, default white. opacity: 0 to 1, default 0.5. gravity, margin, tile: as in img_watermark. angle: degrees clockwise, -360 to 360, default 0. Errors: IX001 not an image, 22023 an argument, no such font.';

CREATE FUNCTION img_shadow(image bytea, blur float8 DEFAULT 15, dx int DEFAULT 15, dy int
        DEFAULT 15, color text DEFAULT '#00000080', margin int DEFAULT 10, extra int DEFAULT 40,
        shape text DEFAULT 'alpha') RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_shadow(bytea, float8, int, int, text, int, int, text) IS
    'Throw a shadow, on a larger transparent canvas. blur: sigma in pixels, 0 to 1000, default 15. dx, dy: of the shadow from the image, -10000 to 10000, default 15. color: CSS color, default #00000080. margin: of the image from the left and upper edge, default 10. extra: how much wider and higher the canvas is, default 40. shape: alpha (default) of the picture, or box of its rectangle. Errors: IX001 not an image, IX003 too many pixels, 22023 an argument.';

CREATE FUNCTION img_mask(image bytea, mask bytea, invert boolean DEFAULT false) RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 20000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_mask(bytea, bytea, boolean) IS
    'Make an image as transparent as a mask is dark. mask: an image, brought to the size; its luminance times its opacity counts. invert: the other way, default false. Errors: IX001 not an image, 22023 mask NULL.';

CREATE FUNCTION img_remove_background(image bytea, tolerance float8 DEFAULT NULL, feather float8
        DEFAULT 0, mask bytea DEFAULT NULL, holes boolean DEFAULT false) RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 20000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_remove_background(bytea, float8, float8, bytea, boolean) IS
    'Make the ground of a studio shot transparent: what joins the border and is close in Lab to its colour, which may be shaded and noisy. It is no recognition of objects. tolerance: CIE76 difference, 0 to 200, default 4 to 12 by the noise of the ground; more noise raises it. feather: sigma by which edges get softer than they were, in pixels, 0 to 50, default 0. mask: an image that says what stays, instead. holes: whether ground that the object encloses goes too, default false. Errors: IX001 not an image, 22023 an argument.';

CREATE FUNCTION img_vips(image bytea, operation text, args jsonb DEFAULT '{}', other bytea
        DEFAULT NULL) RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 20000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_vips(bytea, text, jsonb, bytea) IS
    'An operation of libvips, one of those that doc/images.md lists. operation: its name, as gaussblur. args: its arguments by name; arrays of numbers are JSON arrays. other: a second image. The result is brought to 8 bits, sRGB or gray. Errors: IX001 not an image, IX002 the result is not a picture, IX003 too many pixels, 22023 no such operation or argument.';
