/*
 * settings.h
 *		The settings, as the server has them now.  They limit; they never change a pixel.
 */
#ifndef IMGEXPORT_SETTINGS_H
#define IMGEXPORT_SETTINGS_H

typedef struct Settings
{
	bool enabled;
	int max_crashes;
	int fetch_timeout_ms;
	int fetch_connect_timeout_ms;
	int fetch_max_kb;
	int fetch_max_redirects;
	char *fetch_allowed_hosts;
	char *fetch_allowed_networks;
	int store_timeout_ms;
	char *store_allowed_networks;
	char *service_allowed_networks;
	char *store_directories;
	char *secrets_file;
	char *installation;
	int url_clock_tolerance_s;
	int max_variations;
	int variant_lifetime_s;
	int fetch_concurrency;
	int evaluators;
	int evaluate_timeout_ms;
	int codec_timeout_ms;
	int codec_memory_mb;
	int net_memory_mb;
	int codec_processes; /* 0: as many as there are processors */
	int max_pixels;
	int max_pages;
	int max_input_kb;
	char *allowed_loaders;
	int sandbox; /* SettingsSandbox */
	int helper_idle_s;
	int helper_max_requests;
	char *helper_directory; /* "": PostgreSQL's pkglibdir */
	char *schedule_timezone;
	char *uploaded_batch;
	char *uploaded_products;
	char *uploaded_warnings;
} Settings;

typedef enum SettingsSandbox
{
	SETTINGS_SANDBOX_PREFER,
	SETTINGS_SANDBOX_REQUIRE
} SettingsSandbox;

extern Settings settings;

/* Goes up whenever a setting changes that a running helper was started with. */
extern int settings_helper_generation;

void settings_define(void);

#endif
