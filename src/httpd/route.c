/*
 * route.c
 *		Which function of the database answers which URL.
 */
#include <stddef.h>
#include <string.h>

#include "httpd/route.h"

const Route routes[] = {
	{"=/", NULL, ROUTE_OPEN},
	{"/static/output/", "http_static", ROUTE_OPEN | ROUTE_KEPT},
	{"/api/download/", "http_download", ROUTE_OPEN | ROUTE_KEPT},
	{"/api/through/", "http_through", ROUTE_OPEN | ROUTE_SLOW},
	{"/img/", "http_variant", ROUTE_OPEN | ROUTE_SLOW | ROUTE_KEPT | ROUTE_VARIES},
	{"=/health", "http_health", ROUTE_OPEN},
	{"=/metrics", "http_metrics", ROUTE_METRICS},
	{"=/api/gallery", "http_gallery", 0},
	{"/api/source/", "http_source", ROUTE_OPEN | ROUTE_SLOW},
	{"/api/status/", "http_status", 0},
	{"=/jobs/*/images", "http_job_images", 0},
	{"=/jobs/*/images/*", "http_job_image", ROUTE_KEPT | ROUTE_VARIES},
	{"=/api/upload", "http_upload", ROUTE_POST | ROUTE_SLOW},
	{"=/process", "http_process", ROUTE_POST | ROUTE_SLOW},
	{"=/process/batch", "http_process", ROUTE_POST | ROUTE_SLOW},
	{"=/metadata", "http_metadata", ROUTE_POST | ROUTE_SLOW},
	{"=/metadata/batch", "http_metadata", ROUTE_POST | ROUTE_SLOW},
	{"=/process-image", "http_process_image", ROUTE_POST | ROUTE_SLOW},
};
const int route_count = sizeof routes / sizeof routes[0];

/* Does a path have the form of a pattern, part by part? */
static bool
has_form(const char *path, const char *pattern)
{
	while (*pattern != '\0')
	{
		if (*pattern == '*')
		{
			size_t part = strcspn(path, "/");

			if (part == 0)
				return false;
			path += part;
			pattern++;
		}
		else if (*path++ != *pattern++)
			return false;
	}
	return *path == '\0';
}

static bool
fits(const Route *route, const char *path)
{
	const char *pattern = route->pattern;

	return pattern[0] == '=' ? has_form(path, pattern + 1)
							 : strncmp(path, pattern, strlen(pattern)) == 0;
}

/* The route of a path, by POST or by GET; NULL: there is none. */
const Route *
route_find(const char *path, bool post)
{
	for (int i = 0; i < route_count; i++)
		if (((routes[i].flags & ROUTE_POST) != 0) == post && fits(&routes[i], path))
			return &routes[i];
	return NULL;
}

/* By which methods a path can be asked for; 0: it is none of ours. */
int
route_methods(const char *path)
{
	return (route_find(path, false) != NULL ? METHOD_GET : 0) |
		   (route_find(path, true) != NULL ? METHOD_POST : 0);
}
