# The gallery page, in a real browser, with work going on.
use strict;
use warnings;

use lib 'test/lib';
use HttpServer;
use ImgTest;
use WebServer;
use Cwd qw(abs_path);
use IPC::Open2;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('gallery');
my $folder = abs_path(PostgreSQL::Test::Utils::tempdir());
my $web = WebServer->start($ENV{PHOTOS} // 'photos');
my $url = $web->url;
my $http = HttpServer->start($node);
append_to_file("$folder/key", "the-key-of-the-gallery\n");
chmod 0600, "$folder/key";
my $keyed = HttpServer->start($node, '--api-key-file', "$folder/key");

sub ask { return $node->safe_psql('postgres', $_[0]) }

# Done, failed, and with a name that means no good.
my $outputs = q('{"webp": {"format": "webp", "width": 300}, "jpeg": {"format": "jpeg", "width": 200}}');
my $done = ask("SELECT imgexport.submit(urls => '{$url/dune.jpg,$url/missing.jpg}', outputs => $outputs)");
ask("CALL imgexport.wait('$done', '60s')");
ask("SELECT imgexport.submit(source => pg_read_binary_file('" . photo('flower.jpg') . "'), outputs => $outputs, metadata => '{\"filename\": \"flower.jpg\"}'),
	imgexport.submit(source => pg_read_binary_file('" . photo('dune.jpg') . "'), outputs => $outputs,
		metadata => '{\"filename\": \"<img src=x onerror=hacked=1>\"}')");

# Some that are done, and the rest when the page is looked at.
ask("UPDATE imgexport.queue SET concurrency = 1 WHERE name = 'scrape'");
my $moving = ask("SELECT imgexport.submit(urls => array_agg(CASE WHEN n < 3 THEN '$url/dune.jpg' ELSE format('$url/delay/300/dune.jpg?%s', n) END), outputs => $outputs, queue => 'scrape') FROM generate_series(1, 9) AS n");
ok($node->poll_query_until('postgres', "SELECT count(*) FILTER (WHERE state = 'completed') >= 2 FROM imgexport.job WHERE batch_id = '$moving'"), 'there is something to look at');
ask("SELECT imgexport.pause('scrape')");

my $pid = open2(my $out, my $in, 'python3', 'test/browser/gallery.py', $http->url . '/', $keyed->url . '/', 'the-key-of-the-gallery', "$folder/gallery.png");
while (my $line = <$out>)
{
	chomp $line;
	if ($line =~ /^(not )?ok - (.*)/) { ok(!$1, $2) }
	elsif ($line eq 'do: stop') { $http->stop; print $in "done\n" }
	elsif ($line eq 'do: start') { $http->run($http->{port}); print $in "done\n" }
	elsif ($line eq 'do: go on') { ask("SELECT imgexport.resume('scrape')"); print $in "done\n" }
	else { diag($line) }
	$in->flush;
}
waitpid $pid, 0;
is($?, 0, 'the browser was driven to the end');

$_->stop foreach $http, $keyed;
$web->stop;
$node->stop;
done_testing();
