# Every target sets itself up first (scripts/setup.sh) and then calls one script under the pinned Node.
# `make help` lists the targets. BOARD is a folder of board/, or "host" for the machine that builds.

BOARD ?= qemu-x86_64
NODE := scripts/node
SETUP := scripts/setup.sh

.PHONY: help run serve test test-unit test-boot test-matrix bundle image flash keys config menuconfig savedefconfig oracle bench tidy format size clean

help:
	@sed -n 's/^## //p' Makefile

## make run       [BOARD=b] [MEM=256]  build the firmware and boot it in QEMU on this terminal (Ctrl-A X ends it)
run:
	@$(SETUP) bundle image qemu
	@$(NODE) scripts/run.ts $(BOARD)

## make serve                          the gateway alone on this machine: 127.0.0.1:2525, spool under build/host
serve:
	@$(SETUP)
	@$(NODE) scripts/serve.ts

## make test      [STAGES="unit flow"] all that CI runs; the last line is "N passed, N failed"
test:
	@$(SETUP) bundle image qemu test/packages
	@$(NODE) test/run.ts $(STAGES)

## make test-unit                      house rules and unit tests: seconds
test-unit:
	@$(SETUP) test/packages
	@$(NODE) test/run.ts tidy unit

## make test-boot                      boot each QEMU board, mail through it, power cut (about 7 minutes)
test-boot:
	@$(SETUP) bundle image qemu test/packages
	@$(NODE) test/run.ts board

## make test-matrix                    every two flags of src/Kconfig in every state: bundled, started, asked (a minute)
test-matrix:
	@$(SETUP) bundle test/packages
	@$(NODE) --test test/matrix/pairs.test.ts

## make test-powercut [FILESYSTEM=ext4|f2fs] [SECONDS=20] [STATES=n] [SEED=n]  every state that a power cut under load can leave (root; about 30 minutes)
test-powercut:
	@$(SETUP) bundle image qemu test/packages
	@$(NODE) test/powercut/run.ts

## make soak      [SECONDS=1800] [SEED=n]  a day of good and bad clients in half an hour: memory, descriptors, flash
soak:
	@$(SETUP)
	@$(NODE) test/soak/run.ts

## make fuzz      [TIME=60] [SEED=n] [ONLY=target]  random input for everything that reads what others wrote: TIME seconds
fuzz:
	@$(SETUP)
	@$(NODE) test/fuzz/run.ts

## make bundle    [BOARD=b]            build/b/postern, the single binary (BOARD=host: for this machine)
bundle:
	@$(SETUP) bundle
	@$(NODE) scripts/binary.ts $(BOARD)

## make image     [BOARD=b]            build/b/postern-b.img, the whole disk, and postern-b.update
image:
	@$(SETUP) bundle image
	@$(NODE) scripts/image.ts $(BOARD)

## make flash     BOARD=b DEVICE=/dev/sdX  write that to a card or disk, after asking
flash:
	@$(SETUP) bundle image
	@$(NODE) scripts/flash.ts $(BOARD) "$(DEVICE)"

## make keys      [KEYS=dir]           the signing keys of this firmware line; what is there stays
keys:
	@$(SETUP)
	@$(NODE) scripts/keys.ts

## make config    CONFIG=dir OUT=file  compile and sign a configuration image from a folder
config:
	@$(SETUP) image
	@$(NODE) scripts/configuration.ts "$(CONFIG)" "$(OUT)"

## make menuconfig BOARD=b             choose what the board's binary is built with
menuconfig:
	@$(SETUP) bundle
	@$(NODE) scripts/kconfig.ts menuconfig $(BOARD)

## make savedefconfig BOARD=b          keep that choice in board/b/defconfig
savedefconfig:
	@$(SETUP) bundle
	@$(NODE) scripts/kconfig.ts savedefconfig $(BOARD)

## make oracle    CASES=dir            run recorded decisions of Sendmail through the gateway's code
oracle:
	@$(SETUP)
	@$(NODE) test/oracle/run.ts $(CASES)

## make size      [BOARD=b]            bytes of the binary, the root file system and the image, and what fills them
size:
	@$(SETUP) bundle image
	@$(NODE) scripts/size.ts $(BOARD)

## make bench     [QUICK=1] [GROWTH=1]  speed, memory, flash writes beside other mail servers (root; 40 min; QUICK=1: 4; GROWTH=1: 1)
##                [SECONDS=2.2] [ROUNDS=2] [MINUTES=55] [PUBLISH=1]  a cell's time, turns, end of the run; write the reference page
## make bench     BOARD=b              boot, memory and load of an emulated board, beside a bare guest (10 minutes)
bench:
ifeq ($(origin BOARD),file)
	@$(SETUP) bundle bench
	@$(NODE) scripts/binary.ts host
	@$(NODE) test/bench/run.ts
else
	@$(SETUP) bundle image qemu
	@$(NODE) test/bench/board.ts $(BOARD)
endif

## make tidy                           the house rules
tidy:
	@$(SETUP)
	@$(NODE) scripts/tidy.ts

## make format                         format and lint the sources in place
format:
	@$(SETUP)
	@$(NODE) node_modules/@biomejs/biome/bin/biome check --write .

## make clean                          remove build/, but not what was downloaded
clean:
	@find build -mindepth 1 -maxdepth 1 ! -name cache -exec rm -rf {} + 2>/dev/null || true
