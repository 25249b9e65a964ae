# make memcheck finds what it is for: faults that are planted into a library of the test's own.
use strict;
use warnings;

use lib 'test/lib';
use Cwd qw(abs_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $kind = $ENV{MEMCHECK} // plan skip_all => 'not in make memcheck';
my $folder = abs_path(PostgreSQL::Test::Utils::tempdir());
sub config { chomp(my $answer = `$ENV{PG_CONFIG} --$_[0]`); return $answer }

# Reports of its own: those of make memcheck fail the run.
$ENV{ASAN_OPTIONS} =~ s{log_path=\S+}{log_path=$folder/report} if $kind eq 'asan';
$ENV{UBSAN_OPTIONS} =~ s{log_path=\S+}{log_path=$folder/report} if $kind eq 'asan';
$ENV{MEMCHECK_VALGRIND} =~ s{--log-file=\S+}{--log-file=$folder/report.%p};

my $sanitize = $kind eq 'asan' ? '-fsanitize=address,undefined' : '';
is(system('gcc ' . config('cppflags') . ' ' . config('cflags') . " -O0 -fPIC -shared $sanitize -I" . config('includedir-server') .
	" test/memcheck/plant.c -o '$folder/plant.so'"), 0, 'a library with faults is built');
my $node = PostgreSQL::Test::Cluster->new('plant');
$node->init;
$node->append_conf('postgresql.conf', 'restart_after_crash = on');
$node->start;

# What UBSan writes goes to the log where it was loaded into a process that had begun already.
sub reports { return join '', map { slurp_file($_) } $node->logfile, glob "$folder/report*" }

my %found = (
	asan => { freed => qr/use-after-poison.*plant_freed/s, 'reset' => qr/use-after-poison.*plant_reset/s, beyond => qr/use-after-poison.*plant_beyond/s,
		shift => qr/runtime error: shift exponent/ },
	valgrind => { freed => qr/Invalid read.*plant_freed/s, 'reset' => qr/Invalid read.*plant_reset/s, beyond => qr/Invalid read.*plant_beyond/s,
		undefined => qr/depends on uninitialised value/ });
foreach my $fault (sort keys %{ $found{$kind} })
{
	my $result = $fault eq 'reset' ? 'text' : $fault eq 'undefined' ? 'boolean' : 'int';

	$node->poll_query_until('postgres', "SELECT true");
	unlink glob "$folder/report*" if $kind eq 'asan';
	$node->psql('postgres', "CREATE FUNCTION plant_$fault() RETURNS $result LANGUAGE C AS '$folder/plant'");
	$node->psql('postgres', "SELECT plant_$fault()");
	like(reports(), $found{$kind}{$fault}, "$kind reports: $fault");
}

$node->stop;
done_testing();
