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

/*
 * Every row of IANA's registries of special-purpose addresses, IPv4 and IPv6, as of 2025, of
 * multicast, and of the clouds' own: the first address of each, one inside, the last, and its
 * neighbours, which are open where they are nobody else's.
 */
static const struct
{
	const char *name;
	const char *first;
	const char *inside;
	const char *last;
	const char *before; /* NULL: it belongs to another row, or to no global unicast */
	const char *after;
} blocks[] = {
	{"0.0.0.0/8", "0.0.0.0", "0.1.2.3", "0.255.255.255", NULL, "1.0.0.0"},
	{"10.0.0.0/8", "10.0.0.0", "10.1.2.3", "10.255.255.255", "9.255.255.255", "11.0.0.0"},
	{"100.64.0.0/10", "100.64.0.0", "100.100.100.200", "100.127.255.255", "100.63.255.255",
	 "100.128.0.0"},
	{"127.0.0.0/8", "127.0.0.0", "127.0.0.1", "127.255.255.255", "126.255.255.255",
	 "128.0.0.0"},
	{"168.63.129.16/32", "168.63.129.16", "168.63.129.16", "168.63.129.16", "168.63.129.15",
	 "168.63.129.17"},
	{"169.254.0.0/16", "169.254.0.0", "169.254.169.254", "169.254.255.255", "169.253.255.255",
	 "169.255.0.0"},
	{"172.16.0.0/12", "172.16.0.0", "172.20.0.1", "172.31.255.255", "172.15.255.255",
	 "172.32.0.0"},
	{"192.0.0.0/24", "192.0.0.0", "192.0.0.192", "192.0.0.255", "191.255.255.255", "192.0.1.0"},
	{"192.0.0.0/29", "192.0.0.0", "192.0.0.1", "192.0.0.7", NULL, NULL},
	{"192.0.0.8/32", "192.0.0.8", "192.0.0.8", "192.0.0.8", NULL, NULL},
	{"192.0.0.9/32", "192.0.0.9", "192.0.0.9", "192.0.0.9", NULL, NULL},
	{"192.0.0.10/32", "192.0.0.10", "192.0.0.10", "192.0.0.10", NULL, NULL},
	{"192.0.0.170/32", "192.0.0.170", "192.0.0.170", "192.0.0.171", NULL, NULL},
	{"192.0.2.0/24", "192.0.2.0", "192.0.2.1", "192.0.2.255", "192.0.1.255", "192.0.3.0"},
	{"192.31.196.0/24", "192.31.196.0", "192.31.196.1", "192.31.196.255", "192.31.195.255",
	 "192.31.197.0"},
	{"192.52.193.0/24", "192.52.193.0", "192.52.193.1", "192.52.193.255", "192.52.192.255",
	 "192.52.194.0"},
	{"192.88.99.0/24", "192.88.99.0", "192.88.99.2", "192.88.99.255", "192.88.98.255",
	 "192.88.100.0"},
	{"192.168.0.0/16", "192.168.0.0", "192.168.1.1", "192.168.255.255", "192.167.255.255",
	 "192.169.0.0"},
	{"192.175.48.0/24", "192.175.48.0", "192.175.48.1", "192.175.48.255", "192.175.47.255",
	 "192.175.49.0"},
	{"198.18.0.0/15", "198.18.0.0", "198.19.0.1", "198.19.255.255", "198.17.255.255",
	 "198.20.0.0"},
	{"198.51.100.0/24", "198.51.100.0", "198.51.100.7", "198.51.100.255", "198.51.99.255",
	 "198.51.101.0"},
	{"203.0.113.0/24", "203.0.113.0", "203.0.113.7", "203.0.113.255", "203.0.112.255",
	 "203.0.114.0"},
	{"224.0.0.0/4", "224.0.0.0", "239.1.2.3", "239.255.255.255", "223.255.255.255", NULL},
	{"240.0.0.0/4", "240.0.0.0", "250.1.2.3", "255.255.255.254", NULL, NULL},
	{"255.255.255.255/32", "255.255.255.255", "255.255.255.255", "255.255.255.255", NULL, NULL},
	{"::1/128", "::1", "::1", "::1", NULL, NULL},
	{"::/128", "::", "::", "::", NULL, NULL},
	{"::/96", "::", "::8.8.8.8", "::255.255.255.255", NULL, NULL},
	{"::ffff:0:0/96", "::ffff:0.0.0.0", "::ffff:10.0.0.1", "::ffff:255.255.255.255", NULL,
	 NULL},
	{"::ffff:0:0:0/96", "::ffff:0:0:0", "::ffff:0:8.8.8.8", "::ffff:0:ffff:ffff", NULL, NULL},
	{"64:ff9b::/96", "64:ff9b::", "64:ff9b::10.1.2.3", "64:ff9b::ffff:ffff", NULL, NULL},
	{"64:ff9b:1::/48", "64:ff9b:1::", "64:ff9b:1::8.8.8.8",
	 "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", NULL, NULL},
	{"100::/64", "100::", "100::1", "100::ffff:ffff:ffff:ffff", NULL, NULL},
	{"100:0:0:1::/64", "100:0:0:1::", "100:0:0:1::1", "100:0:0:1:ffff:ffff:ffff:ffff", NULL,
	 NULL},
	{"2001::/23", "2001::", "2001:100::1", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
	 "2000:ffff::1", "2001:200::"},
	{"2001::/32", "2001::", "2001:0:808:808::1", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", NULL,
	 NULL},
	{"2001:1::1/128", "2001:1::1", "2001:1::2", "2001:1::3", NULL, NULL},
	{"2001:2::/48", "2001:2::", "2001:2::1", "2001:2:0:ffff:ffff:ffff:ffff:ffff", NULL, NULL},
	{"2001:3::/32", "2001:3::", "2001:3::1", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff", NULL,
	 NULL},
	{"2001:4:112::/48", "2001:4:112::", "2001:4:112::1", "2001:4:112:ffff:ffff:ffff:ffff:ffff",
	 NULL, NULL},
	{"2001:10::/28", "2001:10::", "2001:18::1", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", NULL,
	 NULL},
	{"2001:20::/28", "2001:20::", "2001:28::1", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff", NULL,
	 NULL},
	{"2001:30::/28", "2001:30::", "2001:38::1", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff", NULL,
	 NULL},
	{"2001:db8::/32", "2001:db8::", "2001:db8::1", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
	 "2001:db7:ffff::1", "2001:db9::"},
	{"2002::/16", "2002::", "2002:a00:1::1", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	 "2001:ffff::1", "2003::"},
	{"2620:4f:8000::/48", "2620:4f:8000::", "2620:4f:8000::1",
	 "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", "2620:4f:7fff::1", "2620:4f:8001::"},
	{"3fff::/20", "3fff::", "3fff:800::1", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
	 "3ffe:ffff::1", "3fff:1000::"},
	{"5f00::/16", "5f00::", "5f00::1", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL, NULL},
	{"fc00::/7", "fc00::", "fd00:ec2::254", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL,
	 NULL},
	{"fe80::/10", "fe80::", "fe80::1", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL, NULL},
	{"fec0::/10", "fec0::", "fec0::1", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL, NULL},
	{"ff00::/8", "ff00::", "ff0e::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL, NULL},
	/* No global unicast at all: what is neither 2000::/3 nor one of the above. */
	{"::/3", "0:1::", "200::1", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL, "2000::"},
	{"4000::/2", "4000::", "4321::1", "7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	 "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL},
	{"8000::/1", "8000::", "a000::1", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL, NULL},
	/* ISATAP under a global prefix, a local one, and both of its forms. */
	{"ISATAP", "2a00:1450::5efe:10.0.0.1", "2606:4700:1:2:200:5efe:127.0.0.1",
	 "2a00:1450::5efe:169.254.169.254", "2a00:1450::5eff:10.0.0.1", "2a00:1450::5efe:8.8.8.8"},
	{"ISATAP, other", "fe80::5efe:8.8.8.8", "2a00::300:5efe:192.168.0.1",
	 "2a00::100:5efe:172.16.0.1", NULL, NULL},
	{"6to4 of a block", "2002:7f00:1::", "2002:c0a8:101::1", "2002:a83f:8110::1", NULL,
	 "2002:808:808::1"},
	{"NAT64 of a block", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::a83f:8110", NULL,
	 "64:ff9b::8.8.8.8"},
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
test_blocks(void)
{
	Guard guard;

	guard_parse(&guard, "");
	for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
	{
		ok(!allows(&guard, blocks[i].first) && !allows(&guard, blocks[i].inside) &&
			   !allows(&guard, blocks[i].last),
		   "E8: %s is refused from %s to %s", blocks[i].name, blocks[i].first, blocks[i].last);
		if (blocks[i].before != NULL)
			ok(allows(&guard, blocks[i].before), "E8: %s before it is open", blocks[i].before);
		if (blocks[i].after != NULL)
			ok(allows(&guard, blocks[i].after), "E8: %s after it is open", blocks[i].after);
	}
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
	test_blocks();
	test_allowed();
	test_hosts();
	return tap_done();
}
