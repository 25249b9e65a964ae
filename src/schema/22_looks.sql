-- What an image looks like, in few words: img_report makes a step and reads the answer as its type.

CREATE FUNCTION img_blurhash(image bytea, x_components int DEFAULT 4, y_components int DEFAULT
        3) RETURNS text
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_report';
COMMENT ON FUNCTION img_blurhash(bytea, int, int) IS
    'A BlurHash: a placeholder as a text of some thirty characters. x_components, y_components: 1 to 9, default 4 and 3. Images longer than 128 pixels are first reduced to that; what is transparent shows white. Errors: IX001 not an image, 22023 an argument.';

CREATE FUNCTION img_thumbhash(image bytea) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_report';
COMMENT ON FUNCTION img_thumbhash(bytea) IS
    'A ThumbHash: a placeholder of some twenty-five bytes that knows transparency and the ratio of the sides. Images longer than 100 pixels are first reduced to that. Errors: IX001 not an image.';

CREATE FUNCTION img_dominant_color(image bytea) RETURNS text
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_report';
COMMENT ON FUNCTION img_dominant_color(bytea) IS
    'The most frequent colour as #rrggbb, out of 4096, as in sharp; what is transparent does not count. Errors: IX001 not an image.';

CREATE FUNCTION img_palette(image bytea, colors int DEFAULT 5) RETURNS text[]
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_report';
COMMENT ON FUNCTION img_palette(bytea, int) IS
    'The main colours as #rrggbb, the most frequent first, by median cut. colors: at most so many, 1 to 256, default 5. What is transparent does not count. Errors: IX001 not an image, 22023 colors.';

CREATE FUNCTION img_phash(image bytea) RETURNS bit
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_report';
COMMENT ON FUNCTION img_phash(bytea) IS
    'A fingerprint of how the image looks. Two that look alike differ in few of the 64 bits: see img_phash_distance. Errors: IX001 not an image.';

CREATE FUNCTION img_phash_distance(a bit, b bit) RETURNS int
    LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE COST 1
    RETURN pg_catalog.bit_count(a OPERATOR(pg_catalog.#) b)::pg_catalog.int4;
COMMENT ON FUNCTION img_phash_distance(bit, bit) IS
    'In how many bits two fingerprints of img_phash differ: 0 to 64; up to about 10 is the same picture. Errors: 22026 they have different lengths.';

CREATE FUNCTION img_histogram(image bytea, bins int DEFAULT 256) RETURNS jsonb
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_report';
COMMENT ON FUNCTION img_histogram(bytea, int) IS
    'How often each value occurs: red, green, blue, alpha and luminance as JSON arrays, and pixels. bins: a power of two up to 256, default 256. Errors: IX001 not an image, 22023 bins.';

CREATE FUNCTION img_similarity(a bytea, b bytea) RETURNS float8
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 20000 AS 'MODULE_PATHNAME', 'img_report';
COMMENT ON FUNCTION img_similarity(bytea, bytea) IS
    'How alike two images look: SSIM of their luminance, 1 for the same. b is brought to the size of a; what is transparent shows white. Errors: IX001 not an image.';

CREATE FUNCTION img_preview(image bytea, columns int DEFAULT 80) RETURNS text
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS 'MODULE_PATHNAME', 'img_report';
COMMENT ON FUNCTION img_preview(bytea, int) IS
    'An image as text for a terminal with 24-bit colours. columns: of the terminal, 1 to 500, default 80. Errors: IX001 not an image, 22023 columns, 22P05 where the database''s encoding has no block characters.';

CREATE FUNCTION img_data_uri(image bytea) RETURNS text
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2000 AS 'MODULE_PATHNAME', 'img_data_uri';
COMMENT ON FUNCTION img_data_uri(bytea) IS
    'An image as a data: URI with base64, for a web page. Errors: IX001 not an image.';

CREATE FUNCTION img_from_data_uri(uri text) RETURNS bytea
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'img_from_data_uri';
COMMENT ON FUNCTION img_from_data_uri(text) IS
    'The bytes of a data: URI with base64, or of plain base64; white space is skipped. Whether they are an image is not looked at. Errors: 22023 neither of them.';

CREATE FUNCTION img_gps(image bytea) RETURNS point
    LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE COST 2000
    RETURN (SELECT pg_catalog.point((gps OPERATOR(pg_catalog.->>) 'longitude')::pg_catalog.float8,
                                    (gps OPERATOR(pg_catalog.->>) 'latitude')::pg_catalog.float8)
            FROM (SELECT img_metadata(image) OPERATOR(pg_catalog.->) 'gps') AS m (gps));
COMMENT ON FUNCTION img_gps(bytea) IS
    'Where a picture was taken: (longitude, latitude) in degrees, east and north positive; NULL where it does not say. Errors: IX001 not an image, IX002 a format that is not read.';
