/*
 * guard_test.c
 *		Which addresses may be talked to: every network that must not, in every form.
 */
#include <arpa/inet.h>
#include <string.h>

#include "net/guard.h"
#include "tap.h"

/* First and last address of each network that is refused, and forms that stand for them. */
static const char *const refused[] = {
	"0.0.0.0",
	"0.255.255.255",
	"10.0.0.0",
	"10.255.255.255",
	"100.64.0.0",
	"100.127.255.255",
	"127.0.0.1",
	"127.255.255.255",
	"169.254.0.0",
	"169.254.169.254",
	"172.16.0.0",
	"172.31.255.255",
	"192.0.0.0",
	"192.0.0.255",
	"192.0.2.1",
	"192.88.99.1",
	"192.168.0.0",
	"192.168.255.255",
	"198.18.0.0",
	"198.19.255.255",
	"198.51.100.7",
	"203.0.113.7",
	"224.0.0.1",
	"239.255.255.255",
	"240.0.0.1",
	"255.255.255.255",
	"::",
	"::1",
	"::7f00:1",
	"::ffff:127.0.0.1",
	"::ffff:10.0.0.1",
	"::ffff:169.254.169.254",
	"::ffff:0:127.0.0.1",
	"64:ff9b::127.0.0.1",
	"64:ff9b::10.1.2.3",
	"64:ff9b:1::1",
	"100::1",
	"2001::1",
	"2001:db8::1",
	"2002:7f00:1::",
	"2002:a00:1::1",
	"2002:c0a8:1::",
	"3fff::1",
	"5f00::1",
	"fc00::1",
	"fdff::1",
	"fe80::1",
	"febf::1",
	"fec0::1",
	"ff02::1",
	"ff0e::1",
};

static const char *const open_ones[] = {
	"1.1.1.1",		   "9.255.255.255",	  "11.0.0.0",		"100.63.255.255",
	"100.128.0.0",	   "126.255.255.255", "128.0.0.0",		"169.253.255.255",
	"169.255.0.0",	   "172.15.255.255",  "172.32.0.0",		"191.255.255.255",
	"192.0.1.0",	   "192.167.255.255", "192.169.0.0",	"198.17.255.255",
	"198.20.0.0",	   "223.255.255.255", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
	"2002:808:808::1", "2606:4700::1111", "2a00:1450::1",	"2003::1",
};

static bool
allows(const Guard *guard, const char *text)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		return guard_allows(guard, (struct sockaddr *) &v4);
	if (inet_pton(AF_INET6, text, &v6.sin6_addr) != 1)
		ok(false, "%s is an address", text);
	return guard_allows(guard, (struct sockaddr *) &v6);
}

static void
test_addresses(void)
{
	Guard guard;
	struct sockaddr unknown = {.sa_family = AF_UNIX};

	ok(guard_parse(&guard, ""), "no network is allowed");
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
	{
		ok(!allows(&guard, refused[i]), "%s is refused", refused[i]);
		ok(!guard_allows_text(&guard, refused[i]), "%s is refused as text", refused[i]);
	}
	for (size_t i = 0; i < sizeof open_ones / sizeof open_ones[0]; i++)
		ok(allows(&guard, open_ones[i]), "%s is not", open_ones[i]);
	ok(!guard_allows(&guard, &unknown), "what is no internet address is refused");
	ok(!guard_allows_text(&guard, "localhost") && !guard_allows_text(&guard, ""),
	   "so is what is no address");
}

static void
test_allowed(void)
{
	Guard guard;

	ok(guard_parse(&guard, " 127.0.0.0/8 , fd12::/16,192.168.7.7"), "a list of networks");
	ok(allows(&guard, "127.9.9.9") && allows(&guard, "fd12::1") &&
		   allows(&guard, "192.168.7.7"),
	   "opens them");
	ok(allows(&guard, "::ffff:127.0.0.1"), "also where IPv6 maps them");
	ok(!allows(&guard, "128.0.0.1") || allows(&guard, "1.1.1.1"), "and public ones stay open");
	ok(!allows(&guard, "192.168.7.8") && !allows(&guard, "fd13::1") &&
		   !allows(&guard, "10.0.0.1"),
	   "and nothing else");
	ok(!guard_parse(&guard, "127.0.0.0/33") && !guard_parse(&guard, "nonsense") &&
		   !guard_parse(&guard, "10.0.0.0/") && !guard_parse(&guard, "10.0.0.0/-1") &&
		   !guard_parse(&guard, "::/129") && !guard_parse(&guard, "10/8"),
	   "what is no network is no list");
}

static void
test_hosts(void)
{
	ok(guard_host_matches("example.com", ""), "no list: any host");
	ok(guard_host_matches("Example.COM", "a.org, example.com"), "a name on the list");
	ok(guard_host_matches("example.com.", "example.com"), "with a dot at its end");
	ok(!guard_host_matches("www.example.com", "example.com"), "but not what is below it");
	ok(guard_host_matches("www.example.com", "*.example.com"), "unless a star says so");
	ok(!guard_host_matches("example.com", "*.example.com"),
	   "which does not mean the name itself");
	ok(!guard_host_matches("badexample.com", "*.example.com"), "nor what only ends like it");
	ok(!guard_host_matches("example.com.evil.org", "example.com,*.example.com"),
	   "nor begins like it");
	ok(!guard_host_matches("", "example.com"), "nor nothing");
}

int
main(void)
{
	test_addresses();
	test_allowed();
	test_hosts();
	return tap_done();
}
