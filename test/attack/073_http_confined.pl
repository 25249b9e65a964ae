# imgexport-httpd gives up what it does not need, and works all the same.
use strict;
use warnings;

use lib 'test/lib';
use HttpServer;
use ImgTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'sanitizers need what the sandbox closes' if $ENV{ASAN_OPTIONS};

my $node = new_node('confined');
my $http = HttpServer->start($node, '--sandbox', 'prefer');

# Of a process, as the kernel tells it.
sub status_of
{
	my ($pid, $name) = @_;
	my ($value) = slurp_file("/proc/$pid/status") =~ /^\Q$name\E:\s+(.*)$/m;

	return $value;
}

is($http->ask('/health')->{status} =~ /^(200|503)$/ ? 1 : 0, 1, 'confined, it answers, over a socket of this machine');
is(status_of($http->{pid}, 'NoNewPrivs'), 1, 'D10: no program that it starts could have more rights');
is(status_of($http->{pid}, 'Seccomp'), 2, 'D10: system calls are filtered');
is((grep { status_of($_, 'Seccomp') != 2 } map { m{(\d+)$} } glob("/proc/$http->{pid}/task/*")) + 0, 0, 'D10: of all its threads');
my ($data, $core) = map { (slurp_file("/proc/$http->{pid}/limits") =~ /^Max $_ size\s+(\d+)/m)[0] } 'data', 'core file';
ok(defined $data && $data < 1200 << 20, 'D10: its memory has a limit: ' . ($data // 'none'));
is($core, 0, 'D10: and it leaves no core file with what clients sent');

# It still finds its database after that has gone, and its log after it was moved away.
$node->restart;
my $found;
for (1 .. 100) { $found = $http->ask('/static/output/x.jpg')->{status}; last if $found == 404; select(undef, undef, undef, 0.1) }
is($found, 404, 'it reaches the database again');
my $log = $node->basedir . '/access.log';
rename $log, "$log.1" or die;
kill 'HUP', $http->{pid};
for (1 .. 100) { last if -e $log; select(undef, undef, undef, 0.1) }
ok(-e $log, 'and begins a new log');
is($http->stop, 0, 'and ends');

# Over TCP, to the port of the database alone.
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'");
$node->restart;
$node->append_conf('pg_hba.conf', 'host all all 127.0.0.1/32 trust');
$node->reload;
my $tcp = HttpServer->start($node, '--database', 'host=localhost port=' . $node->port . ' user=web dbname=postgres');
is($tcp->ask('/static/output/x.jpg')->{status}, 404, 'a database that is found by its name');
is($tcp->stop, 0, 'and it ends');

my ($out, $err) = run_command([ 'build/imgexport-httpd', '--sandbox', 'maybe' ]);
like($err, qr/sandbox: must be prefer, require or none/, 'a sandbox that is none');
$node->stop;
done_testing();
