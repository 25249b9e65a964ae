-- # Size

-- img_resize
SELECT img_resize(photo, 160, 160, gravity => 'west') FROM example;
-- img_thumbnail
SELECT img_thumbnail(photo, 100) FROM example;
-- img_normalize
SELECT img_normalize(logo, 160, 160, 'contain', '#f0e0c0') FROM example;

-- # Cut and extend

-- img_crop
SELECT img_crop(photo, 150, 60, 120, 100) FROM example;
-- img_crop_to
SELECT img_crop_to(photo, '1:1', 'attention') FROM example;
-- img_trim
SELECT img_trim(product) FROM example;
-- img_autocrop
SELECT img_autocrop(product, padding => 10) FROM example;
-- img_extend
SELECT img_extend(photo, north => 30, south => 30, mode => 'mirror') FROM example;

-- # Turn

-- img_rotate
SELECT img_rotate(photo, 15, background => '#336699') FROM example;
-- img_flip
SELECT img_flip(photo) FROM example;
-- img_flop
SELECT img_flop(photo) FROM example;
-- img_orient
SELECT img_orient(photo, 6) FROM example;

-- # Colours and sharpness

-- img_blur
SELECT img_blur(photo, 4) FROM example;
-- img_sharpen
SELECT img_sharpen(photo, sigma => 2) FROM example;
-- img_grayscale
SELECT img_grayscale(photo) FROM example;
-- img_negate
SELECT img_negate(photo) FROM example;
-- img_gamma
SELECT img_gamma(photo, 1.8) FROM example;
-- img_modulate
SELECT img_modulate(photo, brightness => 1.1, saturation => 0.6, hue => 90) FROM example;
-- img_tint
SELECT img_tint(photo, '#c08040') FROM example;
-- img_normalise_contrast
SELECT img_normalise_contrast(img_gamma(photo, 3)) FROM example;

-- # Transparency

-- img_flatten
SELECT img_flatten(logo, '#204080') FROM example;
-- img_round_corners
SELECT img_round_corners(photo, 40) FROM example;
-- img_mask
SELECT img_mask(photo, logo) FROM example;
-- img_remove_background
SELECT img_flatten(img_remove_background(product), '#80c080') FROM example;
-- img_shadow
SELECT img_flatten(img_shadow(img_remove_background(product))) FROM example;

-- # Two images, and text

-- img_composite
SELECT img_composite(photo, product) FROM example;
-- img_overlay
SELECT img_overlay(photo, logo, blend => 'soft-light', gravity => 'east') FROM example;
-- img_watermark
SELECT img_watermark(photo, logo, scale => 0.3) FROM example;
-- img_watermark_text
SELECT img_watermark_text(photo, '© imgexport', font => 'DejaVu Sans Bold', size => 22) FROM example;
-- img_redact
SELECT img_redact(photo, 140, 80, 110, 70, style => 'pixelate') FROM example;

-- # Many images

-- img_montage
SELECT img_montage(img_modulate(photo, hue => 40 * turn) ORDER BY turn)
FROM example, generate_series(0, 3) AS turn;
-- img_animate
SELECT img_animate(img_modulate(img_resize(photo, 160), hue => 45 * turn), 120 ORDER BY turn)
FROM example, generate_series(0, 7) AS turn;
-- img_page
SELECT img_page(animation, 2) FROM example;
-- img_frames
SELECT page, (img_info(frame)).width, delay_ms FROM example, img_frames(animation);
-- img_sprite
SELECT img_sprite(animation, columns => 4, gap => 2) FROM example;

-- # How it is written

-- img_convert
SELECT img_convert(photo, 'jpeg', 30, '{"progressive": true}') FROM example;
-- img_compress
SELECT length(photo) AS before, length(img_compress(photo, 20)) AS after FROM example;
-- img_optimize
SELECT length(img_optimize(photo, max_bytes => 4000)) <= 4000 AS small_enough FROM example;
-- img_strip
SELECT img_metadata(img_strip(tagged, keep => '{copyright}'))->'exif'->>'Copyright' AS copyright,
       img_gps(img_strip(tagged)) AS place
FROM example;
-- img_export
SELECT name, format, width, height
FROM example, img_export(photo, '{"grid": {"format": "webp", "width": 100, "height": 100},
                                  "original": {}}');

-- # Recipes, and anything else

-- img_apply
SELECT img_apply(photo, '[{"resize": {"width": 160}}, "flop", {"tint": {"color": "teal"}}]')
FROM example;
-- img_try
SELECT img_try(photo, '[{"crop_to": {"aspect": "2:1"}}]') FROM example;
-- img_vips
SELECT img_vips(photo, 'sobel') FROM example;

-- # What an image is

-- img_info
SELECT (img_info(photo)).* FROM example;
-- img_metadata
SELECT jsonb_pretty(img_metadata(tagged) - 'exif') AS metadata FROM example;
-- img_is_image
SELECT img_is_image(photo) AS photo, img_is_image('nonsense') AS nonsense FROM example;
-- img_gps
SELECT img_gps(tagged) FROM example;

-- # What it looks like

-- img_blurhash
SELECT img_blurhash(photo) FROM example;
-- img_thumbhash
SELECT img_thumbhash(photo) FROM example;
-- img_dominant_color
SELECT img_dominant_color(photo) FROM example;
-- img_palette
SELECT img_palette(photo, 4) FROM example;
-- img_phash
SELECT img_phash(photo) FROM example;
-- img_phash_distance
SELECT img_phash_distance(img_phash(photo), img_phash(img_resize(photo, 100))) AS the_same,
       img_phash_distance(img_phash(photo), img_phash(img_flop(photo))) AS another
FROM example;
-- img_similarity
SELECT round(img_similarity(photo, img_blur(photo, 1))::numeric, 2) AS blurred,
       round(img_similarity(photo, photo)::numeric, 2) AS itself
FROM example;
-- img_histogram
SELECT img_histogram(photo, 4) - 'alpha' AS histogram FROM example;

-- # For the web, and the terminal

-- img_data_uri
SELECT left(img_data_uri(photo), 60) AS start FROM example;
-- img_from_data_uri
SELECT img_from_data_uri(img_data_uri(photo)) = photo AS the_same FROM example;
-- img_preview
SELECT length(img_preview(photo, 40)) > 1000 AS has_text FROM example;
