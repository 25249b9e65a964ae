/*
 * errors.h
 *		What helpers report, as PostgreSQL errors: one table, nobody else chooses.
 */
#ifndef IMGEXPORT_HELPER_ERRORS_H
#define IMGEXPORT_HELPER_ERRORS_H

#include "utils/elog.h"

#include "compat.h"
#include "wire/message.h"

/* Errors that applications catch. */
#define ERRCODE_IMAGE_MALFORMED MAKE_SQLSTATE('I', 'X', '0', '0', '1')
#define ERRCODE_IMAGE_UNSUPPORTED MAKE_SQLSTATE('I', 'X', '0', '0', '2')
#define ERRCODE_IMAGE_LIMIT MAKE_SQLSTATE('I', 'X', '0', '0', '3')
#define ERRCODE_IMAGE_TIMEOUT MAKE_SQLSTATE('I', 'X', '0', '0', '4')
#define ERRCODE_IMAGE_TRANSFER MAKE_SQLSTATE('I', 'X', '0', '0', '5')
#define ERRCODE_IMAGE_REFUSED MAKE_SQLSTATE('I', 'X', '0', '0', '6')
#define ERRCODE_IMAGE_HELPER MAKE_SQLSTATE('I', 'X', '0', '0', '7')

/* The domain of errors that other processes report. */
#define HELPER_DOMAIN "imgexport helper"

typedef struct HelperError
{
	int sqlstate;
	bool retryable;	   /* may succeed when tried again later */
	bool of_server;	   /* the server itself could not do it: nobody's failure */
	int output;		   /* index of the pipeline it is about, -1: all */
	int step;		   /* index of the step, -1: none */
	int http_status;   /* 0: no answer came */
	int retry_after_s; /* 0: not said */
	bool sent;		   /* a request may have left, and no answer says whether it was done */
	char *step_name;   /* "" where there is none */
	char *message;
	char *detail; /* NULL where there is none; likewise hint */
	char *hint;
} HelperError;

HelperError *helper_error(int sqlstate, bool retryable, const char *message, const char *detail,
						  const char *hint);
HelperError *helper_error_copy(const HelperError *error, MemoryContext owner);
HelperError *helper_error_of_failure(const Failure *failure);
bool sqlstate_is_retryable(int sqlstate);
bool sqlstate_is_of_server(int sqlstate);
pg_noreturn extern void helper_error_raise(const HelperError *error);

#endif
