# A load for a minute: 500 connections, every body compared, memory that does not grow.
use strict;
use warnings;

use lib 'test/lib';
use HttpServer;
use ImgTest;
use Cwd qw(abs_path);
use PostgreSQL::Test::Utils;
use Test::More;

my $seconds = $ENV{SOAK_SECONDS} // 60;
my $folder = abs_path(PostgreSQL::Test::Utils::tempdir());
my $node = new_node('load', 'max_connections = 50');
my $http = HttpServer->start($node, '--max-clients', 1000, '--max-clients-per-address', 0, '--max-rate', 0, '--cache', 1);

sub ask { return $node->safe_psql('postgres', $_[0]) }

# More images than its memory holds, one of them in slices, and all the ways to ask for them.
my $batch = ask("SELECT imgexport.submit(source => pg_read_binary_file('" . photo('photo-1080p.jpg') . "'),
	outputs => (SELECT jsonb_object_agg('w' || w, jsonb_build_object('format', 'webp', 'width', w)) FROM generate_series(100, 1200, 50) AS w)
		|| '{\"large\": {\"format\": \"png\"}}')");
ask("CALL imgexport.wait('$batch', '60s')");
ask("COPY (SELECT encode(data, 'hex'), imgexport.url(image_id), imgexport.url(image_id, '1 day') FROM imgexport.image
	WHERE batch_id = '$batch' ORDER BY bytes) TO '$folder/images'");
append_to_file("$folder/load.lua", <<'LUA');
-- Requests in turn for all images, by static and by signed URLs; bodies have to be what is stored.
local images, paths = {}, {}
for line in io.lines(os.getenv("IMAGES")) do
	local hex, static, signed = line:match("^(%S+)\t(%S+)\t(%S+)$")
	local bytes = hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
	images[#images + 1] = bytes
	paths[#paths + 1] = static
	-- The large one, in slices, half as often.
	if #bytes < 1000000 then paths[#paths + 1] = signed end
end
local known = {}
for _, bytes in ipairs(images) do known[bytes] = true end
local threads = {}
function setup(thread) threads[#threads + 1] = thread end
function init() asked, wrong, good = 0, 0, 0 end
function request() asked = asked + 1; return wrk.format("GET", paths[asked % #paths + 1]) end
function response(status, headers, body)
	if status == 200 and known[body] then good = good + 1 else wrong = wrong + 1 end
end
function done()
	local good, wrong = 0, 0
	for _, thread in ipairs(threads) do good = good + thread:get("good"); wrong = wrong + thread:get("wrong") end
	io.write(string.format("good %d wrong %d\n", good, wrong))
end
LUA

sub load_for
{
	my ($for) = @_;

	return `IMAGES='$folder/images' wrk -t2 -c500 -d${for}s --timeout 20s -s '$folder/load.lua' '${\ $http->url}/' 2>&1`;
}

my $said = load_for(5);
my $memory = $http->memory_kb;
$said = load_for($seconds);
note($said);
like($said, qr/^good [1-9]\d+ wrong 0$/m, "$seconds seconds of 500 connections: each body is what was stored");
unlike($said, qr/Socket errors|Non-2xx/, 'no error');
ok($http->memory_kb < $memory * 1.2 + 10000, "memory: $memory kB after five seconds, " . $http->memory_kb . ' kB at the end');
is(ask("SELECT count(*) <= 4 FROM pg_stat_activity WHERE application_name = 'imgexport-httpd'"), 't', 'over four connections to the database');
is($http->stop, 0, 'it ends');
unlike(slurp_file($node->logfile), qr/ERROR|FATAL:  (?!terminating)|PANIC/, 'and nothing was wrong in the database');
$node->stop;
done_testing();
