# SOAK_PRODUCTS product shots (1,000) as jobs, half of them by a service, some while it is dead, and
# as many with services that answer badly: all come out, and memory stays flat.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use List::Util qw(max min);
use ServiceServer;
use Test::More;

my $shots = $ENV{SOAK_PRODUCTS} // 1_000;
my $chunk = 100;
my $server = ServiceServer->start;
my $url = $server->url;
my $node = new_node('product', "log_statement = 'none'", "log_min_messages = 'error'", 'max_wal_size = 4GB',
	"imgexport.service_allowed_networks = '127.0.0.0/8'");

sub ask { return $node->safe_psql('postgres', $_[0]) }

# Kilobytes that a process has of its own.
sub rss_kb
{
	my ($pid) = @_;
	open(my $file, '<', "/proc/$pid/status") or return 0;
	my ($kb) = join('', <$file>) =~ /^RssAnon:\s+(\d+)/m;

	return $kb // 0;
}

# The worker and its network process; codecs are replaced after a thousand requests anyway.
sub measure
{
	my $worker = ask('SELECT pid FROM imgexport.stat_worker');
	my ($net) = split /\n/, `pgrep -P $worker imgexport-net`;

	return [ rss_kb($worker), $net ? rss_kb($net) : 0, max(map { rss_kb($_) } 0, split /\n/, `pgrep -P $worker imgexport-codec`) ];
}

# A batch of different shots, by a recipe; returns how many were completed, and with a warning.
sub run
{
	my ($recipe, $first) = @_;
	my $batch = ask("SELECT imgexport.new_id()");

	ask("INSERT INTO imgexport.job (batch_id, source, preset, recipe, max_attempts) SELECT '$batch', img_convert(img_modulate(image, 1, 1, n % 360), 'jpeg'), 'product',
		$recipe, 1 FROM shot, generate_series($first, $first + $chunk - 1) AS n");
	$node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM imgexport.job WHERE batch_id = '$batch' AND finished_at IS NULL)") or die 'jobs are not done';
	my $counts = ask("SELECT count(*) FILTER (WHERE state = 'completed') || ' ' || count(*) FILTER (WHERE warnings IS NOT NULL) FROM imgexport.job WHERE batch_id = '$batch'");
	ask("DELETE FROM imgexport.job WHERE batch_id = '$batch'; DELETE FROM imgexport.service_answer");
	return split / /, $counts;
}

ask("CREATE TABLE shot AS SELECT img_extend(img_convert(img_resize(pg_read_binary_file('" . photo('flower.jpg') . "'), 240, 180), 'png'), 80, 80, 80, 80) AS image;
	UPDATE imgexport.queue SET concurrency = 20");
ask("SELECT imgexport.add_service('rembg', '{\"url\": \"$url/api/remove\", \"max_side\": 64}')");
ask("SELECT imgexport.add_service('rembg', '{\"url\": \"http://127.0.0.1:1/\", \"retries\": 0}', 'dead')");
ask("INSERT INTO imgexport.service (name, kind, url, send, request, max_side) VALUES ('damaged', 'background', '$url/damaged/body', 'body', '{}', 64)");

my %recipes = (local => "imgexport.product_recipe('{\"background\": \"local\"}')", map { $_ => "imgexport.product_recipe('{\"service\": \"$_\", \"fallback\": \"local\"}')" } qw(rembg dead damaged));
my (@sizes, %completed, %warned);
for (my $done = 0; $done < $shots; $done += $chunk)
{
	foreach my $kind (sort keys %recipes)
	{
		my ($completed, $warned) = run($recipes{$kind}, $done);

		$completed{$kind} += $completed;
		$warned{$kind} += $warned;
	}
	push @sizes, measure();
}
diag(sprintf '%d shots of each kind; worker %s MB, network process %s MB, codec %s MB', $shots,
	map { my $n = $_; join(' ', map { sprintf '%.0f', $_->[$n] / 1024 } @sizes) } 0 .. 2);
is($completed{$_}, $shots, "all come out: $_") foreach sort keys %recipes;
is("$warned{local} $warned{rembg} $warned{dead} $warned{damaged}", "0 0 $shots $shots", 'with a warning where a service failed');
my $third = int(@sizes / 3);
foreach my $part ([ 0, 'worker' ], [ 1, 'network process' ])
{
	my @kb = map { $_->[ $part->[0] ] } @sizes;

	cmp_ok(max(@kb[ -$third .. -1 ]), '<', 1.2 * max(@kb[ 0 .. $third ]), "memory of the $part->[1] stays flat");
}
$node->stop;
done_testing();
