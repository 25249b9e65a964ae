# A codec that runs out of memory: in every format, read and written, at every limit, it is 53200, which
# a job tries again, or the same result as with plenty of it.  It never blames the image.  (A library may also
# wait for a thread that could not be started, or write where its memory was to be: that ends in IX004 or IX007,
# which are tried again too.)
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use Pictures;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('memory', 'imgexport.enabled = off');
my @formats = qw(jpeg png webp avif heif gif tiff);
my @sizes = slow_checks() ? (300, 1200, 2600) : (1200);
my @limits = slow_checks() ? map { int(18 * 1.13**$_) } 0 .. 24 : (20, 32, 48, 64, 90, 128, 180);

$node->safe_psql('postgres', 'CREATE TABLE image (format text, size int, data bytea, PRIMARY KEY (format, size))');
foreach my $size (@sizes)
{
	my $photo = "img_resize(pg_read_binary_file('" . photo('photo-1080p.jpg') . "'), $size)";

	$node->safe_psql('postgres', "INSERT INTO image SELECT '$_', $size, img_convert(img_rotate($photo, 3, 'white'), '$_'" . ($_ =~ /avif|webp/ ? ", options => '{\"effort\": 0}'" : '') . ") || ''")
	  foreach @formats;
}
$node->safe_psql('postgres', <<'SQL');
-- The error, or a digest of what was made.
CREATE FUNCTION outcome(call text, image bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    made text;
BEGIN
    EXECUTE format('SELECT md5((%s)::text)', call) INTO made USING image;
    RETURN made;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE TABLE call (call text PRIMARY KEY);
INSERT INTO call VALUES ('img_convert($1, ''png'')'), ('img_resize($1, 200)'), ('img_convert(img_rotate($1, 40), ''webp'', options => ''{"effort": 0}'')'),
    ('img_convert($1, ''avif'', options => ''{"effort": 0}'')'), ('img_convert(img_blur($1, 20), ''jpeg'')'), ('img_convert($1, ''gif'')'),
    ('img_convert(img_shadow($1), ''tiff'')'), ('img_remove_background($1)'), ('img_convert(img_watermark_text($1, ''text''), ''heif'')'),
    ('img_histogram($1, 4)'), ('img_metadata($1)'), ('img_convert(img_composite($1, img_flip($1)), ''png'')');
CREATE TABLE expected AS SELECT format, size, call, outcome(call, data) AS outcome FROM image, call;
SQL
is($node->safe_psql('postgres', "SELECT count(*) FROM expected WHERE outcome !~ '^[0-9a-f]{32}\$'"), 0, 'H16: with memory everything is made');

my %seen;
foreach my $limit (@limits)
{
	my $outcomes = $node->safe_psql('postgres', "SET imgexport.codec_memory = '${limit}MB'; SELECT i.format || ', ' || i.size || ' pixels, ' || c.call || ': ' || CASE WHEN o = e.outcome THEN 'same' ELSE o END
		FROM image AS i, call AS c, expected AS e, LATERAL (SELECT outcome(c.call, i.data) AS o OFFSET 0) AS o
		WHERE (e.format, e.size, e.call) = (i.format, i.size, c.call)" . (slow_checks() ? '' : " AND hashtext(i.format || c.call || $limit) % 3 = 0"));
	my @outcomes = split /\n/, $outcomes;
	my @wrong = grep { !/: (same|53200 .*|IX004 .*|IX007 .*killed by signal \d+)$/ } @outcomes;

	$seen{$1}++ foreach $outcomes =~ /: (same|53200)/g;
	is_deeply(\@wrong, [], "H16: with $limit MB it is made, or memory is what was missing: " . scalar @outcomes);
}
cmp_ok($seen{53200}, '>', 10, 'H16: memory was missing at times');
cmp_ok($seen{same}, '>', 10, 'H16: and not at others');
my $crashes = () = slurp_file($node->logfile) =~ /killed by signal/g;
note("$crashes crashes");
cmp_ok($crashes, '<', 1 + $seen{53200} / 10, 'H16, H17.2: crashes are rare');
$node->stop;
done_testing();
