# trimtab: make help
#
#   build/       gcc, optimised        (CC=clang BUILD=build-clang for clang)
#   build-asan/  SAN=1: AddressSanitizer and UndefinedBehaviorSanitizer

VERSION := 0.1.0
SAN ?=
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
BUILD ?= $(if $(SAN),build-asan,build)
CLANG ?= clang
BPF_SYS := -idirafter /usr/include/$(shell uname -m)-linux-gnu
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)

comma := ,
WARN := -Wall -Wextra -Werror -Wno-unused-parameter -Wmissing-prototypes -Wstrict-prototypes \
	-Wshadow -Wpointer-arith -Wvla -Wformat=2
CFLAGS ?= -O2 -g
ALL_CFLAGS := -std=gnu17 $(CFLAGS) $(WARN) -fno-strict-aliasing -fstack-protector-strong -fPIE \
	$(if $(SAN),-fsanitize=address$(comma)undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined,\
	-D_FORTIFY_SOURCE=2) -Iinclude -Iagent -I$(BUILD)/gen -DTRIMTAB_VERSION=\"$(VERSION)\" -MMD -MP
LDFLAGS += -pie -Wl,-z,relro,-z,now $(if $(SAN),-fsanitize=address$(comma)undefined)
LIBS := -lbpf -luv -lmicrohttpd -lcurl -lcjson -lcyaml -lyaml -lcap -lseccomp -lm

PROBES := $(patsubst bpf/%.bpf.c,%,$(wildcard bpf/*.bpf.c))
SKELS := $(PROBES:%=$(BUILD)/gen/%.skel.h)
SRC := $(wildcard agent/*.c agent/*/*.c)
OBJ := $(SRC:agent/%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/serve/embed.o
LIB_OBJ := $(filter-out $(BUILD)/obj/main.o,$(OBJ))

.PHONY: FORCE all run test check bench matrix fuzz format clean help tests docs
.DELETE_ON_ERROR:
.SECONDARY:

all: $(BUILD)/trimtab

help: ## show the targets
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BUILD)/trimtab: $(OBJ)
	$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# --- the kernel half

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c
	@mkdir -p $(@D)
	$(CLANG) -target bpf -O2 -g -mcpu=v3 -Wall -Werror -D__TARGET_ARCH_x86 -I. -Iinclude -Ibpf $(BPF_SYS) -MMD -MP -c $< -o $@

$(BUILD)/gen/%.skel.h: $(BUILD)/bpf/%.bpf.o
	@mkdir -p $(@D)
	$(BPFTOOL) gen skeleton $< name $*_bpf > $@

# --- the user half

$(BUILD)/obj/%.o: agent/%.c | $(SKELS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@

# the page: every file of dashboards/web, as it is and packed; adding one needs no other edit

WEB := $(sort $(wildcard dashboards/web/*.html dashboards/web/*.js dashboards/web/*.css))
WEB_GZ := $(WEB:dashboards/web/%=$(BUILD)/gen/gz/%.gz)

$(BUILD)/gen/gz/%.gz: dashboards/web/%
	@mkdir -p $(@D)
	gzip -9nc $< > $@

# written anew when a file was added, removed or changed, and only then
$(BUILD)/gen/web.inc: FORCE
	@mkdir -p $(@D)
	@for f in $(WEB); do \
		echo "	web \"$${f##*/}\", \"$$(sha256sum < $$f | cut -c 1-16)\""; done > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(BUILD)/obj/serve/embed.o: agent/serve/embed.S agent/serve/openapi.json $(BUILD)/gen/web.inc $(WEB_GZ)
	@mkdir -p $(@D)
	$(CC) -Wa,-I,$(BUILD)/gen -c $< -o $@

# --- tests; each tests/unit/NAME_test.c and tests/kernel/NAME_test.c is a cmocka program

UNIT := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/*_test.c))
KERNEL := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/kernel/*_test.c))
HELPERS := $(BUILD)/tests/helpers/load

$(BUILD)/libtrimtab.a: $(LIB_OBJ)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/tests/unit/%: tests/unit/%.c $(BUILD)/libtrimtab.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -Itests -o $@ $< $(BUILD)/libtrimtab.a -lcmocka $(LIBS)

$(BUILD)/tests/kernel/%: tests/kernel/%.c $(wildcard tests/kernel/*.h) $(BUILD)/libtrimtab.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -Itests -o $@ $< $(BUILD)/libtrimtab.a -lcmocka $(LIBS)

# the load maker, without libraries, so that it also runs in the matrix's initramfs
$(BUILD)/tests/helpers/load: $(wildcard tests/helpers/load/*.[ch])
	@mkdir -p $(@D)
	$(CC) -std=gnu17 $(CFLAGS) $(WARN) -o $@ $(filter %.c,$^) -lpthread

tests: $(UNIT) $(KERNEL) $(HELPERS) ## build the tests

# --- what people call

run: ## install what the build needs, build, run (as root)
	@tools/setup build
	@$(MAKE) --no-print-directory all
	@$(BUILD)/trimtab run

test: ## install what the tests need and run them all
	@tools/setup test
	@tools/test all

check: $(UNIT) ## unit tests only, seconds, no root
	@tools/test unit

bench: ## ratios against peers and floors; takes about 20 minutes
	@tools/setup bench
	@$(MAKE) --no-print-directory all tests
	@tests/bench/run

matrix: ## every probe on Debian's kernels, under qemu
	@tools/setup matrix
	@$(MAKE) --no-print-directory all tests
	@tests/matrix/run

fuzz: ## every parser, for longer than make test does
	@tools/setup test
	@tests/fuzz/run 60

format: ## clang-format in place
	clang-format -i $$(git ls-files '*.c' '*.h' | grep -v '^vmlinux.h$$')

docs: all ## docs/metrics.md and docs/configure.md from the code's tables
	$(BUILD)/trimtab docs metrics > docs/metrics.md
	$(BUILD)/trimtab docs configuration > docs/configure.md

clean: ## remove what was built
	rm -rf build build-*

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
