/*
 * message.h
 *		The messages of both helpers: what a frame's body holds, by type.
 *
 * For each message there is a struct, pack_<message> and unpack_<message>, side by
 * side in message.c.  Texts of an unpacked message point into the frame.  An
 * unpack function returns false for a body that is not that message; the peer is
 * then not to be talked to any more.
 */
#ifndef IMGEXPORT_WIRE_MESSAGE_H
#define IMGEXPORT_WIRE_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/pack.h"
#include "wire/pipeline.h"

/* What went wrong, as far as somebody decides by it.  The server maps it to SQLSTATEs. */
typedef enum FailureKind
{
	FAILURE_INTERNAL = 1,	/* a bug, or a library's failure that is nobody's fault */
	FAILURE_MALFORMED,		/* the image is damaged or no image */
	FAILURE_UNSUPPORTED,	/* a format or variant that is not read or written */
	FAILURE_LIMIT,			/* pixels, pages, bytes: a setting or a format forbids it */
	FAILURE_TIMEOUT,		/* the time allowed is over */
	FAILURE_TRANSFER,		/* the network failed in a way that may pass */
	FAILURE_TRANSFER_FINAL, /* the network's answer is final: 404, bad certificate */
	FAILURE_REFUSED,		/* the address is not one we may talk to */
	FAILURE_ARGUMENT,		/* an argument out of its range, an unknown step */
	FAILURE_FEATURE,		/* this format cannot do that */
	FAILURE_MEMORY,			/* out of memory within the limit */
	FAILURE_DENIED,			/* a file or directory that may not be written */
	FAILURE_DISK_FULL,
	FAILURE_IO, /* a disk failed otherwise */
	FAILURE_KINDS
} FailureKind;

/* FRAME_ERROR.  With id 0 the helper itself failed, not a request. */
#define FAILURE_RETRY_AFTER_MAX_S 86400
#define HTTP_STATUS_MAX 999 /* as HTTP/1.1 writes it: three digits */
typedef struct Failure
{
	FailureKind kind;
	int output;			   /* index of the pipeline that failed, -1: the whole request */
	int step;			   /* index of the step in that pipeline, -1: none */
	const char *step_name; /* without img_, "" when step is -1 */
	int http_status;	   /* 0: no answer came */
	int retry_after_s;	   /* what the server asked for, 0: nothing */
	bool sent;			   /* a request may have left, and no answer says whether it was done */
	const char *message;   /* PostgreSQL's style: lower case, no period */
	const char *detail;	   /* a sentence, or "" */
	const char *hint;	   /* a sentence, or "" */
} Failure;

/* FRAME_STORE, with the bytes in a sealed memfd, and FRAME_REMOVE, with none. */
typedef struct FileRequest
{
	const char *root; /* directory of the store */
	const char *key;  /* relative path under it */
	uint64_t length;  /* 0 where it is to be removed */
} FileRequest;

/* FRAME_HELLO: the helper is up, locked down and waiting. */
typedef struct Hello
{
	uint32_t version;	 /* WIRE_VERSION */
	const char *program; /* "imgexport-codec" */
	const char *about;	 /* JSON object: versions, loaders, sandbox; for imgexport.check() */
} Hello;

/* Where a source's bytes are: descriptor fd of the frame, length bytes from offset. */
typedef struct Source
{
	int fd; /* index into the frame's descriptors */
	uint64_t offset;
	uint64_t length;
} Source;

/* What rendering may use at most. */
typedef struct RenderLimits
{
	uint64_t max_pixels; /* width x height x pages of any decoded image */
	uint32_t max_pages;
	uint32_t time_ms; /* the server's patience; the helper reports before it ends */
} RenderLimits;

/* FRAME_RENDER: render each pipeline; they share sources, and usually their first steps. */
typedef struct RenderRequest
{
	RenderLimits limits;
	bool keep_going; /* a failed pipeline is one FRAME_ERROR, and the others go on */
	int source_count;
	Source sources[PIPELINE_MAX_SOURCES];
	int pipeline_count;
	struct
	{
		const void *data; /* packed, see pipeline.h */
		uint32_t size;
	} pipelines[PIPELINE_MAX_STEPS];
} RenderRequest;

/* FRAME_OUTPUT: pipeline number index is finished; fds[0] is a sealed memfd of its bytes. */
typedef struct Output
{
	int index;
	const char *format; /* "jpeg", "png", ... */
	uint32_t width;
	uint32_t height;
	uint32_t pages;
	uint64_t length;
	uint32_t encode_us;
} Output;

/* FRAME_WARNING */
typedef struct Warning
{
	int output; /* -1: of the whole request */
	const char *message;
} Warning;

/* FRAME_DONE: after the last output of a RENDER. */
typedef struct RenderDone
{
	uint32_t decode_us;	 /* opening and shared part */
	uint32_t process_us; /* all the rest but encoding */
	uint32_t encode_us;
	uint64_t peak_rss_bytes; /* of the helper, since its start */
} RenderDone;

typedef enum DescribeDetail
{
	DESCRIBE_INFO = 1, /* the fields of Description */
	DESCRIBE_METADATA  /* and JSON */
} DescribeDetail;

/* FRAME_DESCRIBE: read the header of the one source. */
typedef struct DescribeRequest
{
	RenderLimits limits;
	DescribeDetail detail;
	uint64_t total_length; /* of the whole image; the source may be only its beginning */
	Source source;
} DescribeRequest;

/* FRAME_DESCRIPTION: with DESCRIBE_METADATA fds[0] is a sealed memfd of JSON (UTF-8). */
typedef struct Description
{
	bool complete; /* false: the beginning was not enough, nothing else is filled in */
	const char *format;
	const char *mime;
	uint32_t width; /* as it is shown: after EXIF orientation */
	uint32_t height;
	uint32_t pages;
	bool has_alpha;
	uint32_t orientation; /* EXIF, 1 to 8 */
	uint64_t json_length;
} Description;

/* FRAME_FETCH: GET a URL, or send it something: then fds[0] is a sealed memfd of that. */
typedef struct FetchRequest
{
	const char *url;
	const char *method;		/* "GET", "POST" ... */
	const char *headers;	/* a line each, "Name: value", without an end; "": none */
	uint64_t upload_length; /* bytes to be sent; without a memfd 0 */
	uint32_t connect_timeout_ms;
	uint32_t timeout_ms;
	uint64_t max_bytes; /* of the body, after decompression; 0: the status is all that counts */
	uint32_t max_redirects;
	const char *allowed_hosts;	  /* comma separated: name, *.name; "": any */
	const char *allowed_networks; /* comma separated CIDR that would else be refused */
} FetchRequest;

/* FRAME_FETCHED: status 2xx; fds[0] is a sealed memfd of the body. */
typedef struct Fetched
{
	int http_status;
	const char *url; /* where the redirects ended */
	const char *content_type;
	const char *etag; /* with its quotes; "": none */
	uint64_t length;
	uint32_t redirects;
	uint32_t dns_us;
	uint32_t connect_us;
	uint32_t tls_us;
	uint32_t first_byte_us;
	uint32_t total_us;
} Fetched;

void pack_hello(Packer *packer, const Hello *hello);
bool unpack_hello(const void *body, size_t size, Hello *hello);
void pack_failure(Packer *packer, const Failure *failure);
bool unpack_failure(const void *body, size_t size, Failure *failure);
void pack_render_request(Packer *packer, const RenderRequest *request);
bool unpack_render_request(const void *body, size_t size, RenderRequest *request);
void pack_output(Packer *packer, const Output *output);
bool unpack_output(const void *body, size_t size, Output *output);
void pack_warning(Packer *packer, const Warning *warning);
bool unpack_warning(const void *body, size_t size, Warning *warning);
void pack_render_done(Packer *packer, const RenderDone *done);
bool unpack_render_done(const void *body, size_t size, RenderDone *done);
void pack_describe_request(Packer *packer, const DescribeRequest *request);
bool unpack_describe_request(const void *body, size_t size, DescribeRequest *request);
void pack_description(Packer *packer, const Description *description);
bool unpack_description(const void *body, size_t size, Description *description);
void pack_fetch_request(Packer *packer, const FetchRequest *request);
bool unpack_fetch_request(const void *body, size_t size, FetchRequest *request);
bool fetch_is_idempotent(const char *method);
void pack_file_request(Packer *packer, const FileRequest *request);
bool unpack_file_request(const void *body, size_t size, FileRequest *request);
void pack_fetched(Packer *packer, const Fetched *fetched);
bool unpack_fetched(const void *body, size_t size, Fetched *fetched);

#endif
