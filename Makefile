# imgexport: the extension by PGXS, the other programs by plain rules.
#
#	make            build everything            make install    and install it
#	make demo       the main job, on real photographs
#	make check      every test                  make bench      every benchmark
#	make attack     every attack on it, slow ones too
#	make sanitize   the tests that use the helper programs, with ASan and UBSan in them
#	make valgrind   every operation on every kind of image, in a codec under valgrind
#	make memcheck   the tests of the server's own library, in a PostgreSQL that reports errors of memory
#	make fuzz       fuzz targets, FUZZ_SECONDS each
#	make parity     the same pictures by sharp and by our functions
#	make soak       ten thousand images through one helper process, and other long runs
#	make soak chaos thousands of jobs, with one fault after another
#	make docs       doc/reference.md and its pictures, from the functions themselves
#	make roots      Debian 12, 13 and testing in folders; make check ROOT=debian13 tests in one

IMGEXPORT_VERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" imgexport.control)

# These set up the machine first, so they are answered before PGXS, which may not be there yet
# (and which has a "check" of its own).
OWN_GOALS := check attack demo bench sanitize valgrind memcheck fuzz soak chaos parity docs roots clean-cache
ifneq ($(filter $(OWN_GOALS),$(MAKECMDGOALS)),)

# ROOT=debian13 runs it on that release, in a root (see test/root).
check attack demo bench sanitize valgrind memcheck fuzz parity docs:
	@$(if $(ROOT),test/root $(ROOT)) test/run $@

roots:
	@for root in debian12 debian13 testing; do test/root $$root || exit; done

# chaos says which soak.
soak:
	@test/run soak $(filter chaos,$(MAKECMDGOALS))
chaos:
	@$(if $(filter soak,$(MAKECMDGOALS)),:,test/run soak chaos)

clean-cache:
	rm -rf .cache

.PHONY: $(OWN_GOALS)

else

# The extension --------------------------------------------------------------

EXTENSION = imgexport
MODULE_big = imgexport
SERVER_SOURCES := $(sort $(wildcard src/*.c src/wire/*.c src/helper/*.c src/image/*.c src/queue/*.c))
OBJS = $(SERVER_SOURCES:.c=.o)
SCRIPT = imgexport--$(IMGEXPORT_VERSION).sql
DATA_built = $(SCRIPT)
PG_CPPFLAGS = -I$(srcdir)/src -D_GNU_SOURCE -DIMGEXPORT_VERSION='"$(IMGEXPORT_VERSION)"'
PG_CFLAGS = -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare $(WERROR) -Wno-error=declaration-after-statement
SHLIB_LINK = -Wl,--version-script=$(srcdir)/src/imgexport.map
EXTRA_CLEAN = build $(SCRIPT)
ifneq ($(SANITIZE_SERVER),)
PG_CFLAGS += -fsanitize=$(SANITIZE_SERVER) -fno-omit-frame-pointer
SHLIB_LINK += -fsanitize=$(SANITIZE_SERVER)
endif

# Bitcode for the JIT compiler would never be inlined, and building it needs clang.
override with_llvm = no

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(OBJS): $(wildcard src/*.h src/wire/*.h src/helper/*.h src/image/*.h src/queue/*.h)

# The sum of src/schema in the order of its file names.
$(SCRIPT): $(sort $(wildcard src/schema/*.sql))
	cat $^ > $@

# The helper programs --------------------------------------------------------

CODEC_PACKAGES = vips pango fontconfig libexif libdeflate libseccomp
NET_PACKAGES = libcurl libseccomp
FILES_PACKAGES = libseccomp
HTTPD_PACKAGES = libpq libseccomp
PROGRAM_CFLAGS = -std=gnu11 -O2 -g -Wall -Wextra $(WERROR) -D_GNU_SOURCE -D_FORTIFY_SOURCE=2 \
	-fstack-protector-strong -fPIE -Isrc -DIMGEXPORT_VERSION='"$(IMGEXPORT_VERSION)"'
PROGRAM_LDFLAGS = -pie -Wl,-z,relro,-z,now -lm -lpthread
ifdef SANITIZE
PROGRAM_CFLAGS += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -U_FORTIFY_SOURCE -DIMGEXPORT_SANITIZE
PROGRAM_LDFLAGS += -fsanitize=$(SANITIZE)
endif

# Without the sandbox, which lets no tool look into the process.
ifdef UNLOCKED
PROGRAM_CFLAGS += -DIMGEXPORT_SANITIZE
endif

SHARED_OBJECTS := $(patsubst src/%.c,build/%.o,$(wildcard src/wire/*.c src/sandbox/*.c))
CODEC_OBJECTS := $(patsubst src/%.c,build/%.o,$(wildcard src/codec/*.c src/codec/*/*.c))
NET_OBJECTS := $(patsubst src/%.c,build/%.o,$(wildcard src/net/*.c))
HTTPD_OBJECTS := $(patsubst src/%.c,build/%.o,$(wildcard src/httpd/*.c))
FILES_OBJECTS := $(patsubst src/%.c,build/%.o,$(wildcard src/files/*.c))
PROGRAMS = build/imgexport-codec build/imgexport-net build/imgexport-files
SERVERS = build/imgexport-httpd

build/%.o: src/%.c $(wildcard src/wire/*.h src/sandbox/*.h src/codec/*.h src/net/*.h src/files/*.h src/httpd/*.h)
	@mkdir -p $(@D)
	$(CC) $(PROGRAM_CFLAGS) $(if $(PACKAGES),$(shell pkg-config --cflags $(PACKAGES))) -c $< -o $@

build/codec/%.o: PACKAGES = $(CODEC_PACKAGES)
build/net/%.o: PACKAGES = $(NET_PACKAGES)
build/httpd/%.o: PACKAGES = $(HTTPD_PACKAGES)
build/httpd/reply.o: src/httpd/gallery.html
build/httpd/reply.o: PROGRAM_CFLAGS += -DGALLERY_PAGE='"$(srcdir)/src/httpd/gallery.html"'

build/imgexport-codec: $(CODEC_OBJECTS) $(SHARED_OBJECTS)
	$(CC) -o $@ $^ $(PROGRAM_LDFLAGS) $(shell pkg-config --libs $(CODEC_PACKAGES))

build/imgexport-files: $(FILES_OBJECTS) $(SHARED_OBJECTS)
	$(CC) -o $@ $^ $(PROGRAM_LDFLAGS) $(shell pkg-config --libs $(FILES_PACKAGES))

build/imgexport-net: $(NET_OBJECTS) $(SHARED_OBJECTS)
	$(CC) -o $@ $^ $(PROGRAM_LDFLAGS) $(shell pkg-config --libs $(NET_PACKAGES))

build/imgexport-httpd: $(HTTPD_OBJECTS) $(SHARED_OBJECTS)
	$(CC) -o $@ $^ $(PROGRAM_LDFLAGS) $(shell pkg-config --libs $(HTTPD_PACKAGES))

all: $(PROGRAMS) $(SERVERS)

# Tests and benchmarks in C --------------------------------------------------

TEST_PROGRAMS := $(patsubst test/%.c,build/test/%,$(wildcard test/unit/*_test.c test/liar/*.c))
tests: $(TEST_PROGRAMS) build/test/double/evaluator_liar.so
benches: build/bench/floor

build/test/%: test/%.c $(SHARED_OBJECTS) $(wildcard test/unit/*.h)
	@mkdir -p $(@D)
	$(CC) $(PROGRAM_CFLAGS) -Itest/unit $(shell pkg-config --cflags $(PACKAGES)) \
		$(filter %.c %.o,$^) -o $@ $(PROGRAM_LDFLAGS) $(shell pkg-config --libs $(PACKAGES))
build/test/%: PACKAGES = libseccomp
build/test/unit/guard_test: build/net/guard.o
build/test/unit/sandbox_test: build/net/readable.o
build/test/unit/codec_test: test/unit/codec_client.c | build/imgexport-codec
build/test/unit/codec_test: PACKAGES = vips libseccomp

# A double that the server loads.
build/test/double/%.so: test/double/%.c src/wire/frame.c src/wire/memfd.c src/wire/pack.c $(wildcard src/*/*.h)
	@mkdir -p $(@D)
	$(CC) -shared -fPIC $(filter-out -Wmissing-prototypes,$(PG_CFLAGS)) $(PG_CPPFLAGS) -I$(shell $(PG_CONFIG) --includedir-server) \
		$(filter %.c,$^) -o $@

build/bench/floor: bench/floor.c
	@mkdir -p $(@D)
	$(CC) $(PROGRAM_CFLAGS) $(shell pkg-config --cflags vips) $< -o $@ $(shell pkg-config --libs vips)

# Fuzz targets, with libFuzzer ------------------------------------------------

FUZZ_PROGRAMS := $(patsubst test/fuzz/%_fuzz.c,build/fuzz/%_fuzz,$(wildcard test/fuzz/*_fuzz.c))
FUZZ_CFLAGS = -std=gnu11 -O1 -g -Wall -Wextra -D_GNU_SOURCE -Isrc -Itest/fuzz -DIMGEXPORT_SANITIZE \
	-DIMGEXPORT_VERSION='"$(IMGEXPORT_VERSION)"' -fsanitize=fuzzer-no-link,address,undefined
FUZZ_OBJECTS := $(patsubst src/%.c,build/fuzz/%.o,$(wildcard src/wire/*.c) \
	$(filter-out src/codec/main.c,$(wildcard src/codec/*.c src/codec/*/*.c))) build/fuzz/fuzz.o
FUZZ_HTTPD_OBJECTS := $(patsubst src/%.c,build/fuzz/%.o,$(filter-out src/httpd/main.c src/httpd/confine.c,$(wildcard src/httpd/*.c)))
fuzzers: $(FUZZ_PROGRAMS)

build/fuzz/httpd/%.o: src/httpd/%.c $(wildcard src/httpd/*.h)
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) -DGALLERY_PAGE='"$(srcdir)/src/httpd/gallery.html"' \
		$(shell pkg-config --cflags $(HTTPD_PACKAGES)) -c $< -o $@

build/fuzz/http_%.o: test/fuzz/http_%.c $(wildcard src/httpd/*.h)
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) $(shell pkg-config --cflags $(HTTPD_PACKAGES)) -c $< -o $@

build/fuzz/%.o: src/%.c $(wildcard src/wire/*.h src/codec/*.h)
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) $(shell pkg-config --cflags $(CODEC_PACKAGES)) -c $< -o $@

build/fuzz/%.o: test/fuzz/%.c test/fuzz/fuzz.h
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) $(shell pkg-config --cflags $(CODEC_PACKAGES)) -c $< -o $@

build/fuzz/http_%_fuzz: build/fuzz/http_%_fuzz.o $(FUZZ_HTTPD_OBJECTS)
	clang -fsanitize=fuzzer,address,undefined -o $@ $^ $(shell pkg-config --libs $(HTTPD_PACKAGES)) -lpthread

build/fuzz/%_fuzz: build/fuzz/%_fuzz.o $(FUZZ_OBJECTS)
	clang -fsanitize=fuzzer,address,undefined -o $@ $^ $(shell pkg-config --libs $(CODEC_PACKAGES)) -lm

install: install-programs
install-programs: $(PROGRAMS) $(SERVERS)
	$(MKDIR_P) '$(DESTDIR)$(pkglibdir)' '$(DESTDIR)$(bindir)'
	$(INSTALL_PROGRAM) $(PROGRAMS) '$(DESTDIR)$(pkglibdir)'
	$(INSTALL_PROGRAM) $(SERVERS) '$(DESTDIR)$(bindir)'

uninstall: uninstall-programs
uninstall-programs:
	rm -f $(addprefix '$(DESTDIR)$(pkglibdir)'/,$(notdir $(PROGRAMS)))
	rm -f $(addprefix '$(DESTDIR)$(bindir)'/,$(notdir $(SERVERS)))

# Objects that a pattern made on the way to a fuzzer are wanted again.
.SECONDARY: $(FUZZ_OBJECTS) $(FUZZ_HTTPD_OBJECTS)
.PHONY: install-programs uninstall-programs tests benches fuzzers

endif
