# Ten thousand images, good and bad, through one helper process: its memory stays flat.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $images = $ENV{SOAK_IMAGES} // 10000;
# It would be replaced after as many requests as this.
my $node = new_node('soak', 'imgexport.helper_max_requests = 1000000');
my $kinds = photo('kinds');

# The helper is the backend's only child; its memory is what the kernel says.
$node->safe_psql('postgres', qq{
CREATE TABLE sample (image bytea, whole boolean DEFAULT true);
INSERT INTO sample SELECT pg_read_binary_file('$kinds/' || name) FROM pg_ls_dir('$kinds') AS name WHERE name NOT LIKE '.%' AND name NOT LIKE 'wide%';
INSERT INTO sample SELECT pg_read_binary_file('} . photo('photo-720p.jpg') . qq{');
-- The bad ones: cut short, with a byte turned, and no image at all.
INSERT INTO sample SELECT substr(image, 1, length(image) * (n + 1) / 4), false FROM sample, generate_series(0, 2) AS n;
INSERT INTO sample SELECT set_byte(image, length(image) / 2, get_byte(image, length(image) / 2) # 255), false FROM sample WHERE whole;
INSERT INTO sample SELECT image, false FROM unnest(ARRAY['', 'no image', '\\xffd8ff', '\\x89504e470d0a1a0a']::bytea[]) AS image;
CREATE TABLE call (number serial, text text);
INSERT INTO call (text) VALUES
	('img_resize(\$1, 30)'), ('img_resize(\$1, 200, 100, gravity => ''attention'')'), ('img_thumbnail(\$1, 40, format => ''webp'')'),
	('img_convert(\$1, ''jpeg'')'), ('img_convert(\$1, ''png'')'), ('img_convert(\$1, ''gif'')'), ('img_convert(\$1, ''avif'', options => ''{"effort": 0}'')'),
	('img_blur(img_rotate(\$1, 33), 2)'), ('img_composite(\$1, \$1)'), ('img_watermark_text(\$1, ''soak'')'), ('img_watermark(\$1, \$1)'),
	('img_shadow(img_remove_background(\$1))'), ('img_mask(\$1, \$1)'), ('img_normalise_contrast(\$1)'), ('img_tint(\$1, ''teal'')'),
	('img_optimize(\$1, 3000)'), ('img_strip(\$1)'), ('img_vips(\$1, ''sobel'')'), ('img_vips(\$1, ''nonsense'')'), ('img_crop(\$1, 0, 0, 5000, 1)'),
	('img_phash(\$1)::text::bytea'), ('img_blurhash(\$1)::bytea'), ('img_metadata(\$1)::text::bytea'), ('(SELECT img_animate(\$1))'), ('img_sprite(\$1)'),
	('img_convert(\$1, ''png'', options => ''{"keep": "all"}'')'), ('img_palette(\$1)::text::bytea'), ('img_similarity(\$1, \$1)::text::bytea');
CREATE TABLE refusal (code text, message text);
CREATE FUNCTION run(images int) RETURNS TABLE (good int, bad int) LANGUAGE plpgsql AS \$\$
DECLARE
	made bytea;
	one record;
BEGIN
	good := 0;
	bad := 0;
	FOR one IN SELECT (SELECT text FROM call ORDER BY random() + i LIMIT 1) AS text, (SELECT image FROM sample WHERE whole = (i % 3 > 0) ORDER BY random() LIMIT 1) AS image
			   FROM generate_series(1, images) AS i LOOP
		BEGIN
			EXECUTE 'SELECT ' || one.text || ' || ''''::bytea' INTO made USING one.image;
			good := good + 1;
		EXCEPTION WHEN OTHERS THEN
			IF SQLSTATE = 'IX007' AND SQLERRM LIKE '%process%' THEN
				RAISE;
			END IF;
			bad := bad + 1;
			INSERT INTO refusal VALUES (SQLSTATE, SQLERRM);
		END;
	END LOOP;
	RETURN NEXT;
END \$\$;
CREATE FUNCTION helper() RETURNS int LANGUAGE sql AS \$\$
	SELECT trim(pg_read_file(format('/proc/%s/task/%s/children', pg_backend_pid(), pg_backend_pid())))::int \$\$;
CREATE FUNCTION helper_kb() RETURNS int LANGUAGE sql AS \$\$
	SELECT (regexp_match(pg_read_file(format('/proc/%s/status', helper())), 'VmRSS:\\s+(\\d+)'))[1]::int \$\$;
});

# It gives memory back in its first pause.  In the first third every kind of work is done on every kind of image, and what is kept for
# the next is allocated.
my $step = int($images / 10);
my $statements = 'SELECT setseed(0.5);' . join '',
  map { "SELECT good, bad FROM run($step); SELECT pg_sleep(1); SELECT helper(), helper_kb();" } 1 .. 10;
my @lines = grep { /\|/ } split /\n/, $node->safe_psql('postgres', $statements);
my ($good, $bad) = (0, 0);
my (@pids, @kb);
while (my ($counts, $memory) = splice @lines, 0, 2)
{
	my ($worked, $failed) = split /\|/, $counts;
	my ($pid, $used) = split /\|/, $memory;

	$good += $worked;
	$bad += $failed;
	push @pids, $pid;
	push @kb, $used;
}
note("memory in kB: @kb");
note('refused: ' . $node->safe_psql('postgres',
	"SELECT code, left(message, 60), count(*) FROM refusal GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 15"));
is($good + $bad, $step * 10, "$good images came out, $bad were refused");
cmp_ok($good, '>', $images / 10, 'many were good');
cmp_ok($bad, '>', $images / 10, 'and many were bad');
is(scalar(keys %{ { map { $_ => 1 } @pids } }), 1, 'one helper did it all');
my $early = ($kb[3] + $kb[4] + $kb[5]) / 3;
my $late = ($kb[7] + $kb[8] + $kb[9]) / 3;
cmp_ok($late, '<', $early * 1.15, sprintf 'its memory is flat: %d kB early, %d kB late', $early, $late);

done_testing();
