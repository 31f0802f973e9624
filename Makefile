# carom: `make help` says what there is to do. run, test and bench first install what they need.
export CARGO_TARGET_DIR ?= $(CURDIR)/target
PREFIX ?= /usr/local
LIBDIR ?= lib
CFLAGS ?= -O2 -g
CXXFLAGS ?= -O2 -g

archive := $(CARGO_TARGET_DIR)/release/libcarom.a
headers := $(wildcard include/*.h include/*.hpp c-tests/*.h c-tests/*/*.h)
points := $(CURDIR)/build/points
evidence := c-tests/evidence.sh
warnings := -Wall -Wextra -Werror
link := -Lbuild/lib -lcarom -Wl,-rpath,$(CURDIR)/build/lib -pthread
sanitizers := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
# Some tests store to a null pointer on purpose: the signal tells, see c-tests/sanitize.sh.
sanitizers += -fno-sanitize=null -Wno-format-truncation
tests := $(addprefix build/,$(basename $(wildcard c-tests/test_*.c c-tests/test_*.cpp)))
torture := $(addprefix build/,$(basename $(wildcard c-tests/torture_*.c)))
sanitized := $(patsubst build/c-tests/%,build/sanitize/%,$(tests))
examples := $(patsubst examples-c/%.c,build/examples/%,$(shell grep -l '^int main\b' examples-c/*.c 2>/dev/null))

.PHONY: help run test test-c step sanitize sanitize-c torture sweep bench lib examples header abi install clean force
help: ## list the goals
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

run: ## thumbnails of a folder of pictures, some of them damaged, by a pool that does not mind
	@scripts/setup.sh run
	@$(MAKE) --no-print-directory build/examples/thumbs build/bin/carom-replay
	@rm -rf build/capsules && mkdir -p build/capsules
	build/examples/thumbs --damage --capsules build/capsules --replay build/bin/carom-replay

test: ## everything that CI runs
	@scripts/setup.sh test
	cargo fmt --check
	cargo clippy --release --all-targets -- -D warnings
	@mkdir -p build && rm -f $(points)
	CAROM_POINTS=$(points) cargo test --release
	@$(MAKE) --no-print-directory -j$$(nproc) test-c
	@CAROM_POINTS=$(points) $(MAKE) --no-print-directory step
	c-tests/points.sh $(points) 100000

# Short forms of what `make torture` does for longer.
step: $(torture) ## kill at every instruction, as far as STEP_SECONDS=40 go; failing calls, hostile memory, a soak
	$(evidence) build/c-tests/torture_faults
	$(evidence) build/c-tests/torture_hostile 4
	$(evidence) build/c-tests/torture_frames 4
	$(evidence) build/c-tests/torture_soak 4
	$(evidence) build/c-tests/torture_race 10000
	$(evidence) build/c-tests/torture_queue 4
	$(evidence) build/c-tests/torture_manager 4
	$(evidence) build/c-tests/torture_step $(or $(STEP_SECONDS),40)

test-c: build/c-tests/runner build/bin/carom-replay $(tests) $(examples) ## the C, C++ and Python tests, or TESTS='build/c-tests/test_x ...'
	c-tests/run.sh $(TESTS)

sanitize: ## the C and C++ tests under ASan, UBSan and valgrind
	@scripts/setup.sh sanitize
	@$(MAKE) --no-print-directory -j$$(nproc) sanitize-c

sanitize-c: build/c-tests/runner build/bin/carom-replay $(tests) $(sanitized)
	c-tests/sanitize.sh

torture: $(torture) build/c-tests/runner build/c-tests/test_start_many ## kill at every instruction and every access, for SECONDS=60 each (600 by stepping)
	@rm -f $(points)
	CAROM_POINTS=$(points) CAROM_SIM_SECONDS=$(or $(SECONDS),60) cargo test --release --test sim -- --nocapture
	LOOM_MAX_PREEMPTIONS=3 CAROM_LOOM_SECONDS=$(or $(SECONDS),60) cargo test --release --test loom -- --nocapture
	$(evidence) build/c-tests/torture_faults
	CAROM_HOSTILE_SECONDS=$(or $(SECONDS),60) cargo test --release --test hostile -- --nocapture
	$(evidence) build/c-tests/torture_hostile $(or $(SECONDS),60)
	$(evidence) build/c-tests/torture_frames $(or $(SECONDS),60)
	CAROM_MANAGER_CLIENTS=10000 cargo test --release --lib manager
	$(evidence) build/c-tests/torture_soak $(or $(SECONDS),60)
	CAROM_STARTS=10000 CAROM_TEST_TIMEOUT_MULTIPLIER=60 c-tests/run.sh build/c-tests/test_start_many
	$(evidence) build/c-tests/torture_race $(if $(SECONDS),$(SECONDS)000,1000000)
	$(evidence) build/c-tests/torture_queue $(or $(SECONDS),60)
	$(evidence) build/c-tests/torture_manager $(or $(SECONDS),60)
	CAROM_POINTS=$(points) $(evidence) build/c-tests/torture_step $(or $(SECONDS),600)
	c-tests/seeded.sh
	c-tests/points.sh $(points) $(if $(SECONDS),1,1000000)

sweep: build/c-tests/torture_step ## kill at every instruction there is, which takes hours; or of OPERATION='keeper, born' SCRIPT=alone
	$(evidence) build/c-tests/torture_step 0 "$(OPERATION)" "$(SCRIPT)"

bench: ## measure, and compare with others
	@scripts/setup.sh bench
	@$(MAKE) --no-print-directory lib examples
	benches/run.sh

lib: build/lib/libcarom.so build/bin/carom-replay ## the library, static and shared, and carom-replay
examples: $(examples) ## the programs of examples-c

header: ## write include/carom.h and include/carom.map anew from src/ffi
	CAROM_WRITE_HEADER=1 cargo test --release --test header

abi: ## write abi/ anew from the header: what programs that are built rely on
	scripts/abi.sh abi

install: lib ## PREFIX=/usr/local LIBDIR=lib DESTDIR=
	PREFIX=$(PREFIX) LIBDIR=$(LIBDIR) DESTDIR=$(DESTDIR) scripts/install.sh $(archive) build/lib

clean: ## remove what was built
	rm -rf build
	cargo clean

# Cargo knows whether there is something to do; what hangs on the archive is made again only if cargo wrote it. What the
# archive must be linked with goes to a file beside it, for a test.
$(archive): force
	cargo rustc --release --lib --crate-type staticlib -- --print native-static-libs=$(archive).libs

build/lib/libcarom.so: $(archive) include/carom.map cmake/relink.sh cmake/native-libs libexec/carom-worker.c
	cmake/relink.sh $(archive) build/lib
	@touch build/lib/libcarom.so

# Finds the library beside it, wherever both are moved.
build/bin/carom-replay: tools/carom-replay.c include/carom.h cmake/link-replay.sh | build/lib/libcarom.so
	cmake/link-replay.sh $< build/lib $@ lib

build/c-tests/runner: c-tests/runner.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(warnings) $< -o $@

build/c-tests/%: c-tests/%.c $(headers) | build/lib/libcarom.so
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(warnings) -Iinclude $< -o $@ $(link)

build/c-tests/%: c-tests/%.cpp $(headers) | build/lib/libcarom.so
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) $(warnings) -Iinclude $< -o $@ $(link)

build/sanitize/%: c-tests/%.c $(headers) | build/lib/libcarom.so
	@mkdir -p $(@D)
	$(CC) $(sanitizers) $(warnings) -Iinclude $< -o $@ $(link)

build/sanitize/%: c-tests/%.cpp $(headers) | build/lib/libcarom.so
	@mkdir -p $(@D)
	$(CXX) $(sanitizers) $(warnings) -Iinclude $< -o $@ $(link)

# An example names what it is made of besides itself: /* build: other.c -lpng */
build/examples/%: examples-c/%.c $(headers) $(wildcard examples-c/*) | build/lib/libcarom.so
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(warnings) -Iinclude $< -o $@ \
	    $(patsubst %.c,examples-c/%.c,$(shell sed -n 's|^/\* build: \(.*\) \*/$$|\1|p' $<)) $(link)
