# The house as doc/architecture.md draws it, and what every object in it owes its users.
use strict;
use warnings;

use lib 'test/lib';
use ImgTest;
use File::Find;
use PostgreSQL::Test::Utils;
use Test::More;

# Which folders of src a folder may include from, itself apart.
my %may_include = (
	wire => [],
	sandbox => [qw(wire)],
	codec => [qw(wire sandbox)],
	net => [qw(wire sandbox)],
	files => [qw(wire sandbox)],
	httpd => [qw(sandbox)],
	helper => [qw(wire)],
	image => [qw(wire helper)],
	queue => [qw(wire helper image)]);

my @wrong;
my @forbidden;
find(
	{
		no_chdir => 1,
		wanted => sub {
			return unless m{^src/(\w+)/.*\.[ch]$} && $may_include{$1};
			my ($file, $folder) = ($_, $1);
			my %allowed = map { $_ => 1 } $folder, @{ $may_include{$folder} };
			my $text = slurp_file($file);

			while ($text =~ /^#include "(\w+)\/(?!.*\/)/mg)
			{
				push @wrong, "$file includes $1/" if $may_include{$1} && !$allowed{$1};
			}
			push @forbidden, $file
			  if $folder =~ /^(wire|sandbox|codec|net|files)$/ && $text =~ /#include "postgres\.h"/;
			push @forbidden, $file
			  if $folder =~ /^(wire|helper|image|queue)$/ && $text =~ m{#include <(vips|curl)/};
		}
	},
	'src');
is_deeply(\@wrong, [], 'folders include only what lies below them');
is_deeply(\@forbidden, [], 'no server header in a helper program, no library in the server');

# What a task, a call or an item of an outbox keeps is made in its memory: by a function that is told whose it
# is (its name ends with _in, or an argument names the owner or a context), or where the context was switched.
my %keeps;
my @homeless;
foreach my $file (map { glob } qw(src/queue/*.[ch] src/image/*.h src/helper/*.h))
{
	my $text = slurp_file($file);

	while ($text =~ /^(?:typedef )?struct (\w*)\s*\{(.*?)^\}/msg)
	{
		my ($type, $members) = ($1, $2);
		$keeps{$type}{$_} = 1 foreach $members =~ /^\s+(?:const )?(?:struct )?(?:\w+ \*+|StringInfo )(\w+)(?:\[[^]]*\])?;/mg;
	}
}
# These are filled in on the stack of who asks.
delete @keeps{qw(Request QueueRoom)};
# They make nothing in memory, or nothing but descriptors, or have a context of their own.
my $harmless = qr/(?:strlen|strchr|bulk_of|bulk_dup|transfer_start|filework_\w+|worker_start_helper|MemoryContext\w*|(?:UUIDP|TimestampTz|Int32|Int64|Bool|Pointer)GetDatum)/;
foreach my $file (glob 'src/queue/*.c')
{
	my $text = slurp_file($file);

	$text =~ s{/\*.*?\*/}{}gs;
	while ($text =~ /^(\w+)(\([^;{}]*\)\n\{\n.*?)^\}/msg)
	{
		my ($function, $body) = ($1, $2);

		while ($body =~ /(\w+)->(\w+)(?:\[[^\]]*\])?\s*=(?!=)\s*([^;]*);/g)
		{
			my ($holder, $member, $value, $before) = ($1, $2, $3, substr($body, 0, $-[0]));
			my ($type) = $body =~ /\b(\w+) \*$holder\b/;
			my ($call) = $value =~ s/\bsizeof\b//gr =~ /\b([a-z_A-Z]\w*)\(/;

			next if !$keeps{ $type // '' }{$member} || !defined $call || $call =~ /^$harmless$|_in$/;
			next if $value =~ s/CurrentMemoryContext//gr =~ /context|owner\b/i || $before =~ /MemoryContextSwitchTo\((?!before)/;
			# It was made in the same breath as what it is part of.
			next if $before =~ /\b$holder = (?:palloc|CopyErrorData)/;
			push @homeless, "$file, $function: $holder->$member";
		}
	}
}
is_deeply(\@homeless, [], 'what the worker keeps belongs to somebody');

my @sources = map { glob } qw(src/*.[ch] src/*/*.[ch] src/*/*/*.[ch] test/*/*.[ch] bench/*.c);
is(system('clang-format', '--dry-run', '--Werror', @sources), 0, 'all C is laid out by .clang-format');

my $node = new_node('house');
my $library = `$ENV{PG_CONFIG} --pkglibdir`;
chomp $library;
my @exported = map { (split)[-1] } grep { / [TBDR] / } `nm -D --defined-only $library/imgexport.so`;
is_deeply([ grep { !/^(_PG_init|Pg_magic_func|pg_finfo_\w+|img_\w+|imgexport_\w+)$/ } @exported ],
	[], 'the library exports only what the server calls');

sub rows
{
	my ($query) = @_;

	return [ split /\n/, $node->safe_psql('postgres', $query) ];
}

my $members = "
	SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'imgexport'";

is_deeply(
	rows("SELECT pg_describe_object(m.classid, m.objid, 0) FROM ($members) m
		  WHERE m.classid IN ('pg_proc'::regclass, 'pg_class'::regclass, 'pg_namespace'::regclass)
			AND NOT EXISTS (SELECT FROM pg_description c
							WHERE (c.classoid, c.objoid, c.objsubid) = (m.classid, m.objid, 0))
			AND NOT EXISTS (SELECT FROM pg_class c
							WHERE c.oid = m.objid AND m.classid = 'pg_class'::regclass
							  AND c.relkind IN ('i', 'c')) ORDER BY 1"),
	[], 'every object has a comment');

# Rights change in one place, src/queue/gate.c.  A trigger has no arguments to go through it with:
# who may delete an image may not write to the outbox of removals.
is_deeply(
	rows("SELECT p.proname FROM ($members) m JOIN pg_proc p ON p.oid = m.objid
		  WHERE m.classid = 'pg_proc'::regclass AND p.prosecdef ORDER BY 1"),
	[qw(remove_object)], 'no function but a trigger is SECURITY DEFINER');

# What is behind the gate has the arguments of what is before it, and nobody may call it.
my $gates = "SELECT p.* FROM ($members) m JOIN pg_proc p ON p.oid = m.objid
	WHERE m.classid = 'pg_proc'::regclass AND p.prosrc = 'imgexport_as_owner'";
my $twins = "SELECT p.* FROM ($members) m JOIN pg_proc p ON p.oid = m.objid
	WHERE m.classid = 'pg_proc'::regclass AND p.proname LIKE '%\\_as'";
cmp_ok(scalar @{ rows("SELECT g.oid FROM ($gates) g") }, '>', 10, 'functions go through the gate');
is_deeply(
	rows("SELECT coalesce(g.oid, t.oid)::regprocedure FROM ($gates) g FULL JOIN ($twins) t
			ON t.proname = g.proname || '_as' AND t.pronamespace = g.pronamespace
			AND t.proargtypes::text = concat_ws(' ', 'regrole'::regtype::oid, nullif(g.proargtypes::text, ''))
		  WHERE (t.prorettype, t.proretset, t.proisstrict, t.proallargtypes[2:], t.proowner)
			IS DISTINCT FROM (g.prorettype, g.proretset, g.proisstrict, g.proallargtypes, g.proowner)"),
	[], 'each function before the gate has one behind it, and the other way round');
is_deeply(
	rows("SELECT t.oid::regprocedure FROM ($twins) t
		  WHERE EXISTS (SELECT FROM aclexplode(coalesce(t.proacl, acldefault('f', t.proowner))) a
						WHERE a.grantee <> t.proowner)"),
	[], 'nobody may call what is behind the gate');

# Whose something is, is asked of the role that called: neither of the session's nor of a setting.
@wrong = ();
find(
	{
		no_chdir => 1,
		wanted => sub {
			return unless /\.(c|h|sql)$/;
			my $text = slurp_file($_);

			$text =~ s{/\*.*?\*/|^\s*--[^\n]*|COMMENT ON .*?;\n}{}gms;
			push @wrong, "$_: $1"
			  while $text =~ /\b(session_user|GetSessionUserId|GetOuterUserId|GetAuthenticatedUserId
				|current_setting\('(?:role|session_authorization|imgexport\.)[^']*')/gx;
		}
	},
	'src');
is_deeply(\@wrong, [], "no code asks for the session's user, or for a setting that a session may have made up");

is_deeply(
	rows("SELECT p.oid::regprocedure FROM ($members) m JOIN pg_proc p ON p.oid = m.objid
		  WHERE m.classid = 'pg_proc'::regclass AND p.prolang IN
				(SELECT oid FROM pg_language WHERE lanname IN ('sql', 'plpgsql'))
			-- A body that was parsed when it was made is not looked up again.
			AND p.prosqlbody IS NULL
			AND NOT coalesce(p.proconfig::text LIKE '%search_path=pg_catalog, pg_temp%', false)
		  ORDER BY 1"),
	[], 'functions in SQL fix their search_path');

# What anybody may call: everything that only computes.
is_deeply(
	rows("SELECT p.proname FROM ($members) m JOIN pg_proc p ON p.oid = m.objid
		  WHERE m.classid = 'pg_proc'::regclass AND p.provolatile = 'v'
			AND has_function_privilege('public', p.oid, 'EXECUTE') ORDER BY 1"),
	[qw(new_id)], 'of what does not only compute, everybody may call new_id');
is_deeply(
	rows("SELECT c.relname FROM ($members) m JOIN pg_class c ON c.oid = m.objid
		  WHERE m.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'v')
			AND has_table_privilege('public', c.oid, 'SELECT, INSERT, UPDATE, DELETE') ORDER BY 1"),
	[], 'no table is open to everybody');

# Every image function and setting has a place in the reference.
my $doc = join '', map { slurp_file($_) } 'README.md', glob('doc/*.md');
is_deeply(
	[ grep { $doc !~ /\b\Q$_\E\b/ } @{ rows("SELECT DISTINCT p.proname FROM ($members) m
		  JOIN pg_proc p ON p.oid = m.objid WHERE m.classid = 'pg_proc'::regclass
			AND NOT EXISTS (SELECT FROM ($twins) t WHERE t.oid = p.oid) ORDER BY 1") } ],
	[], 'every function has a place in doc/');
is_deeply(
	[ grep { $doc !~ /\b\Q$_\E\b/ }
		  @{ rows("LOAD 'imgexport'; SELECT name FROM pg_settings WHERE name LIKE 'imgexport.%' ORDER BY 1") } ],
	[], 'every setting has a place in doc/');

$node->stop;
done_testing();
