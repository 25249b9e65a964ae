/*
 * route.h
 *		Which function of the database answers which URL.
 */
#ifndef IMGEXPORT_HTTPD_ROUTE_H
#define IMGEXPORT_HTTPD_ROUTE_H

#include <stdbool.h>

typedef enum RouteFlags
{
	ROUTE_POST = 1,
	ROUTE_OPEN = 2, /* needs no API key: the URL itself is the right, or nothing is told */
	ROUTE_SLOW = 4, /* may take long: it must not hold up others */
	ROUTE_KEPT = 8, /* bodies are kept, and asked for again only as to whether they are good */
	ROUTE_VARIES = 16, /* with Accept */
	ROUTE_METRICS = 32 /* numbers of this server are added */
} RouteFlags;

typedef enum RouteMethods
{
	METHOD_GET = 1,
	METHOD_POST = 2
} RouteMethods;

typedef struct Route
{
	const char *pattern;  /* what a path begins with; "=" before it: all of it; "*" is a part */
	const char *function; /* in schema imgexport; NULL: we answer ourselves */
	int flags;
} Route;

extern const Route routes[];
extern const int route_count;

const Route *route_find(const char *path, bool post);
int route_methods(const char *path);

#endif
