-- Placeholders and fingerprints: BlurHash and ThumbHash against their reference encoders
-- (npm blurhash 2.0.5, thumbhash 0.1.1), everything else against what it has to mean.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS imgexport;
\getenv photos PHOTOS_DIR
\set file :photos '/photo-720p.jpg'
CREATE TABLE look AS SELECT
    '\x89504e470d0a1a0a0000000d494844520000000c000000080802000000428689a6000000097048597300000b1300000b1301009a9c18000001334944415418d3012801d7fe0059693b8a83a37d916365811c5b79116d8c1c6f8d204656165961414e5f39606b368aa05600758e9b9b9ac58489605d7e1276941e77962c6782266e655b6c636f43463b736f59737a4c00aecbed7a9c973e560f57722475972f75922c56701b4d52355f6f3f47581a4f532e535631005c764d5d773540580d567115829f4175963b6a86245f7e227d8236808a3286a14777853b004357163347053e5a09516c1293ae4f82a6604e6c0e5d8127666d54939c598eb14663811a004d69224557144f68155c7421c0d697b5d7805a73136c89749bb4dd849a65abca868eb35c00506a28667f2d4c680cb0c77eebf6da617f345c7b14759671a6b6cd97a96ed5e8e7b6cdaf0041540f698b327e9d3ecaea91a8b7753d581261851e5775248795aa879bad94a5b9cbc5d893aa7a17bd51ee930000000049454e44ae426082'::bytea AS opaque,
    '\x89504e470d0a1a0a0000000d494844520000000c000000080806000000cde41ef1000000097048597300000b1300000b1301009a9c18000001934944415418d301880177fe0059693b638a83a3897d91638b65811c765b79116e6d8c1c806f8d20814656164f5961415e4e5f3959606b36668aa0569700758e9b8c9b9ac5a0848960865d7e127176941e8877962c8a678226776e655b666c636f6643463b45736f596e737a4c7500aecbedcb7a9c97973e560f4d5772246875972f8b75922c8656701b664d52354f5f6f3f6847581a504f532e5053563153005c764d6e5d77356e40580d4f56711567829f419375963b8a6a86247b5f7e22727d82367d808a328486a1479677853b7d004357164f334705403e5a0951516c126293ae4fa282a6609b4e6c0e615d812775666d546b939c59968eb146a363811a76004d69225f455714504f68155f5c74216bc0d697cdb5d780ca5a7313686c8974839bb4ddb4849a6592abca86be8eb35ca600506a2861667f2d754c680c5eb0c77ebdebf6daf2617f34745c7b146f7596718fa6b6cdb697a96ea1d5e8e7e5b6cdafc70041540f4c698b327f7e9d3e91caea91dca8b775af3d58125061851e785775246b8795aa96879bad9994a5b9a4cbc5d8c8530eaa1f03599c9f0000000049454e44ae426082'::bytea AS clear,
    img_convert(img_resize(pg_read_binary_file(:'file'), 300), 'png') || '' AS photo;
SELECT img_blurhash(opaque) = $$LCE3@IXer~INIS.AtA-rnX%d%Njd$$ AS "4x3", img_blurhash(opaque, 9, 9) = $$|GE3@Ib.nqMpD+?t%O.QIUMw%is?%N.8ozWqM|o#nWx@%Njds:IZRjn,o__LRPV?M*M_t2ajobITD$V{V@nhs.RiMxITjI?rRhs:RhM_RkRPtPbCWSaQWAoetPt2j]RjV@%eout8WGoLaijcaxt7M|oiozouo#t8oyt8s;$$ AS "9x9",
       img_blurhash(opaque, 1, 1) = $$00E3@I$$ AS "1x1", img_blurhash(opaque, 3, 5) = $$cGE3@Ib.nqMw%is?nWx@%N_LRPV?D$V{V@$$ AS "3x5" FROM look;
SELECT img_thumbhash(opaque) = '\x9bd9051582a373bdf0c95b8c5a8554640b2803ffc6' AS opaque, img_thumbhash(clear) = '\x5ed9850b8018a474d0c97b0a1913dfd87481d0b89a9954' AS clear FROM look;
-- A plain picture has one colour; a flag has two, in their shares.
CREATE TABLE plain AS SELECT img_flatten(img_vips(opaque, 'linear', '{"a": 0, "b": [10, 200, 30]}')) || '' AS green,
                             img_flatten(img_vips(opaque, 'linear', '{"a": 0, "b": [250, 20, 30]}')) || '' AS red FROM look;
SELECT img_dominant_color(green), img_palette(green, 8), img_palette(img_montage(part), 2) AS montage
FROM plain, LATERAL (SELECT green AS part UNION ALL SELECT red UNION ALL SELECT green) AS parts GROUP BY 1, 2;
SELECT img_histogram(red, 2) - 'alpha' AS histogram FROM plain;
-- The same picture, smaller, paler, written worse: few bits. Others: many.
SELECT n, img_phash_distance(img_phash(photo), img_phash(other)) <= 10 AS near, round(img_similarity(photo, other)::numeric, 1) AS similarity
FROM look, LATERAL (VALUES (1, photo), (2, img_resize(photo, 100)), (3, img_convert(photo, 'jpeg', 20) || ''), (4, img_modulate(photo, 1.2)),
    (5, img_grayscale(photo)), (6, img_blur(photo, 2)), (7, img_rotate(photo, 90)), (8, img_flop(photo)), (9, img_flip(photo))) AS v (n, other) ORDER BY n;
-- As an index, and a constraint.
CREATE TABLE shot (id int PRIMARY KEY, image bytea CHECK (img_is_image(image)), hash bit(64) GENERATED ALWAYS AS (img_phash(image)) STORED);
INSERT INTO shot SELECT 1, photo FROM look;
INSERT INTO shot SELECT 2, img_convert(img_resize(photo, 150), 'webp') FROM look;
INSERT INTO shot SELECT 3, opaque FROM look;
SELECT a.id, b.id FROM shot AS a JOIN shot AS b ON a.id < b.id AND img_phash_distance(a.hash, b.hash) <= 10;
INSERT INTO shot VALUES (4, 'no picture');
CREATE DOMAIN thumb AS bytea CHECK (img_is_image(VALUE) AND (img_info(VALUE)).width <= 200);
SELECT length(img_resize(photo, 201)::thumb) FROM look;
SELECT length(img_resize(photo, 200)::thumb) > 0 AS fits FROM look;
-- A quality is found: as small as asked, as alike as asked, and no larger than needed.
SELECT format, octet_length(img_optimize(img_convert(photo, format), 6000)) BETWEEN 3000 AND 6000 AS fits,
       img_similarity(photo, img_optimize(img_convert(photo, format), min_ssim => 0.95)) >= 0.949 AS alike,
       octet_length(img_optimize(img_convert(photo, format), min_ssim => 0.9)) < octet_length(img_optimize(img_convert(photo, format), min_ssim => 0.98)) AS smaller
FROM look, unnest('{jpeg,webp}'::text[]) AS format;
DROP TABLE look, plain, shot;
DROP DOMAIN thumb;
