/*
 * codec_client.h
 *		The server's side of the wire, as small as tests need it: start a codec, ask, take the answers.
 */
#ifndef IMGEXPORT_TEST_CODEC_CLIENT_H
#define IMGEXPORT_TEST_CODEC_CLIENT_H

#include <sys/types.h>

#include "wire/frame.h"
#include "wire/message.h"

#define CLIENT_MAX_ANSWERS 16

typedef struct Codec
{
	pid_t pid;
	int socket;
	uint32_t last_id;
	char about[4096];
} Codec;

/* What a pipeline is built in. */
typedef struct Recipe
{
	uint8_t data[16384];
	Packer packer;
	int step_count;
} Recipe;

typedef struct Bytes
{
	uint8_t *data; /* owned */
	size_t size;
} Bytes;

typedef struct Answer
{
	int output; /* index */
	Bytes bytes;
	char format[16];
	uint32_t width;
	uint32_t height;
} Answer;

typedef struct Refusal
{
	FailureKind kind; /* 0: none */
	int output;
	int step;
	char step_name[64];
	char message[512];
	char detail[1024];
	char hint[512];
} Refusal;

/* All that came back for one RENDER. */
typedef struct Result
{
	bool alive; /* false: the codec is gone */
	bool done;
	RenderDone timing;
	int answer_count;
	Answer answers[CLIENT_MAX_ANSWERS];
	int refusal_count;
	Refusal refusals[CLIENT_MAX_ANSWERS];
	int warning_count;
	char warning[512]; /* the last one */
} Result;

typedef struct Request
{
	RenderLimits limits;
	bool keep_going;
	int source_count;
	Bytes sources[4]; /* borrowed */
	int recipe_count;
	Recipe *recipes[CLIENT_MAX_ANSWERS];
} Request;

bool codec_start(Codec *codec, const char *const *arguments);
int codec_stop(Codec *codec);
int codec_wait(Codec *codec);
bool codec_send(Codec *codec, uint16_t type, const void *body, size_t size, const int *fds,
				int fd_count);

void recipe_start(Recipe *recipe, int source);
void recipe_step(Recipe *recipe, const char *name, int arguments);
size_t recipe_end(Recipe *recipe);

void request_init(Request *request, Bytes source);
void codec_render(Codec *codec, Request *request, Result *result);
void result_free(Result *result);
bool codec_describe(Codec *codec, Bytes beginning, uint64_t total, bool metadata,
					Description *description, char *json, size_t json_size, Refusal *refusal);
int bytes_to_memfd(Bytes bytes);

#endif
