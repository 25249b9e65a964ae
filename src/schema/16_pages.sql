-- Pages of an animation, many images in one; how an image is written.

CREATE FUNCTION img_page(image bytea, page int) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_page(bytea, int) IS
    'One page of an animation or a document. page: from 0. Errors: IX001 not an image, 22023 there is no such page.';

CREATE FUNCTION img_sprite(image bytea, columns int DEFAULT NULL, cell_width int DEFAULT NULL,
        cell_height int DEFAULT NULL, gap int DEFAULT 0, background text DEFAULT '#00000000')
        RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_sprite(bytea, int, int, int, int, text) IS
    'All pages in one grid. columns: 1 to 10000, default as near a square as it goes. cell_width, cell_height: of each cell in pixels, 1 to 100000, default that of the pages. gap: pixels between cells, 0 to 10000, default 0. background: CSS color, default transparent. Errors: IX001 not an image, IX003 too many pixels, 22023 an argument.';

CREATE FUNCTION img_compress(image bytea, quality int DEFAULT 50) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_compress(bytea, int) IS
    'The same format, smaller. quality: as in img_convert, 0 to 100, default 50. Errors: IX001 not an image, 22023 quality.';

CREATE FUNCTION img_optimize(image bytea, max_bytes int DEFAULT NULL, min_ssim float8 DEFAULT
        NULL) RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 50000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_optimize(bytea, int, float8) IS
    'The same format at the quality that is found to do. max_bytes: of the file at most; NULL (default) sets no limit. min_ssim: likeness to what was given, 0 to 1, as img_similarity measures it; NULL is 0.98 where max_bytes is NULL too. Of both max_bytes holds. Errors: IX001 not an image, IX003 no quality is small enough, 0A000 a format without quality (gif, tiff).';

CREATE FUNCTION img_strip(image bytea, keep text[] DEFAULT '{}') RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_step';
COMMENT ON FUNCTION img_strip(bytea, text[]) IS
    'Take metadata out without writing pixels anew (jpeg, png, webp, gif). What shows the picture as it is stays: colour profile, orientation, timing. keep: any of copyright, exif, xmp, iptc, gps, all; the place never stays unless gps is named. After another operation it says what goes out, as the option keep of img_convert. Errors: IX001 not an image, 0A000 another format.';

CREATE FUNCTION img_frames(image bytea) RETURNS TABLE (page int, frame bytea, delay_ms int)
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000 ROWS 20 AS 'MODULE_PATHNAME', 'img_frames';
COMMENT ON FUNCTION img_frames(bytea) IS
    'The pages of an animation or a document, a row each, from 0; delay_ms is NULL where there is no timing. Errors: IX001 not an image, IX003 too many pages or pixels.';

CREATE FUNCTION imgexport.collect_montage(state internal, image bytea)
        RETURNS internal
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'img_collect';
COMMENT ON FUNCTION imgexport.collect_montage(internal, bytea) IS
    'Transition of the aggregate img_montage.';

CREATE FUNCTION imgexport.collect_montage(state internal, image bytea, columns int)
        RETURNS internal
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'img_collect';
COMMENT ON FUNCTION imgexport.collect_montage(internal, bytea, int) IS
    'Transition of the aggregate img_montage.';

CREATE FUNCTION imgexport.collect_montage(state internal, image bytea, columns int, cell_width int, cell_height int, gap int, background text)
        RETURNS internal
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'img_collect';
COMMENT ON FUNCTION imgexport.collect_montage(internal, bytea, int, int, int, int, text) IS
    'Transition of the aggregate img_montage.';

CREATE FUNCTION imgexport.finish_montage(state internal) RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100000 AS 'MODULE_PATHNAME', 'img_collected';
COMMENT ON FUNCTION imgexport.finish_montage(internal) IS
    'Result of the aggregate img_montage.';

CREATE AGGREGATE img_montage(image bytea) (
    SFUNC = imgexport.collect_montage, STYPE = internal, SSPACE = 100000,
    FINALFUNC = imgexport.finish_montage, PARALLEL = SAFE);
COMMENT ON AGGREGATE img_montage(bytea) IS
    'Many images in one grid, in the order of ORDER BY; NULLs are left out, of animations the first page is taken. columns, cell_width, cell_height, gap, background: as in img_sprite, taken from the first row. Errors: IX001 not an image, IX003 too many pixels, 54000 more than 256 images.';

CREATE AGGREGATE img_montage(image bytea, columns int) (
    SFUNC = imgexport.collect_montage, STYPE = internal, SSPACE = 100000,
    FINALFUNC = imgexport.finish_montage, PARALLEL = SAFE);
COMMENT ON AGGREGATE img_montage(bytea, int) IS
    'Many images in one grid, in the order of ORDER BY; NULLs are left out, of animations the first page is taken. columns, cell_width, cell_height, gap, background: as in img_sprite, taken from the first row. Errors: IX001 not an image, IX003 too many pixels, 54000 more than 256 images.';

CREATE AGGREGATE img_montage(image bytea, columns int, cell_width int, cell_height int, gap int, background text) (
    SFUNC = imgexport.collect_montage, STYPE = internal, SSPACE = 100000,
    FINALFUNC = imgexport.finish_montage, PARALLEL = SAFE);
COMMENT ON AGGREGATE img_montage(bytea, int, int, int, int, text) IS
    'Many images in one grid, in the order of ORDER BY; NULLs are left out, of animations the first page is taken. columns, cell_width, cell_height, gap, background: as in img_sprite, taken from the first row. Errors: IX001 not an image, IX003 too many pixels, 54000 more than 256 images.';


CREATE FUNCTION imgexport.collect_animate(state internal, frame bytea)
        RETURNS internal
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'img_collect';
COMMENT ON FUNCTION imgexport.collect_animate(internal, bytea) IS
    'Transition of the aggregate img_animate.';

CREATE FUNCTION imgexport.collect_animate(state internal, frame bytea, delay_ms int)
        RETURNS internal
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'img_collect';
COMMENT ON FUNCTION imgexport.collect_animate(internal, bytea, int) IS
    'Transition of the aggregate img_animate.';

CREATE FUNCTION imgexport.finish_animate(state internal) RETURNS bytea
    LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100000 AS 'MODULE_PATHNAME', 'img_collected';
COMMENT ON FUNCTION imgexport.finish_animate(internal) IS
    'Result of the aggregate img_animate.';

CREATE AGGREGATE img_animate(frame bytea) (
    SFUNC = imgexport.collect_animate, STYPE = internal, SSPACE = 100000,
    FINALFUNC = imgexport.finish_animate, PARALLEL = SAFE);
COMMENT ON AGGREGATE img_animate(bytea) IS
    'An animation of many images, in the order of ORDER BY, brought to the size of the first; NULLs are left out. delay_ms: how long each is shown, 10 to 600000, default 100. It goes out as WebP, or as img_convert says. Errors: IX001 not an image, IX003 too many pixels, 54000 more than 256 images.';

CREATE AGGREGATE img_animate(frame bytea, delay_ms int) (
    SFUNC = imgexport.collect_animate, STYPE = internal, SSPACE = 100000,
    FINALFUNC = imgexport.finish_animate, PARALLEL = SAFE);
COMMENT ON AGGREGATE img_animate(bytea, int) IS
    'An animation of many images, in the order of ORDER BY, brought to the size of the first; NULLs are left out. delay_ms: how long each is shown, 10 to 600000, default 100. It goes out as WebP, or as img_convert says. Errors: IX001 not an image, IX003 too many pixels, 54000 more than 256 images.';

